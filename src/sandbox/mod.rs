//! What a worker gives up before it reads its first byte from the network, so that whoever takes it over has nothing but
//! the connections it has.
//!
//! In this order, and each for good:
//!
//! 1. [`give_up_root`], while still root: no program and no change of user gives capabilities back.
//! 2. (The caller becomes the unprivileged user.)
//! 3. [`confine`]: nobody may look into the process, no capabilities, no new privileges, Landlock without any right
//!    ([`files`]), a filter of system calls ([`calls`]).
//!
//! What stays: the descriptors that are open, connecting by TCP, UDP and Unix sockets with a path, memory that is not
//! executable, threads, time, random numbers.
//!
//! Guarantee: nothing here ends the process or fails. What the kernel has not is one notice, and the rest is done.
//!
//! Known gaps: Landlock and capabilities belong to threads, so there may be only one when [`confine`] is called. Landlock
//! does not know `stat()`; only the filter refuses it. Where the filter is missing, the worker can execute what needs no
//! file, which is nothing. The filter is there on x86-64 and 64-bit ARM.

mod calls;
mod files;

use std::io;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
};

/// Makes sure that root's capabilities, which leave with root's user id, never come back: none is in the bounding set, and
/// being root has no meaning any more (`securebits`).
///
/// This takes root. Without, it does nothing, and there is nothing to give up.
pub fn give_up_root() {
    for number in 0..u64::BITS {
        // Numbers that the kernel does not know are refused.
        let _ = remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number));
    }
    type Bits = CapabilitiesSecureBits;
    // `NO_SETUID_FIXUP` is locked while it is off: leaving root's user id has to take the capabilities along.
    let _ = set_capabilities_secure_bits(
        Bits::NO_ROOT
            | Bits::NO_ROOT_LOCKED
            | Bits::NO_SETUID_FIXUP_LOCKED
            | Bits::KEEP_CAPS_LOCKED
            | Bits::NO_CAP_AMBIENT_RAISE
            | Bits::NO_CAP_AMBIENT_RAISE_LOCKED,
    );
}

/// Confines the process, which must have one thread and all files it will ever need.
///
/// With `core_dumps` the kernel may write a core file, and who has the same user id may look into the process.
///
/// Gives what this kernel cannot do, for the log.
pub fn confine(core_dumps: bool) -> Vec<String> {
    let mut notices = Vec::new();
    let mut note = |what: &str, failed: io::Result<()>| {
        if let Err(error) = failed {
            notices.push(format!("sandbox: {what} not applied: {error}"));
        }
    };
    note("protection from other processes", set_dumpable(core_dumps));
    note("no capabilities", no_capabilities());
    note("no new privileges", set_no_new_privs(true).map_err(io::Error::from));
    note("Landlock", files::forbid());
    note("seccomp", calls::filter());
    notices
}

/// Whether the kernel may write a core file of this process, and others of its user may look into it.
///
/// # Errors
/// Those of `prctl(PR_SET_DUMPABLE)`.
pub fn set_dumpable(allowed: bool) -> io::Result<()> {
    let behavior = if allowed { DumpableBehavior::Dumpable } else { DumpableBehavior::NotDumpable };
    Ok(set_dumpable_behavior(behavior)?)
}

/// Leaving root has done this already, but for a user that was given capabilities otherwise, or `user root`.
fn no_capabilities() -> io::Result<()> {
    // Kernels before 4.3 have no ambient set.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}
