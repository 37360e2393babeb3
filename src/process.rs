//! The process itself: background, pid file, limits, user.

use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Resource, Rlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::auth::users;
use crate::config::Process;
use crate::log::{self, Errno, Level};
use crate::sandbox;

/// Goes on in the background (directive `daemon`): the child has no terminal, and standard error only if it keeps it, for a
/// log. The caller's process waits until it hears how the start went, and ends with that.
///
/// # Errors
/// When the system has no process to give.
///
/// # Panics
/// When there is more than one thread: only the caller's would live on.
pub fn daemonize(keeps_stderr: bool) -> anyhow::Result<Waiting> {
    assert_eq!(threads(), 1, "a process with threads cannot be forked");
    let (hears, tells) = io::pipe().context("pipe() failed")?;
    // SAFETY: this is the only thread, so the child is whole.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()).context("fork() failed"),
        0 => {
            drop(hears);
            rustix::process::setsid().context("setsid() failed")?;
            rustix::process::umask(rustix::fs::Mode::empty());
            let null =
                File::options().read(true).write(true).open("/dev/null").context("open() \"/dev/null\" failed")?;
            rustix::stdio::dup2_stdin(&null).context("dup2(STDIN) failed")?;
            rustix::stdio::dup2_stdout(&null).context("dup2(STDOUT) failed")?;
            if !keeps_stderr {
                rustix::stdio::dup2_stderr(&null).context("dup2(STDERR) failed")?;
            }
            Ok(Waiting(Some(tells)))
        }
        _ => {
            drop(tells);
            std::process::exit(wait(hears))
        }
    }
}

/// Passes on what the child says, and gives its exit code: 0 if the last it said is that all is well.
fn wait(mut hears: PipeReader) -> i32 {
    let mut heard = Vec::new();
    let _ = hears.read_to_end(&mut heard);
    let well = heard.strip_suffix(ALL_IS_WELL);
    let _ = io::stderr().write_all(well.unwrap_or(&heard));
    i32::from(well.is_none())
}

const ALL_IS_WELL: &[u8] = b"\0";

/// Whoever started the program, waiting to hear how the start went.
pub struct Waiting(Option<PipeWriter>);

impl Waiting {
    /// The program stays in the foreground: standard error will do.
    pub fn nobody() -> Waiting {
        Waiting(None)
    }

    /// Says something.
    pub fn tell(&self, level: Level, message: fmt::Arguments<'_>) {
        let line = format!("gatepost: [{}] {message}\n", level.name());
        // One that does not wait any more does not want to hear it.
        let _ = match &self.0 {
            Some(pipe) => (&*pipe).write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }

    /// The program serves.
    pub fn all_is_well(self) {
        let _ = self.0.map(|mut pipe| pipe.write_all(ALL_IS_WELL));
    }
}

/// Names the process, for those who look at the list of processes.
pub fn set_name() {
    let _ = rustix::thread::set_name(c"gatepost");
}

/// Closes all descriptors but the standard ones: whoever started the program may have left some open.
///
/// To be called before there are others.
pub fn close_what_was_left_open() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: nobody in this program has a descriptor yet. Kernels before 5.9 do not have the call, and leave them open.
    unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// The process number in a pid file.
fn number_in(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The file that tells others our process number (directive `pid`).
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Writes it. Nobody else may: who wrote another number would choose what root sends signals to. That of a running nginx
    /// is left alone: both may have the same configuration, and nobody could reach nginx any more.
    ///
    /// # Errors
    /// When it cannot be written, or is nginx's.
    pub fn create(path: &Path) -> anyhow::Result<PidFile> {
        PidFile::check(path)?;
        let mut file = match File::options().write(true).create(true).truncate(true).mode(0o644).open(path) {
            Ok(file) => file,
            Err(error) => bail!("open() \"{}\" failed{}", path.display(), Errno(&error)),
        };
        if let Err(error) = writeln!(file, "{}", std::process::id()) {
            bail!("write() \"{}\" failed{}", path.display(), Errno(&error));
        }
        Ok(PidFile { path: path.to_path_buf(), file })
    }

    /// Finds out whether a pid file may be written.
    ///
    /// # Errors
    /// When it is that of an nginx.
    pub fn check(path: &Path) -> anyhow::Result<()> {
        match number_in(path) {
            Some(number) if std::fs::read(format!("/proc/{number}/comm")).is_ok_and(|name| name == b"nginx\n") => {
                let path = path.display();
                bail!("\"{path}\" is that of nginx, process {number}, which runs: stop it, or name another \"pid\"")
            }
            _ => Ok(()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn rename(&mut self, path: &Path) -> anyhow::Result<()> {
        let failed = || format!("rename() \"{}\" to \"{}\" failed", self.path.display(), path.display());
        std::fs::rename(&self.path, path).with_context(failed)?;
        self.path = path.to_path_buf();
        Ok(())
    }

    /// Writes another in its stead.
    ///
    /// # Errors
    /// When the other cannot be written; this one stays.
    pub fn move_to(&mut self, path: &Path) -> anyhow::Result<()> {
        let other = PidFile::create(path)?;
        std::mem::replace(self, other).remove();
        Ok(())
    }

    /// Removes it, unless it is another's by now, who was started while this one ended. Where that is not allowed any more,
    /// since the process gave its rights away, it is emptied, so that nobody sends a signal to whoever has our number next.
    pub fn remove(&self) {
        if number_in(&self.path).is_some_and(|number| number != std::process::id()) {
            return;
        }
        if std::fs::remove_file(&self.path).is_err() {
            let _ = self.file.set_len(0);
        }
    }
}

/// One of the children that have ended and are still to be waited for.
pub fn an_ended_child() -> Option<Pid> {
    // SAFETY: any bytes are a `siginfo_t`, which the call fills in; without such a child it stays as it is.
    let number = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT);
        info.si_pid()
    };
    Pid::from_raw(number)
}

/// Sets limits, priority and directory (`worker_rlimit_nofile`, `worker_rlimit_core`, `worker_priority`,
/// `working_directory`). Gives what went wrong, for the log: none of it is a reason not to serve, as in nginx.
pub fn apply_limits(process: &Process) -> Vec<String> {
    let mut failures = Vec::new();
    let mut limit = |what: Resource, name: &str, value: Option<u64>| {
        let Some(value) = value else { return };
        let wanted = Rlimit { current: Some(value), maximum: Some(value) };
        if let Err(error) = rustix::process::setrlimit(what, wanted) {
            failures.push(format!("setrlimit({name}, {value}) failed{}", Errno(&error.into())));
        }
    };
    limit(Resource::Nofile, "RLIMIT_NOFILE", process.worker_rlimit_nofile);
    limit(Resource::Core, "RLIMIT_CORE", process.worker_rlimit_core);
    if process.worker_priority != 0
        && let Err(error) = rustix::process::setpriority_process(None, process.worker_priority)
    {
        failures.push(format!("setpriority({}) failed{}", process.worker_priority, Errno(&error.into())));
    }
    if let Some(directory) = &process.working_directory
        && let Err(error) = std::env::set_current_dir(directory)
    {
        failures.push(format!("chdir(\"{}\") failed{}", directory.display(), Errno(&error)));
    }
    failures
}

/// What is to be said where `worker_connections` are more than the worker can have descriptors.
pub fn too_few_descriptors(process: &Process) -> Option<String> {
    let (each, threads) = (process.worker_connections, process.worker_processes);
    let most = process.worker_rlimit_nofile.or(rustix::process::getrlimit(Resource::Nofile).current)?;
    if u64::try_from(each.saturating_mul(threads)).is_ok_and(|all| all <= most) {
        return None;
    }
    let threads = if threads > 1 { format!(" of each of {threads} worker_processes") } else { String::new() };
    Some(format!("{each} worker_connections{threads} exceed open file resource limit: {most}"))
}

/// The processors that a thread of this number may use (`worker_cpu_affinity`); none for all.
pub fn processors(process: &Process, number: usize) -> Vec<usize> {
    let all = users::processors();
    process.cpu_affinity.as_ref().map_or_else(Vec::new, |affinity| affinity.of_thread(number, all))
}

/// Binds this thread to these processors, if there are any. One that cannot be bound runs anywhere.
pub fn bind_to(processors: &[usize]) {
    let mut set = CpuSet::new();
    processors.iter().filter(|number| **number < CpuSet::MAX_CPU).for_each(|number| set.set(*number));
    if set.count() > 0 {
        let _ = sched_setaffinity(None, &set);
    }
}

/// Gives the rights of root away for good (directive `user`). Does nothing for a process that has none.
///
/// # Errors
/// When it has, and cannot.
pub fn drop_privileges(user: &User) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    sandbox::give_up_root();
    let name = user.name.as_ptr();
    // SAFETY: `name` is a C string that outlives the call; there is one thread, and glibc applies all three to the
    // whole process.
    let done =
        unsafe { libc::setgid(user.gid) == 0 && libc::initgroups(name, user.gid) == 0 && libc::setuid(user.uid) == 0 };
    if !done {
        return Err(io::Error::last_os_error()).context("setuid() failed");
    }
    Ok(())
}

/// Takes from a worker what it will not need (directive `sandbox`). It must have become `user`, and have all files.
/// Gives what was not taken, and why, for the log.
///
/// # Panics
/// When there is more than one thread: the others would keep their rights.
pub fn confine(process: &Process) -> Vec<String> {
    assert_eq!(threads(), 1, "a process with threads cannot be confined");
    // These read files at their first use.
    log::read_time_zone();
    users::processors();
    if !process.sandbox {
        // As in nginx: leaving root has forbidden core files.
        let _ = sandbox::set_dumpable(true);
        return vec!["the worker process is not confined: \"sandbox\" is \"off\"".to_string()];
    }
    let core_dumps = process.worker_rlimit_core.is_some();
    let lost = core_dumps && cores_are_files();
    let mut notices = sandbox::confine(core_dumps);
    if lost {
        notices.push(
            "\"worker_rlimit_core\": the worker cannot write core files unless \"sandbox\" is \"off\"".to_string(),
        );
    }
    notices
}

/// Whether the kernel writes cores itself, with the rights of the process, and does not give them to a program. Not where
/// that cannot be seen, as with systemd's `ProcSubset=pid`.
fn cores_are_files() -> bool {
    std::fs::read("/proc/sys/kernel/core_pattern").is_ok_and(|pattern| !pattern.starts_with(b"|"))
}

/// Who the process is to be.
pub struct User {
    name: CString,
    uid: libc::uid_t,
    gid: libc::gid_t,
}

impl User {
    /// Who nginx is if nothing is said.
    const DEFAULT: &str = "nobody";

    /// Looks up the directive `user`.
    ///
    /// # Errors
    /// When there is no such user or group, in nginx's words.
    pub fn find(directive: Option<&(String, Option<String>)>) -> anyhow::Result<User> {
        let (user, group) = directive.map_or((User::DEFAULT, None), |(user, group)| (user.as_str(), group.as_deref()));
        let name = CString::new(user).context("a user name has no NUL")?;
        // SAFETY: `name` is a C string; the result is copied out of before anything else can ask for another user.
        let (uid, mut gid) = match unsafe { libc::getpwnam(name.as_ptr()).as_ref() } {
            Some(entry) => (entry.pw_uid, entry.pw_gid),
            None => bail!("getpwnam(\"{user}\") failed"),
        };
        if let Some(group) = group {
            let group_name = CString::new(group).context("a group name has no NUL")?;
            // SAFETY: as above.
            gid = match unsafe { libc::getgrnam(group_name.as_ptr()).as_ref() } {
                Some(entry) => entry.gr_gid,
                None => bail!("getgrnam(\"{group}\") failed"),
            };
        }
        Ok(User { name, uid, gid })
    }
}
