//! The beginning: who runs as whom, and what stops a start.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use rustix::process::Signal;

use crate::harness::{Conn, Subject};
use crate::running::{
    Running, await_some, await_some_in, children, command, command_line, free_address, master_in, read, status, stop,
    write,
};

#[test]
fn the_worker_has_no_rights() {
    let running = Running::start("");
    let worker = running.worker();
    assert_eq!(command_line(worker), "gatepost: worker process");
    assert_eq!(status(worker, "Name"), "gatepost");
    if rustix::process::geteuid().is_root() {
        assert_eq!(status(worker, "Uid"), "65534 65534 65534 65534");
        assert_eq!(status(worker, "Gid"), "65534 65534 65534 65534");
        assert_eq!(status(worker, "CapEff"), "0000000000000000");
        assert_eq!(status(worker, "CapBnd"), "0000000000000000");
        assert_eq!(fs::metadata(format!("/proc/{}/maps", worker.as_raw_nonzero())).unwrap().uid(), 0);
        assert_eq!(status(running.master(), "Uid"), "0 0 0 0");
    }
    assert_eq!((status(worker, "NoNewPrivs"), status(worker, "Seccomp")), ("1".into(), "2".into()));
    for set in ["CapInh", "CapPrm", "CapAmb"] {
        assert_eq!(status(worker, set), "0000000000000000");
    }
    let pid = read(&running.prefix().join("pid"));
    assert_eq!(pid.trim(), running.master().as_raw_nonzero().to_string());
}

#[test]
fn titles_say_what_each_process_is() {
    let running = Running::start("");
    let prefix = running.prefix().display().to_string();
    let program = Subject::current().path().display().to_string();
    // As nginx's, with the words that it was called with.
    let words = format!("{program} -p {prefix} -c test.conf -e error.log -g daemon off;");
    assert_eq!(command_line(running.master()), format!("gatepost: master process {words}"));
    assert_eq!(status(running.master(), "Name"), "gatepost");
    assert_eq!(command_line(running.worker()), "gatepost: worker process");
}

#[test]
fn a_title_that_has_no_room_is_cut() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "", "server { listen @at@; protocol imap; }", at, at);
    // Without an environment there is the room of the command line and no more.
    assert!(command(prefix.path()).env_clear().status().unwrap().success());
    let master = master_in(prefix.path());
    let title = command_line(master);
    let words = format!("{} -p {}", Subject::current().path().display(), prefix.path().display());
    assert!(title.starts_with(&format!("gatepost: master process {words}")), "{title}");
    stop(master);
}

#[test]
fn an_environment_with_a_strange_name() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "", "server { listen @at@; protocol imap; }", at, at);
    assert!(command(prefix.path()).env("=x", "y").status().unwrap().success());
    let master = master_in(prefix.path());
    assert!(command_line(master).starts_with("gatepost: master process"));
    stop(master);
}

#[test]
fn a_worker_can_be_left_its_rights() {
    let running = Running::start("sandbox off;");
    for what in ["NoNewPrivs", "Seccomp"] {
        assert_eq!(status(running.worker(), what), status(running.master(), what), "{what}");
    }
    running.await_log("the worker process is not confined: \"sandbox\" is \"off\"");
    running.session();
}

/// Descriptors of whoever started the program.
#[test]
fn a_worker_has_nothing_that_was_left_open() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "sandbox off;", "server { listen @at@; protocol imap; }", at, at);
    let secret = prefix.path().join("secret");
    fs::write(&secret, "").unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec 7<\"$1/secret\"; exec \"$0\" -p \"$1\" -c test.conf -e error.log"]);
    assert!(shell.arg(Subject::current().path()).arg(prefix.path()).status().unwrap().success());
    let master = master_in(prefix.path());
    let worker = await_some("worker", || children(master).first().copied());
    let open = fs::read_dir(format!("/proc/{}/fd", worker.as_raw_nonzero())).unwrap();
    let open: Vec<_> = open.filter_map(|file| fs::read_link(file.ok()?.path()).ok()).collect();
    assert!(!open.contains(&secret), "{open:?}");
    stop(master);
}

/// Kernels that do not have it, and containers that forbid it.
#[test]
fn a_worker_without_landlock_and_seccomp() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "", "server { listen @at@; protocol imap; }", at, at);
    let mut gatepost = command(prefix.path());
    let absent = [libc::SYS_landlock_create_ruleset, libc::SYS_seccomp];
    // SAFETY: what is called between `fork` and `exec` makes two system calls.
    unsafe { gatepost.pre_exec(forbidding(&absent)) };
    assert!(gatepost.status().unwrap().success());
    let log = prefix.path().join("error.log");
    for what in ["Landlock", "seccomp"] {
        let line = await_some_in(&log, &format!("sandbox: {what} not applied: "));
        assert!(line.contains("[notice]"), "{line}");
    }
    assert_eq!(read(&log).matches("not applied").count(), 2, "{}", read(&log));
    Conn::connect(at).expect("* OK IMAP4 ready\r\n");
    stop(master_in(prefix.path()));
}

/// Has these system calls answered as by a kernel that does not have them.
fn forbidding(calls: &[i64]) -> impl FnMut() -> std::io::Result<()> + use<> {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let machine = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, absent, machine).unwrap().try_into().unwrap();
    move || {
        rustix::thread::set_no_new_privs(true)?;
        seccompiler::apply_filter(&filter).map_err(std::io::Error::other)
    }
}

#[test]
fn core_files_and_the_sandbox() {
    let running = Running::start("worker_rlimit_core 1m;");
    let has_handler = read(std::path::Path::new("/proc/sys/kernel/core_pattern")).starts_with('|');
    if !has_handler {
        running.await_log("\"worker_rlimit_core\": the worker cannot write core files");
    }
}

#[test]
fn files_of_root_are_read_for_the_worker() {
    let running = Running::start_with("", "server { auth_users_file users; listen @at@; protocol imap; }");
    running.client().ask("a LOGIN u wrong\r\n", "a NO Invalid login or password\r\n");
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let prefix = tempfile::tempdir().unwrap();
    let at = taken.local_addr().unwrap();
    write(prefix.path(), "", "server { listen @at@; protocol imap; }", at, at);
    assert!(!command(prefix.path()).status().unwrap().success());
    let said = read(&prefix.path().join("stderr"));
    assert!(said.contains(&format!("[emerg] bind() to {at} failed (98: Address already in use)")), "{said}");
    assert!(said.ends_with("[emerg] still could not bind()\n"), "{said}");
    assert!(!prefix.path().join("pid").exists());
}

#[test]
fn a_stale_pid_file_is_no_obstacle() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    fs::write(prefix.path().join("pid"), "4194304\n").unwrap();
    write(prefix.path(), "", "server { listen @at@; protocol imap; }", at, at);
    // In the background: the command ends when the worker serves.
    assert!(command(prefix.path()).status().unwrap().success());
    assert!(std::net::TcpStream::connect(at).is_ok());
    stop(master_in(prefix.path()));
    assert!(!prefix.path().join("pid").exists());
}

/// One configuration may be for both.
#[test]
fn the_pid_file_of_nginx_stays_its_own() {
    let running = Running::start("");
    let prefix = tempfile::tempdir().unwrap();
    let (program, pid) = (prefix.path().join("nginx"), prefix.path().join("pid"));
    fs::copy("/bin/sleep", &program).unwrap();
    let mut nginx = std::process::Command::new(program).arg("1000").spawn().unwrap();
    let number = format!("{}\n", nginx.id());
    fs::write(&pid, &number).unwrap();
    let at = free_address();
    write(prefix.path(), "", "server { listen @at@; protocol imap; }", at, at);
    let output = command(prefix.path()).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = format!("\"{}\" is that of nginx, process {}, which runs", pid.display(), nginx.id());
    assert!(!output.status.success() && said.contains(&expected), "{said}");
    assert_eq!(read(&pid), number);
    // Nor does a reload take it.
    running.configure(&format!("pid {};", pid.display()), "server { listen @at@; protocol imap; }");
    running.signal(Signal::HUP);
    running.await_log(&expected);
    running.await_log("the configuration stays as it is");
    nginx.kill().unwrap();
    nginx.wait().unwrap();
    assert_eq!(read(&pid), number);
    assert!(command(prefix.path()).status().unwrap().success());
    stop(master_in(prefix.path()));
}

#[test]
fn a_log_that_is_standard_error_stays_open_in_the_background() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    let servers = "error_log stderr info; server { listen @at@; protocol imap; }";
    write(prefix.path(), "", servers, at, at);
    let said = prefix.path().join("said");
    let stderr = fs::File::create(&said).unwrap();
    assert!(command(prefix.path()).stderr(stderr).status().unwrap().success());
    let master = master_in(prefix.path());
    let client = Conn::connect(at);
    await_some_in(&said, &format!("client {} connected", client.local()));
    stop(master);
}

#[test]
fn nobody_else_writes_the_pid_file() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "", "server { listen @at@; protocol imap; }", at, at);
    assert!(command(prefix.path()).status().unwrap().success());
    let pid = prefix.path().join("pid");
    assert_eq!(fs::metadata(&pid).unwrap().permissions().mode() & 0o777, 0o644);
    stop(master_in(prefix.path()));
}

#[test]
fn a_signal_for_nobody() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "", "server { listen @at@; protocol imap; }", at, at);
    fs::write(prefix.path().join("pid"), "4194304\n").unwrap();
    assert!(!command(prefix.path()).args(["-s", "quit"]).status().unwrap().success());
    let said = read(&prefix.path().join("stderr"));
    assert!(said.contains("[alert] kill(4194304, 3) failed (3: No such process)"), "{said}");
}
