//! What holds for any answer of a name server, for the fuzz target `dns_answer` and the test of its corpus.
//!
//! An input is a byte that says what was asked for, and an answer behind its question: two bytes of flags, three counts,
//! and records. A byte above 127 means that all that follows is the answer, header and question too.

use std::net::IpAddr;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};

use super::answer::{self, Answer, Data};

/// The one who was asked about.
const HOST: &str = "mail.example.";
const ID: [u8; 2] = [0x12, 0x34];

/// Reads an answer: it is refused, or says something of the kind that was asked for, in names and numbers that can be.
pub fn check(input: &[u8]) {
    let (choice, rest) = input.split_first().unwrap_or((&0, &[]));
    let kind = [RecordType::PTR, RecordType::A, RecordType::AAAA][usize::from(choice % 3)];
    let query = Query::query(Name::from_ascii(HOST).expect("a good name"), kind);
    let mut question = Message::query();
    question.metadata.id = u16::from_be_bytes(ID);
    question.add_query(query.clone());
    let bytes = if *choice > 127 { rest.to_vec() } else { behind(&question, rest) };
    let Ok(Some(message)) = answer::message(&bytes, &question) else { return };
    assert!(bytes.starts_with(&ID), "an answer to another question");
    assert_eq!(message.queries, question.queries);
    let Ok((answer, _)) = answer::read(&message, &query) else { return };
    match answer {
        Answer::Alias(name) => assert_ne!(name, query.name, "an alias of itself"),
        Answer::Found(Data::Pointer(name)) => {
            assert_eq!(kind, RecordType::PTR);
            answer::host_name(&name).iter().for_each(|text| check_host_name(text));
        }
        Answer::Found(Data::Addresses(all)) => {
            assert!(!all.is_empty() && all.len() <= message.answers.len());
            let fits = |address: &IpAddr| kind == if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
            assert!(all.iter().all(fits), "{kind}: {all:?}");
        }
    }
}

/// It goes into headers, commands and the log.
fn check_host_name(text: &str) {
    assert!((1..=255).contains(&text.len()), "{text:?}");
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')), "{text:?}");
    assert!(text.split('.').all(|label| !label.is_empty()), "{text:?}");
}

/// An answer to the question: what comes first is for the header.
fn behind(question: &Message, rest: &[u8]) -> Vec<u8> {
    const HEADER: usize = 12;
    let asked = question.to_vec().expect("a question");
    let (header, records) = rest.split_at(rest.len().min(8));
    let mut bytes = asked.clone();
    // Flags; one question; the counts of the three sections of records.
    for (place, byte) in [2, 3, 6, 7, 8, 9, 10, 11].into_iter().zip(header) {
        bytes[place] = *byte;
    }
    debug_assert!(asked.len() > HEADER);
    bytes.extend_from_slice(records);
    bytes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;

    #[test]
    fn holds_for_the_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/dns_answer");
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus).expect("the corpus") {
            let path = entry.expect("an entry").path();
            // Shown only if the test fails.
            println!("{}", path.display());
            let input = std::fs::read(path).expect("a file");
            check(&input);
            for end in 0..input.len() {
                check(&input[..end]);
                let mut changed = input.clone();
                changed[end] ^= 1 << (end % 8);
                check(&changed);
            }
            inputs += 1;
        }
        assert!(inputs > 0);
    }
}
