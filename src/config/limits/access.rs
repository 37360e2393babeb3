//! `allow address|CIDR|unix:|all;` and `deny ...;`, as in nginx's access modules.

use crate::addr::Address;
use crate::config::Network;
use crate::config::call::{Call, Outcome};
use crate::config::setters::network;

/// An `allow` or `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whether it is an `allow`.
    pub allow: bool,
    /// Whom it is about; none is everybody.
    pub network: Option<Network>,
}

/// Whether the first rule that is about the client lets it in. Whom none is about is let in.
pub fn admits(rules: &[Rule], client: &Address) -> bool {
    let about = |rule: &&Rule| rule.network.as_ref().is_none_or(|network| network.contains(client));
    rules.iter().find(about).is_none_or(|rule| rule.allow)
}

/// The directive.
pub fn directive(rules: &mut Vec<Rule>, allow: bool, call: &mut Call<'_>) -> Outcome {
    let text = &call.args[0];
    let network = match text.as_str() {
        "all" => None,
        _ => Some(network(call, text).ok_or_else(|| {
            format!("invalid parameter \"{text}\", it must be an address, CIDR, \"unix:\" or \"all\"")
        })?),
    };
    rules.push(Rule { allow, network });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: bool, network: Option<(&str, u8)>) -> Rule {
        let network = network.map(|(address, prefix)| Network::Ip { address: address.parse().expect("IP"), prefix });
        Rule { allow, network }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let client = |ip: &str| Address::Ip((ip.parse::<std::net::IpAddr>().expect("IP"), 1).into());
        let rules = [
            rule(false, Some(("192.0.2.1", 32))),
            rule(true, Some(("192.0.2.0", 24))),
            rule(true, Some(("2001:db8::", 32))),
            Rule { allow: true, network: Some(Network::Unix) },
            rule(false, None),
        ];
        for (ip, expected) in [
            ("192.0.2.1", false),
            ("192.0.2.2", true),
            ("::ffff:192.0.2.2", true),
            ("::ffff:192.0.2.1", false),
            ("198.51.100.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(admits(&rules, &client(ip)), expected, "{ip}");
        }
        assert!(admits(&rules, &Address::nameless()));
        assert!(!admits(&rules[..1], &client("192.0.2.1")));
        assert!(admits(&rules[..1], &client("192.0.2.2")), "nothing is said of it");
        assert!(!admits(&rules[4..], &Address::nameless()), "all is everybody");
        assert!(admits(&[], &client("192.0.2.1")));
    }
}
