//! Landlock: no right to any file, no listening, nothing to do with processes and sockets that have no path outside.

use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetError, RulesetStatus, Scope,
};

/// Forbids all that the running kernel's Landlock can forbid, and that is not needed.
///
/// # Errors
/// When the kernel has no Landlock.
pub fn forbid() -> io::Result<()> {
    let status = restrict().map_err(io::Error::other)?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            Err(io::Error::other("this kernel was started without it"))
        }
        (RulesetStatus::NotEnforced, _) => Err(io::Error::other("this kernel does not have it")),
        _ => Ok(()),
    }
}

fn restrict() -> Result<RestrictionStatus, RulesetError> {
    // Connecting to authentication, mail and syslog servers by the paths of their sockets has to work.
    let files = AccessFs::from_all(ABI::V10) & !AccessFs::ResolveUnix;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(files)?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?
        .restrict_self()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::thread;

    use super::*;

    #[test]
    fn no_file_can_be_reached_but_a_socket_can() {
        let directory = tempfile::tempdir().unwrap();
        let (file, socket) = (directory.path().join("file"), directory.path().join("socket"));
        fs::write(&file, "").unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        // What a thread gives up, others keep.
        let confined = thread::spawn(move || {
            if let Err(error) = forbid() {
                eprintln!("not shown: {error}");
                return;
            }
            let kind = |error: io::Error| error.kind();
            assert_eq!(fs::read(&file).map_err(kind), Err(ErrorKind::PermissionDenied));
            assert_eq!(fs::write(&file, "").map_err(kind), Err(ErrorKind::PermissionDenied));
            assert_eq!(fs::remove_file(&file).map_err(kind), Err(ErrorKind::PermissionDenied));
            assert_eq!(TcpListener::bind("127.0.0.1:0").map(drop).map_err(kind), Err(ErrorKind::PermissionDenied));
            UnixStream::connect(&socket).unwrap();
        });
        confined.join().unwrap();
    }
}
