//! How `-s reload` hears what came of it.
//!
//! The caller waits at a datagram socket whose name nobody can guess, and sends the number in that name with the signal.
//! The master answers there, and itself listens to nobody. The signal is a real-time one, of which each arrives; of HUP,
//! one would stand for all that wait.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::process::Pid;

/// How long a reload may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest answer, bytes.
const LONGEST: usize = 32 * 1024;

const LOADED: u8 = 0;
const REFUSED: u8 = 1;

/// Where the answer comes.
pub struct Expected {
    socket: UnixDatagram,
    number: u32,
}

impl Expected {
    /// Begins to wait.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new() -> io::Result<Expected> {
        // 0 is what comes with a signal that nobody waits for.
        let number = getrandom::u32().map_err(io::Error::other)?.max(1);
        let socket = UnixDatagram::bind_addr(&place(number)?)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Expected { socket, number })
    }

    /// Asks for a new configuration.
    ///
    /// # Errors
    /// When there is no such process, or it is somebody else's.
    pub fn signal(&self, pid: Pid) -> io::Result<()> {
        let value = libc::sigval { sival_ptr: std::ptr::without_provenance_mut(self.number as usize) };
        // SAFETY: the call takes no pointer but the value, which is a number for whoever gets it.
        match unsafe { libc::sigqueue(pid.as_raw_nonzero().get(), signal(), value) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits for the answer: what was refused of the new configuration, if it was.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn outcome(&self) -> io::Result<Result<(), String>> {
        let mut answer = vec![0; LONGEST];
        let length = self.socket.recv(&mut answer)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match answer[..length].split_first() {
            Some((&LOADED, _)) => Ok(Ok(())),
            Some((_, mistakes)) => Ok(Err(text(mistakes))),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The signal that asks for a new configuration and an answer.
pub fn signal() -> libc::c_int {
    libc::SIGRTMIN()
}

/// Answers the caller that waits under that number, if one does.
pub fn answer(number: u32, outcome: Result<(), &[String]>) {
    if number == 0 {
        return;
    }
    let mut message = vec![if outcome.is_ok() { LOADED } else { REFUSED }];
    message.extend_from_slice(outcome.err().unwrap_or_default().join("\n").as_bytes());
    message.truncate(LONGEST);
    // A caller that did not wait does not want to know.
    let _ = place(number).and_then(|place| {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(&message, &place)
    });
}

fn place(number: u32) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("gatepost-reload-{number:08x}"))
}
