//! Shows the sandbox: `confined ATTEMPT` confines itself as a worker does, tries one thing, and says how it went.
//!
//! Started as root, it first becomes the user with the number that `CONFINED_USER` has, if there is one.

#![allow(unreachable_pub, reason = "in a program `pub` marks what a module offers to the others")]

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::thread;

use libc::c_long;

#[path = "../../src/sandbox/mod.rs"]
mod sandbox;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(attempt) = arguments.next() else {
        eprintln!("usage: confined ATTEMPT [ARGUMENT]");
        return ExitCode::FAILURE;
    };
    let argument = arguments.next().unwrap_or_default();
    become_worker();
    match attempt_to(&attempt, &argument) {
        Ok(outcome) => println!("{outcome}"),
        Err(error) => println!("refused: {error}"),
    }
    ExitCode::SUCCESS
}

fn become_worker() {
    sandbox::give_up_root();
    if let Some(user) = std::env::var("CONFINED_USER").ok().and_then(|user| user.parse::<c_long>().ok()) {
        for number in [libc::SYS_setresgid, libc::SYS_setresuid] {
            call(number, [user; 5]).expect("root can become anybody");
        }
    }
    for notice in sandbox::confine(false) {
        eprintln!("{notice}");
    }
}

/// Does it, and gives what became of it.
fn attempt_to(attempt: &str, argument: &str) -> io::Result<String> {
    let done = |()| "done".to_string();
    match attempt {
        // What a worker needs.
        "wait" => {
            println!("waiting");
            io::stdin().read(&mut [0]).map(drop).map(done)
        }
        "thread" => {
            let thread = thread::Builder::new().name("thread".into()).spawn(|| vec![0_u8; 8 << 20].len())?;
            Ok(thread.join().map_or("panicked".to_string(), |length| format!("done: {length}")))
        }
        "connect" => TcpStream::connect(argument).map(drop).map(done),
        "connect-unix" => UnixStream::connect(argument).map(drop).map(done),
        "datagram" => UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", argument).map(drop).map(done),
        "datagram-unix" => UnixDatagram::unbound()?.send_to(b"x", argument).map(drop).map(done),
        "random" => getrandom::u64().map(drop).map(done).map_err(io::Error::from),
        "panic" => Ok(thread::spawn(|| panic!("on purpose")).join().map_or("panicked".to_string(), done)),
        // What it has no use for.
        "read" => fs::read(argument).map(drop).map(done),
        "write" => fs::write(argument, "x").map(done),
        "list" => fs::read_dir(argument).map(drop).map(done),
        "look" => fs::metadata(argument).map(drop).map(done),
        "remove" => fs::remove_file(argument).map(done),
        "change-mode" => fs::set_permissions(argument, std::os::unix::fs::PermissionsExt::from_mode(0o666)).map(done),
        "program" => Command::new(argument).spawn().map(drop).map(done),
        "become-program" => Err(Command::new(argument).exec()),
        "listen" => TcpListener::bind("127.0.0.1:0").map(drop).map(done),
        "listen-unix" => UnixListener::bind(argument).map(drop).map(done),
        "connect-abstract" => UnixStream::connect_addr(&SocketAddr::from_abstract_name(argument)?).map(drop).map(done),
        "signal" => {
            let parent = i64::from(std::os::unix::process::parent_id());
            call(libc::SYS_kill, [parent, 0, 0, 0, 0]).map(drop).map(done)
        }
        _ => bare_call(attempt).map(done),
    }
}

/// System calls with which somebody who took a worker over would go on.
fn bare_call(attempt: &str) -> io::Result<()> {
    let (number, arguments) = match attempt {
        "fork" => (libc::SYS_clone, [c_long::from(libc::SIGCHLD), 0, 0, 0, 0]),
        "fork3" => (libc::SYS_clone3, [0; 5]),
        "become-root" => (libc::SYS_setresuid, [0; 5]),
        "root-group" => (libc::SYS_setgroups, [0; 5]),
        "capabilities" => (libc::SYS_capset, [0; 5]),
        "trace" => (libc::SYS_ptrace, [c_long::from(libc::PTRACE_ATTACH), 1, 0, 0, 0]),
        "peek" => (libc::SYS_process_vm_readv, [1, 0, 0, 0, 0]),
        "mount" => (libc::SYS_mount, [0; 5]),
        "namespace" => (libc::SYS_unshare, [c_long::from(libc::CLONE_NEWUSER), 0, 0, 0, 0]),
        "handle" => (libc::SYS_open_by_handle_at, [0; 5]),
        "bpf" => (libc::SYS_bpf, [0; 5]),
        "module" => (libc::SYS_finit_module, [0; 5]),
        "io-uring" => (libc::SYS_io_uring_setup, [0; 5]),
        "netlink" => (libc::SYS_socket, [c_long::from(libc::AF_NETLINK), c_long::from(libc::SOCK_RAW), 0, 0, 0]),
        "packets" => (libc::SYS_socket, [c_long::from(libc::AF_PACKET), c_long::from(libc::SOCK_RAW), 0, 0, 0]),
        "terminal" => (libc::SYS_ioctl, [0, libc::TIOCSTI as c_long, 0, 0, 0]),
        "dump" => (libc::SYS_prctl, [c_long::from(libc::PR_SET_DUMPABLE), 1, 0, 0, 0]),
        "code" => {
            let protection = c_long::from(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);
            let flags = c_long::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            (libc::SYS_mmap, [0, 4096, protection, flags, -1])
        }
        _ => return Err(io::Error::new(ErrorKind::InvalidInput, "there is no such attempt")),
    };
    call(number, arguments)
}

/// Any system call.
fn call(number: c_long, [a, b, c, d, e]: [c_long; 5]) -> io::Result<()> {
    // SAFETY: with the numbers and arguments above, no call touches memory of this process.
    match unsafe { libc::syscall(number, a, b, c, d, e, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
