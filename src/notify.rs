//! What systemd is told (`sd_notify(3)`), where it asks for that: `Type=notify`, `Type=notify-reload`, `WatchdogSec=`.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The variable that names the process which systemd listens to.
pub const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// It serves.
pub fn ready() {
    tell(&format!("MAINPID={}\nREADY=1\n", std::process::id()));
}

/// It reads its configuration anew. [`ready`] comes when it has, or has not.
pub fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\n"));
}

/// Another process goes on as the service, and this one has no more to tell.
pub fn main_process(pid: u32) {
    tell(&format!("MAINPID={pid}\n"));
}

/// It ends with its last session. Not [`stopping`] yet: systemd waits for the end of that for `TimeoutStopSec=` only.
pub fn draining() {
    tell("STATUS=Accepts nothing more, and ends with the last session\n");
}

/// It ends.
pub fn stopping() {
    tell("STOPPING=1\n");
}

/// It lives.
pub fn watchdog() {
    tell("WATCHDOG=1\n");
}

/// It lives, and will say so again within that time, from now on.
pub fn watchdog_within(time: Duration) {
    tell(&format!("WATCHDOG_USEC={}\nWATCHDOG=1\n", time.as_micros()));
}

/// How often it has to say that it lives: twice as often as it is expected.
pub fn watchdog_interval() -> Option<Duration> {
    let number = |name| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if number(WATCHDOG_PID).is_some_and(|pid| pid != u64::from(std::process::id())) {
        return None;
    }
    number("WATCHDOG_USEC").map(|microseconds| Duration::from_micros(microseconds / 2)).filter(|time| !time.is_zero())
}

/// Nobody hears it where there is no systemd.
fn tell(what: &str) {
    let _ = try_tell(what);
}

fn try_tell(what: &str) -> io::Result<()> {
    let Some(place) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&place)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(what.as_bytes(), &address).map(drop)
}
