//! Networks, and who is in them: `set_real_ip_from`, `allow` and others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::addr::Address;

/// An address, a CIDR block or `unix:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// An address or a CIDR block.
    Ip {
        /// The network's address; its host bits are zero.
        address: IpAddr,
        /// The length of the prefix, bits.
        prefix: u8,
    },
    /// `unix:`: every Unix domain socket.
    Unix,
}

impl Network {
    /// The address of the network around an address, with a prefix of that length.
    pub fn around(address: IpAddr, prefix: u8) -> IpAddr {
        match address {
            IpAddr::V4(ip) => {
                let bits = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
                Ipv4Addr::from_bits(ip.to_bits() & bits).into()
            }
            IpAddr::V6(ip) => {
                let bits = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
                Ipv6Addr::from_bits(ip.to_bits() & bits).into()
            }
        }
    }

    /// Whether the address is in it. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) is looked for among the IPv4
    /// networks only, as in nginx.
    pub fn contains(&self, peer: &Address) -> bool {
        match (self, peer) {
            (Network::Unix, Address::Unix(_)) => true,
            (Network::Ip { address, prefix }, Address::Ip(peer)) => {
                contains(*address, *prefix, peer.ip().to_canonical())
            }
            _ => false,
        }
    }
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

    fn is_in(network: &str, prefix: u8, peer: &str) -> bool {
        let network = Network::Ip { address: network.parse().expect("an address"), prefix };
        network.contains(&Address::Ip(SocketAddr::new(peer.parse().expect("an address"), 1)))
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
            assert_eq!(is_in(network, prefix, peer), expected, "{peer} in {network}/{prefix}");
        }
    }

    #[test]
    fn unix_sockets() {
        let (unix, any) = (Address::Unix(PathBuf::new()), Network::Ip { address: [0; 4].into(), prefix: 0 });
        assert!(Network::Unix.contains(&unix));
        assert!(!any.contains(&unix));
    }
}
