//! Signals to the process: they wait in a descriptor until they are looked at, so none comes at a wrong moment.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd};

use crate::reply;

/// What a signal asks for, with nginx's meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// TERM, INT: end now.
    Stop,
    /// QUIT: end with the last session.
    Quit,
    /// HUP, or SIGRTMIN of `-s reload`: read the configuration anew.
    Reload,
    /// USR1: open the logs anew.
    Reopen,
    /// USR2: start a new binary.
    Upgrade,
    /// WINCH: accept nothing more.
    Drain,
    /// CHLD: a child has ended.
    Reap,
}

fn orders() -> [(libc::c_int, &'static str, Order); 9] {
    [
        (libc::SIGTERM, "SIGTERM", Order::Stop),
        (libc::SIGINT, "SIGINT", Order::Stop),
        (libc::SIGQUIT, "SIGQUIT", Order::Quit),
        (libc::SIGHUP, "SIGHUP", Order::Reload),
        (reply::signal(), "SIGRTMIN", Order::Reload),
        (libc::SIGUSR1, "SIGUSR1", Order::Reopen),
        (libc::SIGUSR2, "SIGUSR2", Order::Upgrade),
        (libc::SIGWINCH, "SIGWINCH", Order::Drain),
        (libc::SIGCHLD, "SIGCHLD", Order::Reap),
    ]
}

/// A signal that has come.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// Its number.
    pub number: i32,
    /// Its name.
    pub name: &'static str,
    /// What it asks for.
    pub order: Order,
    /// The process that sent it; 0 for the kernel.
    pub sender: u32,
    /// The number that the sender gave with it; 0 for none.
    pub value: u32,
}

/// Where they wait.
pub struct Signals(OwnedFd);

impl Signals {
    /// From now on signals wait, also in threads and for programs that are started later, until those say otherwise.
    ///
    /// # Errors
    /// When the system has no descriptor for it.
    pub fn new() -> io::Result<Signals> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the set is made by the first call and only used after it; the descriptor is new, and nobody else's.
        unsafe {
            // Where they are ignored, ended children are nobody's, and could not be waited for.
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            libc::sigemptyset(set.as_mut_ptr());
            for (number, ..) in orders() {
                libc::sigaddset(set.as_mut_ptr(), number);
            }
            if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            match libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                -1 => Err(io::Error::last_os_error()),
                descriptor => Ok(Signals(OwnedFd::from_raw_fd(descriptor))),
            }
        }
    }

    /// The next one, if there is one.
    pub fn next(&self) -> Option<Received> {
        Received::from(self.0.as_fd())
    }
}

impl Received {
    /// The next one that waits in the descriptor of [`Signals`], if there is one.
    pub fn from(signals: BorrowedFd<'_>) -> Option<Received> {
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let info = loop {
            let mut bytes = [0; SIZE];
            match rustix::io::read(signals, &mut bytes) {
                Ok(SIZE) => {}
                _ => return None,
            }
            // SAFETY: the kernel has filled it in, and any bytes are one.
            let info: libc::signalfd_siginfo = unsafe { std::mem::transmute(bytes) };
            // That of the kernel says that a terminal has another size, and asks for nothing.
            if (info.ssi_signo, info.ssi_code) != (libc::SIGWINCH.cast_unsigned(), libc::SI_KERNEL) {
                break info;
            }
        };
        let (number, name, order) =
            orders().into_iter().find(|(number, ..)| number.cast_unsigned() == info.ssi_signo)?;
        let value = if info.ssi_code == libc::SI_QUEUE { u32::try_from(info.ssi_ptr).unwrap_or(0) } else { 0 };
        Some(Received { number, name, order, sender: info.ssi_pid, value })
    }
}

impl From<Signals> for OwnedFd {
    fn from(signals: Signals) -> OwnedFd {
        signals.0
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Gives this thread a signal as the kernel, or a process, would.
    fn give(signal: libc::c_int, code: libc::c_int) {
        // SAFETY: any bytes are a `siginfo_t`, and what the call needs of it is filled in.
        let given = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            info.si_code = code;
            let (process, thread) = (libc::getpid(), libc::gettid());
            libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, thread, signal, &raw const info)
        };
        assert_eq!(given, 0, "{}", io::Error::last_os_error());
    }

    #[test]
    fn a_terminal_of_another_size_asks_for_nothing() {
        let signals = Signals::new().unwrap();
        give(libc::SIGWINCH, libc::SI_KERNEL);
        assert!(signals.next().is_none());
        give(libc::SIGWINCH, libc::SI_USER);
        assert_eq!(signals.next().map(|signal| signal.order), Some(Order::Drain));
        give(libc::SIGINT, libc::SI_KERNEL);
        assert_eq!(signals.next().map(|signal| signal.order), Some(Order::Stop));
        assert!(signals.next().is_none());
    }
}
