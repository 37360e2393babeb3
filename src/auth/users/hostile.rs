//! What holds for any users file, for the fuzz target `users_file` and the test of its corpus.
//!
//! An input is the text of a file.

use std::path::Path;

use super::file::Users;
use crate::addr::Address;

/// A password that has this must not be shown, nor any part of it that has it. No message has it by itself.
const CANARY: &[u8] = b"canary";

/// Reads a file, with `proxy_pass` and without: each of its lines has a user or a mistake, told with its number and without
/// the password.
pub fn check(text: &[u8]) {
    let path = Path::new("users");
    let proxy_pass = Address::Ip(([192, 0, 2, 1], 143).into()).into();
    for proxy_pass in [None, Some(&proxy_pass)] {
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        match Users::parse(path, text, proxy_pass) {
            Ok(users) => lines.iter().filter_map(|line| fields(line)).for_each(|(name, _)| {
                assert!(users.find(name).is_some(), "no user {}", name.escape_ascii());
            }),
            Err(mistakes) => {
                assert!(!mistakes.is_empty());
                mistakes.iter().for_each(|mistake| check_mistake(mistake, &lines));
                assert_eq!(Users::parse(path, text, proxy_pass).err(), Some(mistakes));
            }
        }
    }
}

fn check_mistake(mistake: &str, lines: &[&[u8]]) {
    let (said, number) = mistake.rsplit_once(" in users:").expect("the place");
    let number: usize = number.parse().expect("the number of a line");
    assert!((1..=lines.len()).contains(&number), "{mistake}");
    assert!(!said.is_empty() && !said.contains(['\r', '\n']), "{mistake}");
    let Some((name, rest)) = fields(lines[number - 1]) else { return };
    let mut rest = rest.splitn(2, |byte| *byte == b':');
    let [password, address] = [rest.next(), rest.next()].map(Option::unwrap_or_default);
    let is_plain = password.starts_with(b"{PLAIN}");
    // The rest of a line may be shown, unless it may be the rest of a password too.
    let shown = if is_plain { name.to_vec() } else { [name, b":", address].concat() };
    let has_canary = |text: &[u8]| text.windows(CANARY.len()).any(|part| part == CANARY);
    if !has_canary(&shown) {
        assert!(!has_canary(said.as_bytes()), "{mistake}");
    }
}

/// The name, and what is behind the first colon, of a line that is not skipped.
fn fields(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.trim_ascii().is_empty() || line.trim_ascii_start().starts_with(b"#") {
        return None;
    }
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], &line[colon + 1..]))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check;

    #[test]
    fn holds_for_the_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/users_file");
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus).expect("the corpus") {
            let path = entry.expect("an entry").path();
            // Shown only if the test fails.
            println!("{}", path.display());
            let input = std::fs::read(path).expect("a file");
            check(&input);
            (0..input.len()).for_each(|end| check(&input[..end]));
            inputs += 1;
        }
        assert!(inputs > 0);
    }
}
