//! `ssl_conf_command`, `proxy_ssl_conf_command`: commands of OpenSSL's own configuration language, SSL_CONF_cmd(3).
//!
//! Some of them name files, and OpenSSL opens those by itself. A worker has no file system, so such a file is read here
//! like every other, and lent to OpenSSL in memory under a name that it can open.
//!
//! Known gap: directories of certificates cannot be lent, and are refused.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use gatepost_conf::Files;
use openssl::ssl::SslContextBuilder;
use rustix::fs::MemfdFlags;

use super::ffi;
use super::options::{ConfValue, conf_value};

/// Applies the commands, in order.
///
/// # Errors
/// nginx's message, when the library refuses a command.
pub(super) fn apply(
    context: &mut SslContextBuilder,
    commands: &[(String, String)],
    files: &dyn Files,
) -> Result<(), String> {
    let mut loans = Vec::new();
    let mut lent = Vec::with_capacity(commands.len());
    for (name, value) in commands {
        let value = match conf_value(name) {
            ConfValue::Directory => return Err(no_directories(name, value)),
            ConfValue::File => match Loan::of(value, files) {
                Ok(loan) => {
                    let alias = loan.alias();
                    loans.push(loan);
                    alias
                }
                // OpenSSL finds the same, and says it in its own words.
                Err(_) => value.clone(),
            },
            ConfValue::Text => value.clone(),
        };
        lent.push((name.clone(), value));
    }
    ffi::conf_commands(context, &lent).map_err(|message| with_real_names(message, &loans))
}

fn no_directories(name: &str, value: &str) -> String {
    format!(
        "SSL_CONF_cmd(\"{name}\", \"{value}\") failed: a worker has no directories, name a file with all certificates"
    )
}

/// OpenSSL has read the files under their aliases; who reads the message knows them by their names. The longest alias
/// goes first, since a shorter one may be how it begins.
fn with_real_names(mut message: String, loans: &[Loan]) -> String {
    let mut loans: Vec<(String, &str)> = loans.iter().map(|loan| (loan.alias(), loan.name.as_str())).collect();
    loans.sort_by_key(|(alias, _)| std::cmp::Reverse(alias.len()));
    for (alias, name) in loans {
        message = message.replace(&alias, name);
    }
    message
}

/// A file's content in memory, as long as this lives.
struct Loan {
    name: String,
    memory: File,
}

impl Loan {
    fn of(name: &str, files: &dyn Files) -> io::Result<Loan> {
        let content = files.read(Path::new(name))?;
        let mut memory = File::from(rustix::fs::memfd_create("ssl_conf_command", MemfdFlags::CLOEXEC)?);
        memory.write_all(&content)?;
        Ok(Loan { name: name.to_owned(), memory })
    }

    fn alias(&self) -> String {
        format!("/proc/self/fd/{}", self.memory.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::PathBuf;

    use openssl::ssl::SslMethod;

    use super::*;

    /// Has no certificate in any file, and no file `/none`.
    struct NoCertificates;

    impl Files for NoCertificates {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            if path == Path::new("/none") { Err(io::ErrorKind::NotFound.into()) } else { Ok(b"nonsense\n".to_vec()) }
        }

        fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }
    }

    #[cfg_attr(feature = "aws-lc", ignore = "the library has no such commands")]
    #[test]
    fn messages_name_what_the_configuration_names() {
        for (name, value) in [("Certificate", "/some.crt"), ("PrivateKey", "/none"), ("ChainCAPath", "/ca")] {
            let mut context = openssl::ssl::SslContext::builder(SslMethod::tls()).unwrap();
            let commands = [(name.to_owned(), value.to_owned())];
            let message = apply(&mut context, &commands, &NoCertificates).unwrap_err();
            assert!(message.starts_with(&format!("SSL_CONF_cmd(\"{name}\", \"{value}\") failed")), "{message}");
            assert!(!message.contains("/proc/"), "{message}");
        }
    }
}
