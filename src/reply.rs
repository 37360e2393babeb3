//! How `-s reload` hears what came of it.
//!
//! The caller waits at a datagram socket with a number in its name, and sends the number with the signal. The master
//! answers there, and itself listens to nobody. Everybody can see such names (`/proc/net/unix`) and send something there:
//! what does not come from the process that got the signal is not looked at. The signal is a real-time one, of which each
//! arrives; of HUP, one would stand for all that wait. It ends a program that does not know it, so the caller makes sure that
//! it is for Gatepost.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_passcred;
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
        set_socket_passcred(&socket, true)?;
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

    /// Waits for the answer of the process that was asked: what was refused of the new configuration, if it was, as lines
    /// for a terminal.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn outcome(&self, pid: Pid) -> io::Result<Result<(), String>> {
        let deadline = Instant::now() + PATIENCE;
        let mut answer = vec![0; LONGEST];
        let length = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.receive(&mut answer)? {
                (length, sender) if sender == pid.as_raw_nonzero().get() => break length,
                _ => {}
            }
        };
        match answer[..length].split_first() {
            Some((&LOADED, _)) => Ok(Ok(())),
            Some((_, mistakes)) => Ok(Err(plain(mistakes))),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Receives what anybody sends. Gives its length, and which process sent it: 0 where that cannot be seen from here,
    /// which is why this is not rustix's `recvmsg`, whose processes are never 0.
    fn receive(&self, answer: &mut [u8]) -> io::Result<(usize, libc::pid_t)> {
        const LENGTH: usize = size_of::<libc::ucred>();
        // For credentials, which come first, and nothing else: descriptors that somebody sends find no room.
        let mut space = [0_usize; 2 * (size_of::<libc::cmsghdr>() + LENGTH) / size_of::<usize>()];
        let mut part = libc::iovec { iov_base: answer.as_mut_ptr().cast(), iov_len: answer.len() };
        // SAFETY: the header is one without anything until it points to `part`, which is all of `answer`, and to the begin
        // of `space`, which is larger and aligned; all three outlive the call. What the kernel has put there begins with a
        // whole header, if there is one, and behind that of credentials are credentials.
        unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
            message.msg_control = space.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(LENGTH as u32) as _;
            let length = libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC);
            let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            let kind = header.as_ref().map(|header| (header.cmsg_level, header.cmsg_type));
            if kind != Some((libc::SOL_SOCKET, libc::SCM_CREDENTIALS)) {
                return Ok((length, 0));
            }
            Ok((length, libc::CMSG_DATA(header).cast::<libc::ucred>().read_unaligned().pid))
        }
    }
}

/// Lines for a terminal: what would control it is spelled as in the log.
fn plain(bytes: &[u8]) -> String {
    let spell = |text: String, c: char| match c {
        '\n' => text + "\n",
        c if c.is_control() => text + &format!("\\x{:02X}", c as u32),
        c => text + c.encode_utf8(&mut [0; 4]),
    };
    String::from_utf8_lossy(bytes).chars().fold(String::new(), spell)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_controls_no_terminal() {
        let expected = Expected::new().unwrap();
        answer(expected.number, Err(&["a\x1b[31m".to_string(), "b".to_string()]));
        let own = Pid::from_raw(std::process::id().cast_signed()).unwrap();
        assert_eq!(expected.outcome(own).unwrap(), Err("a\\x1B[31m\nb".to_string()));
    }
}
