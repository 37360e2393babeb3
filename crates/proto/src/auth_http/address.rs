//! Addresses and ports as nginx reads them in `Auth-Server` and `Auth-Port`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address without brackets, name or zone. IPv4 parts may have leading zeros, which are decimal all the same.
pub fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    if text.contains(&b':') {
        let text = std::str::from_utf8(text).ok()?;
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let mut octets = [0; 4];
    let mut parts = text.split(|byte| *byte == b'.');
    for octet in &mut octets {
        *octet = u8::try_from(decimal(parts.next()?)?).ok()?;
    }
    parts.next().is_none().then(|| IpAddr::V4(Ipv4Addr::from(octets)))
}

/// The name of a host: labels of letters, digits, `-` and `_` (which containers have), 63 bytes at most, 253 together,
/// the last one not a number, which could only be a mistaken address. A dot at its end is left out.
pub(super) fn host_name(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text.strip_suffix(b".").unwrap_or(text)).ok()?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| matches!(label.len(), 1..=63) && !label.starts_with('-') && label.bytes().all(good);
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let fits = text.len() <= 253 && text.split('.').all(is_label) && !text.rsplit('.').next().is_none_or(is_number);
    fits.then(|| text.to_owned())
}

/// A port, 1 to 65535, leading zeros allowed.
pub fn parse_port(text: &[u8]) -> Option<u16> {
    decimal(text).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
}

/// Decimal digits and nothing else; none if there are none, or if they are more than an `i64` holds (nginx's limit).
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let value = text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    (value <= i64::MAX as u64).then_some(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("127.0.0.1", Some("127.0.0.1")),
            ("010.000.0.09", Some("10.0.0.9")),
            ("0000000000255.0.0.1", Some("255.0.0.1")),
            ("::1", Some("::1")),
            ("2001:0db8::00A", Some("2001:db8::a")),
            ("::ffff:192.0.2.1", Some("::ffff:192.0.2.1")),
            ("", None),
            ("256.0.0.1", None),
            ("1.2.3", None),
            ("1..2.3", None),
            ("1.2.3.4.5", None),
            ("1.2.3.4 ", None),
            ("+1.2.3.4", None),
            ("[::1]", None),
            ("fe80::1%eth0", None),
            ("localhost", None),
        ] {
            assert_eq!(parse_ip(text.as_bytes()), expected.map(|ip| ip.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn host_names() {
        for (text, expected) in [
            ("mail.example", Some("mail.example")),
            ("Mail-1.example.", Some("Mail-1.example")),
            ("mail_backend", Some("mail_backend")),
            ("1.example", Some("1.example")),
            ("", None),
            (".", None),
            ("a..b", None),
            (".a", None),
            ("-a", None),
            ("a b", None),
            ("a:b", None),
            ("a/b", None),
            ("a\r", None),
            ("gr\u{fc}n.example", None),
            ("1.2.3", None),
            ("256.0.0.1", None),
        ] {
            assert_eq!(host_name(text.as_bytes()).as_deref(), expected, "{text}");
        }
        let label = "a".repeat(63);
        assert!(host_name(label.as_bytes()).is_some());
        assert!(host_name(format!("{label}a").as_bytes()).is_none());
        assert!(host_name([label.as_str(); 4].join(".").as_bytes()).is_none());
    }

    #[test]
    fn ports() {
        for (text, expected) in [
            ("1", Some(1)),
            ("000143", Some(143)),
            ("65535", Some(65535)),
            ("0", None),
            ("65536", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("14 3", None),
            ("18446744073709551617", None),
        ] {
            assert_eq!(parse_port(text.as_bytes()), expected, "{text}");
        }
    }
}
