//! `ssl_conf_command`, `proxy_ssl_conf_command`: commands of OpenSSL's own configuration language, SSL_CONF_cmd(3).
//!
//! Some of them name files, which OpenSSL would open by itself. A worker has no file system, so those are read here like
//! every other file. What has no directive of its own is refused by name: nobody should believe it in force.

use std::path::Path;

use gatepost_conf::Files;
use openssl::ssl::SslContextBuilder;

use super::options::{ConfValue, conf_value};
use super::{ffi, pem};

/// Applies the commands, in order.
///
/// # Errors
/// nginx's message, when the library refuses a command; ours, when it names something that no worker can read.
pub(super) fn apply(
    context: &mut SslContextBuilder,
    commands: &[(String, String)],
    files: &dyn Files,
) -> Result<(), String> {
    for command in commands {
        let (name, value) = command;
        let path = Path::new(value);
        let done = match conf_value(name) {
            ConfValue::Text => {
                ffi::conf_commands(context, std::slice::from_ref(command))?;
                continue;
            }
            ConfValue::Certificate => pem::use_certificate(context, path, files).map(drop),
            ConfValue::PrivateKey => pem::use_key(context, path, &[], files),
            ConfValue::DhParameters => pem::use_dh_parameters(context, path, files),
            ConfValue::OtherFile(directive) => Err(format!("use \"{directive}\" instead")),
        };
        done.map_err(|why| format!("SSL_CONF_cmd(\"{name}\", \"{value}\") failed: {why}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io;
    use std::path::PathBuf;

    use openssl::ssl::{SslContext, SslMethod};

    use super::*;

    /// Has no certificate in any file.
    struct NoCertificates;

    impl Files for NoCertificates {
        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            Ok(b"nonsense\n".to_vec())
        }

        fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn what_a_worker_cannot_read_is_refused_by_name() {
        for (name, why) in [
            ("Certificate", "cannot load certificate \"/x\": "),
            ("privatekey", "cannot load certificate key \"/x\": "),
            ("DHParameters", "PEM_read_bio_DHparams(\"/x\") failed"),
            ("VerifyCAFile", "use \"ssl_trusted_certificate\" instead"),
            ("ChainCAPath", "use \"ssl_certificate\" instead"),
        ] {
            let mut context = SslContext::builder(SslMethod::tls()).unwrap();
            let message = apply(&mut context, &[(name.into(), "/x".into())], &NoCertificates).unwrap_err();
            let expected = format!("SSL_CONF_cmd(\"{name}\", \"/x\") failed: {why}");
            assert!(message.starts_with(&expected), "{message}");
        }
    }
}
