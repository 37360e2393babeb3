//! `set_real_ip_from`: whose PROXY protocol headers are believed.

use std::net::IpAddr;

use crate::addr::Address;
use crate::config::Network;

/// Whether a peer may tell for whom it speaks. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) is looked for among
/// the IPv4 networks only, as in nginx.
pub fn trusts(networks: &[Network], peer: &Address) -> bool {
    networks.iter().any(|network| match (network, peer) {
        (Network::Unix, Address::Unix(_)) => true,
        (Network::Ip { address, prefix }, Address::Ip(peer)) => contains(*address, *prefix, peer.ip().to_canonical()),
        _ => false,
    })
}

fn contains(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let differing = network.to_bits() ^ address.to_bits();
            differing.leading_zeros() >= u32::from(prefix)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let differing = network.to_bits() ^ address.to_bits();
            differing.leading_zeros() >= u32::from(prefix)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::PathBuf;

    use super::*;

    fn trusted(network: &str, prefix: u8, peer: &str) -> bool {
        let network = Network::Ip { address: network.parse().expect("an address"), prefix };
        trusts(&[Network::Unix, network], &Address::Ip(SocketAddr::new(peer.parse().expect("an address"), 1)))
    }

    #[test]
    fn networks() {
        for (network, prefix, peer, expected) in [
            ("192.0.2.1", 32, "192.0.2.1", true),
            ("192.0.2.1", 32, "192.0.2.0", false),
            ("192.0.2.0", 23, "192.0.3.255", true),
            ("192.0.2.0", 23, "192.0.4.0", false),
            ("0.0.0.0", 0, "255.255.255.255", true),
            ("0.0.0.0", 0, "::", false),
            ("0.0.0.0", 0, "::ffff:192.0.2.1", true),
            ("192.0.2.0", 24, "::ffff:192.0.2.1", true),
            ("2001:db8::", 33, "2001:db8:7fff::1", true),
            ("2001:db8::", 33, "2001:db8:8000::1", false),
            ("::1", 128, "::1", true),
            ("::1", 128, "::2", false),
            ("::", 0, "2001:db8::1", true),
            ("::", 0, "192.0.2.1", false),
            ("::", 0, "::ffff:192.0.2.1", false),
        ] {
            assert_eq!(trusted(network, prefix, peer), expected, "{peer} in {network}/{prefix}");
        }
    }

    #[test]
    fn unix_sockets() {
        let (unix, any) = (Address::Unix(PathBuf::new()), Network::Ip { address: [0; 4].into(), prefix: 0 });
        assert!(trusts(&[any.clone(), Network::Unix], &unix));
        assert!(!trusts(&[any], &unix));
        assert!(!trusts(&[], &unix));
    }
}
