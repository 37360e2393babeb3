#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, PTR, TXT};
use hickory_proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::event_loop::testing::{self, Listener, UdpSocket};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const POINTER: &str = "1.0.0.127.in-addr.arpa.";
/// Long enough for anything that happens at once.
pub(super) const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);

pub(super) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn ptr(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), 60, RData::PTR(PTR(name(target))))
}

pub(super) fn cname(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
}

pub(super) fn a(owner: &str, address: [u8; 4]) -> Record {
    Record::from_rdata(name(owner), 60, RData::A(A(address.into())))
}

pub(super) fn respond(question: &Message, answers: &[Record]) -> Vec<u8> {
    let mut response = question.clone().into_response();
    response.add_answers(answers.iter().cloned());
    response.to_vec().unwrap()
}

pub(super) fn refuse(question: &Message, code: ResponseCode) -> Vec<u8> {
    let mut response = question.clone().into_response();
    response.metadata.response_code = code;
    response.to_vec().unwrap()
}

/// A name server that sends what the function makes of a question and its number.
pub(super) async fn server(
    answer: impl Fn(&Message, usize) -> Vec<Vec<u8>> + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::new();
    let (address, asked) = (socket.local_addr(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    testing::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (size, from) = socket.recv_from(&mut buffer).await;
            let question = Message::from_vec(&buffer[..size]).unwrap();
            for response in answer(&question, count.fetch_add(1, Ordering::SeqCst)) {
                socket.send_to(&response, from);
            }
        }
    });
    (address, asked)
}

/// A name server with these records: it gives those whose owner is asked for.
pub(super) async fn zone(records: Vec<Record>) -> (SocketAddr, Arc<AtomicUsize>) {
    server(move |question, _| {
        let query = &question.queries[0];
        let wanted = |record: &&Record| {
            record.name == query.name && [query.query_type, RecordType::CNAME].contains(&record.record_type())
        };
        vec![respond(question, &records.iter().filter(wanted).cloned().collect::<Vec<_>>())]
    })
    .await
}

pub(super) fn config(servers: &[SocketAddr]) -> config::Resolver {
    config::Resolver { servers: servers.to_vec(), valid: None, ipv4: true, ipv6: true }
}

async fn host_of(servers: &[SocketAddr], timeout: Duration) -> (String, String) {
    let host = Resolver::new(&config(servers)).client_host(CLIENT, timeout).await;
    (host.name, host.complaint.map_or(String::new(), |complaint| complaint.message))
}

async fn expect(records: Vec<Record>, name: &str, complaint: &str) {
    let (server, _) = zone(records).await;
    assert_eq!(host_of(&[server], LONG).await, (name.to_string(), complaint.to_string()));
}

#[test]
fn confirmed() {
    testing::run(|| async {
        let records = vec![
            ptr(POINTER, "A.example.net."),
            a("a.example.net.", [192, 0, 2, 1]),
            a("a.example.net.", [127, 0, 0, 1]),
        ];
        expect(records, "A.example.net", "").await;
    });
}

#[test]
fn confirmed_by_the_last_of_many_addresses() {
    testing::run(|| async {
        let mut records = vec![ptr(POINTER, "pool.example.")];
        records.extend((0..50).map(|number| a("pool.example.", [192, 0, 2, number])));
        records.push(a("pool.example.", [127, 0, 0, 1]));
        expect(records, "pool.example", "").await;
    });
}

#[test]
fn confirmed_for_ipv6() {
    testing::run(|| async {
        let client: IpAddr = "2001:db8::1".parse().unwrap();
        let pointer = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
        let address = Record::from_rdata(name("six.example."), 60, RData::AAAA(AAAA("2001:db8::1".parse().unwrap())));
        let (server, _) = zone(vec![ptr(pointer, "six.example."), address]).await;
        let mut config = config(&[server]);
        assert_eq!(Resolver::new(&config).client_host(client, LONG).await.name, "six.example");
        config.ipv6 = false;
        let host = Resolver::new(&config).client_host(client, LONG).await;
        assert_eq!(host, Host { name: UNAVAILABLE.to_string(), complaint: None });
    });
}

#[test]
fn a_mapped_address_is_an_ipv4_address() {
    testing::run(|| async {
        let (server, _) = zone(vec![ptr(POINTER, "a.example."), a("a.example.", [127, 0, 0, 1])]).await;
        let client = "::ffff:127.0.0.1".parse().unwrap();
        assert_eq!(Resolver::new(&config(&[server])).client_host(client, LONG).await.name, "a.example");
    });
}

#[test]
fn not_confirmed() {
    testing::run(|| async {
        let lost = "127.0.0.1 could not be resolved (3: Host not found)";
        expect(vec![], UNAVAILABLE, lost).await;
        let lost = "\"a.example\" could not be resolved (3: Host not found)";
        expect(vec![ptr(POINTER, "a.example.")], UNAVAILABLE, lost).await;
        expect(vec![ptr(POINTER, "a.example."), a("a.example.", [127, 0, 0, 2])], UNAVAILABLE, "").await;
        let (server, _) = server(|question, _| vec![refuse(question, ResponseCode::NXDomain)]).await;
        let host = Resolver::new(&config(&[server])).client_host(CLIENT, LONG).await;
        let message = "127.0.0.1 could not be resolved (3: Host not found)".to_string();
        let complaint = Some(Complaint { action: "in resolving client address", message });
        assert_eq!(host, Host { name: UNAVAILABLE.to_string(), complaint });
    });
}

#[test]
fn names_that_are_no_host_names() {
    testing::run(|| async {
        let labels: [(&[&[u8]], &str); 7] = [
            (&[b"a_b", b"example"], "a_b.example"),
            (&[b"a b", b"example"], "a b.example"),
            (&[b"a\r\nb", b"example"], "a\\x0D\\x0Ab.example"),
            (&[b"a\0b", b"example"], "a\\x00b.example"),
            (&[b"a.b", b"example"], "a.b.example"),
            (&[b"a=b+c", b"\xff"], "a=b+c.\\xFF"),
            (&[], ""),
        ];
        for (labels, shown) in labels {
            let target = PTR(rooted(Name::from_labels(labels.iter().copied()).unwrap()));
            let message = format!("127.0.0.1 resolved to invalid host name \"{shown}\"");
            expect(vec![Record::from_rdata(name(POINTER), 60, RData::PTR(target))], TEMPUNAVAIL, &message).await;
        }
    });
}

#[test]
fn aliases_are_followed() {
    testing::run(|| async {
        let mut records = vec![
            cname(POINTER, "1.sub.0.0.127.in-addr.arpa."),
            ptr("1.sub.0.0.127.in-addr.arpa.", "a.example."),
            cname("a.example.", "b.example."),
            cname("b.example.", "c.example."),
            a("c.example.", [127, 0, 0, 1]),
        ];
        // Each by a question of its own, as an authoritative server has it; then all at once, as a recursive one.
        expect(records.clone(), "a.example", "").await;
        records.reverse();
        let (all, asked) = server(move |question, _| vec![respond(question, &records)]).await;
        assert_eq!(host_of(&[all], LONG).await.0, "a.example");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn aliases_in_a_circle() {
    testing::run(|| async {
        let circle = vec![cname(POINTER, "x.example."), cname("x.example.", POINTER)];
        let message = "127.0.0.1 could not be resolved (1: Format error)";
        expect(circle.clone(), TEMPUNAVAIL, message).await;
        let (all, _) = server(move |question, _| vec![respond(question, &circle)]).await;
        assert_eq!(host_of(&[all], LONG).await, (TEMPUNAVAIL.to_string(), message.to_string()));
    });
}

#[test]
fn trouble() {
    testing::run(|| async {
        for (code, text) in [
            (ResponseCode::FormErr, "1: Format error"),
            (ResponseCode::ServFail, "2: Server failure"),
            (ResponseCode::NotImp, "4: Unimplemented"),
            (ResponseCode::Refused, "5: Operation refused"),
            (ResponseCode::YXDomain, "6: Unknown error"),
        ] {
            let (server, asked) = server(move |question, _| vec![refuse(question, code)]).await;
            let message = format!("127.0.0.1 could not be resolved ({text})");
            assert_eq!(host_of(&[server], LONG).await, (TEMPUNAVAIL.to_string(), message));
            assert_eq!(asked.load(Ordering::SeqCst), 1);
        }
    });
}

#[test]
fn answers_that_make_no_sense() {
    testing::run(|| async {
        let message = "127.0.0.1 could not be resolved (1: Format error)".to_string();
        let other = Record::from_rdata(name(POINTER), 60, RData::TXT(TXT::new(vec!["x".to_string()])));
        let (other_type, _) = server(move |question, _| vec![respond(question, std::slice::from_ref(&other))]).await;
        let (other_name, _) = server(|question, _| vec![respond(question, &[ptr("x.example.", "a.example.")])]).await;
        // A PTR record without data.
        let (empty, _) = server(|question, _| {
            let mut response = respond(question, &[]);
            response[7] = 1;
            response.extend(b"\xc0\x0c\0\x0c\0\x01\0\0\0\x3c\0\0");
            vec![response]
        })
        .await;
        let (cut, _) =
            server(|question, _| vec![respond(question, &[ptr(POINTER, "a.example.")])[..40].to_vec()]).await;
        for server in [other_type, other_name, empty, cut] {
            assert_eq!(host_of(&[server], LONG).await, (TEMPUNAVAIL.to_string(), message.clone()));
        }
    });
}

#[test]
fn strangers_are_ignored() {
    testing::run(|| async {
        let (server, _) = server(|question, _| {
            let good = [ptr(POINTER, "a.example."), a("a.example.", [127, 0, 0, 1])];
            let bad = respond(question, &[ptr(POINTER, "evil.example."), a("a.example.", [127, 0, 0, 2])]);
            let mut other_id = bad.clone();
            other_id[1] ^= 1;
            let mut other_question = bad.clone();
            other_question[13] ^= 1;
            let mut no_response = bad;
            no_response[2] &= 0x7F;
            vec![vec![], b"?".to_vec(), other_id, other_question, no_response, respond(question, &good)]
        })
        .await;
        assert_eq!(host_of(&[server], LONG).await, ("a.example".to_string(), String::new()));
    });
}

#[test]
fn silence() {
    testing::run(|| async {
        let (server, asked) = server(|_, _| vec![]).await;
        let message = "127.0.0.1 could not be resolved (110: Operation timed out)".to_string();
        assert_eq!(host_of(&[server], SHORT).await, (TEMPUNAVAIL.to_string(), message));
        assert!((1..=2).contains(&asked.load(Ordering::SeqCst)));
    });
}

#[test]
fn the_next_server_is_asked() {
    testing::run(|| async {
        let (good, _) = zone(vec![ptr(POINTER, "a.example."), a("a.example.", [127, 0, 0, 1])]).await;
        let (failing, _) = server(|question, _| vec![refuse(question, ResponseCode::ServFail)]).await;
        // A port that is taken, but not by anybody who hears us.
        let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let closed = taken.local_addr().unwrap();
        taken.connect(closed).unwrap();
        for servers in [[failing, good], [good, failing], [closed, good], [good, closed]] {
            assert_eq!(host_of(&servers, LONG).await.0, "a.example");
        }
        assert_eq!(host_of(&[closed, failing], LONG).await.1, "127.0.0.1 could not be resolved (2: Server failure)");
    });
}

#[test]
fn a_silent_server_does_not_stop_the_others() {
    testing::run(|| async {
        let (silent, asked) = server(|_, _| vec![]).await;
        let (good, _) = zone(vec![ptr(POINTER, "a.example."), a("a.example.", [127, 0, 0, 1])]).await;
        assert_eq!(host_of(&[silent, good], Duration::from_secs(2)).await.0, "a.example");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_late_answer_is_welcome() {
    testing::run(|| async {
        let socket = UdpSocket::new();
        let server = socket.local_addr();
        testing::spawn(async move {
            let answers = [ptr(POINTER, "a.example."), a("a.example.", [127, 0, 0, 1])];
            let (mut first, mut second) = ([0; 512], [0; 512]);
            let (size, from) = socket.recv_from(&mut first).await;
            socket.recv_from(&mut second).await;
            let mut question = Message::from_vec(&first[..size]).unwrap();
            socket.send_to(&respond(&question, &answers), from);
            let (size, from) = socket.recv_from(&mut first).await;
            question = Message::from_vec(&first[..size]).unwrap();
            socket.send_to(&respond(&question, &answers), from);
        });
        assert_eq!(host_of(&[server], Duration::from_secs(2)).await.0, "a.example");
    });
}

#[test]
fn a_truncated_answer_is_fetched_over_tcp() {
    testing::run(|| async {
        let (tcp, udp) = loop {
            let tcp = Listener::new();
            // Somebody may have that port for UDP.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr()) {
                break (tcp, udp);
            }
        };
        let address = tcp.local_addr();
        testing::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (size, from) = udp.recv_from(&mut buffer).await;
                let question = Message::from_vec(&buffer[..size]).unwrap();
                udp.send_to(&question.into_response().truncate().to_vec().unwrap(), from);
            }
        });
        testing::spawn(async move {
            loop {
                let mut stream = tcp.accept().await;
                let mut question = vec![0; stream.read_u16().await.unwrap().into()];
                stream.read_exact(&mut question).await.unwrap();
                let question = Message::from_vec(&question).unwrap();
                let mut answers: Vec<_> = (1..=200).map(|last| a("a.example.", [127, 0, 0, last])).collect();
                answers.push(ptr(POINTER, "a.example."));
                let answer = respond(&question, &answers);
                stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        assert_eq!(host_of(&[address], LONG).await, ("a.example".to_string(), String::new()));
    });
}

#[test]
fn what_was_confirmed_is_kept() {
    testing::run(|| async {
        let records = vec![ptr(POINTER, "a.example."), a("a.example.", [127, 0, 0, 1])];
        let (server, asked) = zone(records).await;
        let mut config = config(&[server]);
        for (valid, questions) in [(None, 2), (Some(Duration::ZERO), 4), (Some(LONG), 2)] {
            config.valid = valid;
            asked.store(0, Ordering::SeqCst);
            let resolver = Resolver::new(&config);
            for _ in 0..2 {
                assert_eq!(resolver.client_host(CLIENT, LONG).await.name, "a.example");
            }
            assert_eq!(asked.load(Ordering::SeqCst), questions, "valid={valid:?}");
        }
    });
}

#[test]
fn it_can_be_used_from_any_thread() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Resolver>();
}
