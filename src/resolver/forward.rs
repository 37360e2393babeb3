//! The addresses of a host.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};

use super::answer::Data;
use super::{Failure, Resolver};

/// How many addresses of a host are taken of each family: over TCP an answer may have thousands, and it is kept.
const MAX_ADDRESSES: usize = 32;

impl Resolver {
    /// Finds the addresses of a host, of the families that `ipv4=` and `ipv6=` allow, at least one. It takes at most
    /// `timeout` (`resolver_timeout`). Each time another one comes first, so that their load is shared. It must be called
    /// in an event loop.
    ///
    /// # Errors
    /// When there is none, or DNS does not work. If only one family's question fails, the other's answer is enough.
    pub async fn addresses(&self, host: &str, timeout: Duration) -> Result<Vec<IpAddr>, Failure> {
        let host = host.to_ascii_lowercase();
        let mut addresses = match self.addresses.get(&*host, Instant::now()) {
            Some(known) => known,
            None => {
                let (found, ttl) = self.look_up(&host, timeout).await?;
                self.addresses.put(host, found.clone(), Instant::now(), self.life(ttl));
                found
            }
        };
        let first = self.next.fetch_add(1, Ordering::Relaxed) % addresses.len();
        addresses.rotate_left(first);
        Ok(addresses)
    }

    async fn look_up(&self, host: &str, timeout: Duration) -> Result<(Vec<IpAddr>, u32), Failure> {
        let mut name = Name::from_ascii(host).map_err(|_| Failure::NotFound)?;
        name.set_fqdn(true);
        let (v4, v6) = tokio::join!(
            self.family(name.clone(), RecordType::A, self.config.ipv4, timeout),
            self.family(name, RecordType::AAAA, self.config.ipv6, timeout),
        );
        match (v4, v6) {
            (Ok((mut all, ttl)), Ok((more, other))) => {
                all.extend(more);
                Ok((all, ttl.min(other)))
            }
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
            (Err(Failure::NotFound), Err(other)) | (Err(other), Err(_)) => Err(other),
        }
    }

    async fn family(
        &self,
        name: Name,
        kind: RecordType,
        allowed: bool,
        timeout: Duration,
    ) -> Result<(Vec<IpAddr>, u32), Failure> {
        if !allowed {
            return Err(Failure::NotFound);
        }
        match self.find(Query::query(name, kind), timeout).await? {
            (Data::Addresses(mut addresses), ttl) => {
                addresses.truncate(MAX_ADDRESSES);
                addresses.shrink_to_fit();
                Ok((addresses, ttl))
            }
            (Data::Pointer(_), _) => Err(Failure::Format),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::SocketAddr;

    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::rdata::AAAA;
    use hickory_proto::rr::{RData, Record};

    use super::super::tests::{LONG, a, cname, config, name, refuse, respond, server, zone};
    use super::*;
    use crate::event_loop::testing;

    fn aaaa(owner: &str, address: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::AAAA(AAAA(address.parse().unwrap())))
    }

    async fn found(server: SocketAddr, host: &str, ipv4: bool, ipv6: bool) -> Result<Vec<IpAddr>, Failure> {
        let config = crate::config::Resolver { ipv4, ipv6, ..config(&[server]) };
        let mut found = Resolver::new(&config).addresses(host, LONG).await?;
        found.sort();
        Ok(found)
    }

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn both_families_as_far_as_they_are_allowed() {
        testing::run(|| async {
            let records = vec![
                a("a.example.", [192, 0, 2, 1]),
                a("a.example.", [192, 0, 2, 2]),
                aaaa("a.example.", "2001:db8::1"),
                aaaa("six.example.", "2001:db8::6"),
                cname("alias.example.", "a.example."),
            ];
            let (server, _) = zone(records).await;
            let all = ips(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
            assert_eq!(found(server, "a.example", true, true).await, Ok(all.clone()));
            assert_eq!(found(server, "A.Example.", true, true).await, Ok(all.clone()));
            assert_eq!(found(server, "alias.example", true, true).await, Ok(all.clone()));
            assert_eq!(found(server, "a.example", true, false).await, Ok(all[..2].to_vec()));
            assert_eq!(found(server, "a.example", false, true).await, Ok(all[2..].to_vec()));
            assert_eq!(found(server, "six.example", true, true).await, Ok(ips(&["2001:db8::6"])));
            assert_eq!(found(server, "six.example", true, false).await, Err(Failure::NotFound));
            assert_eq!(found(server, "b.example", true, true).await, Err(Failure::NotFound));
            assert_eq!(found(server, &"x".repeat(64), true, true).await, Err(Failure::NotFound));
        });
    }

    #[test]
    fn of_very_many_some() {
        testing::run(|| async {
            let (server, _) = zone((0..50).map(|number| a("a.example.", [192, 0, 2, number])).collect()).await;
            assert_eq!(found(server, "a.example", true, false).await.map(|all| all.len()), Ok(MAX_ADDRESSES));
        });
    }

    #[test]
    fn trouble_with_one_family_is_no_trouble() {
        testing::run(|| async {
            let (server, _) = server(|question, _| match question.queries[0].query_type {
                RecordType::A => vec![respond(question, &[a("a.example.", [192, 0, 2, 1])])],
                _ => vec![refuse(question, ResponseCode::ServFail)],
            })
            .await;
            assert_eq!(found(server, "a.example", true, true).await, Ok(ips(&["192.0.2.1"])));
            assert_eq!(found(server, "a.example", false, true).await, Err(Failure::Code(2)));
        });
    }

    #[test]
    fn what_was_found_is_kept_and_shared_out() {
        testing::run(|| async {
            let records = vec![a("a.example.", [192, 0, 2, 1]), a("a.example.", [192, 0, 2, 2])];
            let (server, asked) = zone(records).await;
            let resolver = Resolver::new(&crate::config::Resolver { ipv6: false, ..config(&[server]) });
            let mut firsts = Vec::new();
            for host in ["a.example", "A.EXAMPLE", "a.example", "a.example"] {
                firsts.push(resolver.addresses(host, LONG).await.unwrap()[0]);
            }
            assert_eq!(asked.load(Ordering::SeqCst), 1);
            firsts.sort();
            firsts.dedup();
            assert_eq!(firsts.len(), 2);
        });
    }
}
