//! A stub name server over UDP, with the records that the test gives it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

/// A name server. It ends with the test's process.
pub(crate) struct Dns {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// A line of the zone: a name, and what there is.
struct Record {
    name: String,
    kind: String,
    value: String,
}

const NOT_FOUND: u8 = 3;

impl Dns {
    /// Starts a server for these lines: `name PTR|A|AAAA|CNAME value`; `name FAILS code` for a name whose answers have
    /// that code, and `name SILENT` for one without answers. Other names do not exist. What a CNAME leads to is in the
    /// same answer, what a BARE-CNAME leads to is not. `%0A` is such a byte.
    pub(crate) fn start(zone: &str) -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let records: Vec<Record> = zone.lines().filter_map(Record::parse).collect();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || serve(&socket, &records, &log));
        Dns { address, asked }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The questions so far, `name KIND`, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Record {
    fn parse(line: &str) -> Option<Record> {
        let mut words = line.split_whitespace();
        let mut next = || words.next().map(str::to_owned);
        Some(Record { name: next()?, kind: next()?, value: next().unwrap_or_default() })
    }

    /// The record in an answer, without compression, to live for a minute.
    fn encode(&self) -> Vec<u8> {
        let data = match self.kind.as_str() {
            "PTR" | "CNAME" | "BARE-CNAME" => encode_name(&self.value),
            _ => match self.value.parse().unwrap() {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            },
        };
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        [&encode_name(&self.name)[..], &number(&self.kind), b"\0\x01\0\0\0\x3c", &length, &data].concat()
    }
}

fn serve(socket: &UdpSocket, records: &[Record], asked: &Mutex<Vec<String>>) {
    let mut packet = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut packet) {
        let Some((name, kind)) = question(&packet[12..length]) else { continue };
        asked.lock().unwrap().push(format!("{name} {kind}"));
        if let Some(answer) = answer(&packet[..length], records, &name, &kind) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn answer(query: &[u8], records: &[Record], name: &str, kind: &str) -> Option<Vec<u8>> {
    let of = |name: &str| records.iter().filter(|r| r.name.eq_ignore_ascii_case(name)).collect::<Vec<_>>();
    let mut known = of(name);
    let mut code = if known.is_empty() { NOT_FOUND } else { 0 };
    let mut found = Vec::new();
    while let Some(alias) = known.iter().find(|r| r.kind == "CNAME") {
        found.push(alias.encode());
        known = of(&alias.value);
    }
    for record in known {
        match record.kind.as_str() {
            "SILENT" => return None,
            "FAILS" => code = record.value.parse().unwrap(),
            "BARE-CNAME" => found.push(record.encode()),
            _ if record.kind == kind => found.push(record.encode()),
            _ => (),
        }
    }
    let end = query[12..].iter().position(|&b| b == 0)? + 12 + 5;
    let count = u16::try_from(found.len()).unwrap().to_be_bytes();
    let head = [&query[..2], &[0x81, 0x80 | code, 0, 1], &count, &[0; 4], &query[12..end]].concat();
    Some([head, found.concat()].concat())
}

/// Name and kind of the question, which begins there.
fn question(mut rest: &[u8]) -> Option<(String, String)> {
    let mut labels = Vec::new();
    loop {
        let (&length, behind) = rest.split_first()?;
        let (label, behind) = behind.split_at_checked(length.into())?;
        rest = behind;
        if label.is_empty() {
            break;
        }
        labels.push(String::from_utf8_lossy(label).into_owned());
    }
    let kinds = ["PTR", "A", "AAAA", "CNAME"];
    let kind = kinds.into_iter().find(|kind| rest.starts_with(&number(kind)))?;
    Some((labels.join("."), kind.to_owned()))
}

fn number(kind: &str) -> [u8; 2] {
    match kind {
        "A" => [0, 1],
        "CNAME" | "BARE-CNAME" => [0, 5],
        "PTR" => [0, 12],
        "AAAA" => [0, 28],
        other => panic!("no record type {other}"),
    }
}

fn encode_name(name: &str) -> Vec<u8> {
    let labels = name.trim_end_matches('.').split('.');
    let label = |label: &str| {
        let mut parts = label.split('%');
        let mut bytes = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        }
        [&[u8::try_from(bytes.len()).unwrap()][..], &bytes].concat()
    };
    let mut bytes: Vec<u8> = labels.flat_map(label).collect();
    bytes.push(0);
    bytes
}
