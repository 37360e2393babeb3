//! APOP and CRAM-MD5: digests of a challenge and a password.

use std::fmt::Write;

use gatepost_proto::{Method, Secret};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// Whether `digest`, hexadecimal, answers `challenge`: RFC 1939 section 7 for [`Method::Apop`], RFC 2195 for
/// [`Method::CramMd5`].
pub(super) fn verify(method: Method, challenge: &str, password: &Secret, digest: &[u8]) -> bool {
    let expected = match method {
        Method::CramMd5 => cram_md5(challenge, password),
        _ => hex(&Md5::new().chain_update(challenge).chain_update(password.expose()).finalize()),
    };
    expected.as_bytes().ct_eq(&digest.to_ascii_lowercase()).into()
}

fn cram_md5(challenge: &str, password: &Secret) -> String {
    let mac = Hmac::<Md5>::new_from_slice(password.expose()).expect("HMAC takes a key of any length");
    hex(&mac.chain_update(challenge).finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the RFCs.
    #[test]
    fn examples() {
        let apop = ("<1896.697170952@dbc.mtview.ca.us>", "c4c9334bac560ecc979e58001b3e22fb");
        let cram = ("<1896.697170952@postoffice.reston.mci.net>", "b913a602c7eda7a495b4e6e7334d3890");
        let check = |method, salt, password: &str, digest: &str| {
            verify(method, salt, &Secret::from(password.as_bytes()), digest.as_bytes())
        };
        assert!(check(Method::Apop, apop.0, "tanstaaf", apop.1));
        assert!(check(Method::CramMd5, cram.0, "tanstaaftanstaaf", cram.1));
        assert!(check(Method::CramMd5, cram.0, "tanstaaftanstaaf", &cram.1.to_uppercase()));
        assert!(!check(Method::Apop, apop.0, "tanstaag", apop.1));
        assert!(!check(Method::CramMd5, cram.0, "tanstaaf", cram.1));
        assert!(!check(Method::CramMd5, apop.0, "tanstaaf", apop.1));
        assert!(!check(Method::Apop, apop.0, "tanstaaf", &apop.1[..31]));
        assert!(!check(Method::Apop, apop.0, "tanstaaf", ""));
    }
}
