//! seccomp: the system calls that a worker may make.
//!
//! Two filters, of which the stricter answer counts.
//!
//! * What [`ALLOWED`] and [`limited`] do not name fails with `ENOSYS`, the answer of a kernel that does not have the call.
//!   The C library and the runtime try new calls and go back to old ones at that answer, where they would pass on
//!   `EPERM` as a failure; so a newer library does not break a worker.
//! * What [`HOSTILE`] names ends the process with `SIGSYS`: none of it is in the program, so it is somebody else who asks,
//!   and each further instruction is one too many. The master logs it and starts a new worker.
//!
//! Arguments are looked at where a call can do more than is needed and a number tells.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Puts the filters in force, for all threads.
///
/// # Errors
/// When the kernel does not take them, or the processor is none they are written for.
pub fn filter() -> io::Result<()> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let programs = [hostile(architecture), allowed(architecture)];
    for program in programs {
        let program = program.map_err(io::Error::other)?;
        apply_filter_all_threads(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

fn hostile(architecture: TargetArch) -> Result<BpfProgram, BackendError> {
    let rules = HOSTILE.iter().map(|call| (*call, Vec::new())).collect();
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::KillProcess, architecture)?.try_into()
}

fn allowed(architecture: TargetArch) -> Result<BpfProgram, BackendError> {
    let mut rules: Rules = ALLOWED.iter().chain(OLD).map(|call| (*call, Vec::new())).collect();
    rules.extend(limited()?);
    let refused = SeccompAction::Errno(libc::ENOSYS as u32);
    SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture)?.try_into()
}

/// The calls that are allowed with certain arguments only.
fn limited() -> Result<Rules, BackendError> {
    let if_all = |conditions| Ok(vec![SeccompRule::new(conditions)?]);
    Ok(BTreeMap::from([
        // A thread, and no process. `clone3` hides its flags from the filter; without it, the C library uses `clone`.
        (libc::SYS_clone, if_all(vec![masked(0, THREAD, THREAD)?, masked(0, NAMESPACES, 0)?])?),
        // No memory with code that was not in the program.
        (libc::SYS_mmap, if_all(vec![masked(2, EXECUTABLE, 0)?])?),
        (libc::SYS_mprotect, if_all(vec![masked(2, EXECUTABLE, 0)?])?),
        (libc::SYS_socket, one_of(0, &[libc::AF_UNIX as u64, libc::AF_INET as u64, libc::AF_INET6 as u64])?),
        (libc::SYS_ioctl, one_of(1, &[libc::FIONBIO, libc::FIONREAD, libc::FIOCLEX])?),
        (libc::SYS_prctl, one_of(0, &[libc::PR_SET_NAME as u64, libc::PR_GET_NAME as u64, PR_SET_VMA])?),
        // Limits are asked for, not set.
        (libc::SYS_prlimit64, if_all(vec![masked(2, u64::MAX, 0)?])?),
        // `abort()`
        (libc::SYS_tgkill, one_of(0, &[u64::from(std::process::id())])?),
        // The thread's own.
        (libc::SYS_sched_setaffinity, one_of(0, &[0])?),
    ]))
}

const THREAD: u64 = (libc::CLONE_VM | libc::CLONE_THREAD) as u64;
const NAMESPACES: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;
const EXECUTABLE: u64 = libc::PROT_EXEC as u64;
/// Names for parts of the memory, which the C library gives them.
const PR_SET_VMA: u64 = 0x5356_4d41;

/// The call, if the argument (counted from 0), an `int` of which the kernel takes the lower half, is one of the values.
fn one_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, BackendError> {
    let rule = |value: &u64| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *value)?;
        SeccompRule::new(vec![condition])
    };
    values.iter().map(rule).collect()
}

/// The call, if the argument (counted from 0) masked with `mask` is `value`.
fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask), value)
}

/// What is allowed with any arguments.
const ALLOWED: &[c_long] = &[
    // Open descriptors: sockets, logs, what a reload brings.
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    // Connections. Not `listen`: a worker is given its listening sockets.
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
    libc::SYS_splice,
    // Waiting.
    libc::SYS_clock_nanosleep,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_nanosleep,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    // Signals.
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_signalfd4,
    // What time it is, who we are, what nobody can guess.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// The same by other calls, which newer processors have not.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[libc::SYS_dup2, libc::SYS_epoll_wait, libc::SYS_poll, libc::SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[];

/// What ends the process.
const HOSTILE: &[c_long] = &[
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other users.
    libc::SYS_capset,
    libc::SYS_setfsgid,
    libc::SYS_setfsuid,
    libc::SYS_setgid,
    libc::SYS_setgroups,
    libc::SYS_setregid,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setreuid,
    libc::SYS_setuid,
    // Other processes.
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    // Other views of files.
    libc::SYS_chroot,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_unshare,
    // Parts of the kernel that attacks on it begin with.
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_perf_event_open,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_swapon,
    libc::SYS_userfaultfd,
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_can_be_built_everywhere() {
        for architecture in [TargetArch::x86_64, TargetArch::aarch64] {
            assert!(!hostile(architecture).unwrap().is_empty());
            assert!(!allowed(architecture).unwrap().is_empty());
        }
    }

    #[test]
    fn no_call_is_both_allowed_and_hostile() {
        for call in HOSTILE {
            assert!(!ALLOWED.contains(call) && !OLD.contains(call), "{call}");
            assert!(!limited().unwrap().contains_key(call), "{call}");
        }
    }
}
