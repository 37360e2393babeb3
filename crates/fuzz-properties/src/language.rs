//! The configuration language.
//!
//! An input is the text of a file.

use gatepost_conf::address::{self, Form};
use gatepost_conf::{Directive, Item, Origin, parse, value};

/// Words longer than this may be too long once they are quoted.
const LONG: usize = 2000;

/// Any text has a tree, which comes out the same when it is written down and read again.
pub fn check(input: &[u8]) {
    let lines = 1 + input.iter().filter(|byte| **byte == b'\n').count();
    for origin in [Origin::File, Origin::CommandLine] {
        let items = parse(input, origin);
        assert!(size(&items) <= input.len(), "there is more in the tree than in the text");
        for item in &items {
            check_item(item, lines);
        }
        if origin == Origin::File && !has_mistake(&items) {
            round_trip(&items);
        }
    }
}

fn check_item(item: &Item, lines: usize) {
    match item {
        Item::Mistake(mistake) => {
            assert!((1..=lines).contains(&mistake.line), "{mistake:?}");
            assert!(!mistake.message.is_empty());
        }
        Item::Directive(directive) => {
            assert!((1..=lines).contains(&directive.line), "{directive:?}");
            check_values(directive);
            directive.block.iter().flatten().for_each(|item| check_item(item, lines));
        }
    }
}

fn check_values(directive: &Directive) {
    let Ok(words) = directive.texts() else { return };
    assert_eq!(words[0], directive.name());
    for word in &words {
        let _ = (value::number(word), value::offset(word), value::seconds(word), value::milliseconds(word));
        assert!(value::size(word).is_none_or(|size| value::offset(word) == Some(size)));
        for form in [Form::Plain, Form::WithUri, Form::Listen] {
            if let Ok(written) = address::parse(word, form) {
                assert!(word.contains(written.host_text), "{written:?} out of {word:?}");
            }
        }
        if let Some(cidr) = address::cidr(word) {
            assert!(cidr.prefix <= if cidr.address.is_ipv4() { 32 } else { 128 }, "{word:?}");
        }
    }
}

/// The bytes of all words.
fn size(items: &[Item]) -> usize {
    let directives = items.iter().filter_map(|item| match item {
        Item::Directive(directive) => Some(directive),
        Item::Mistake(_) => None,
    });
    directives
        .map(|directive| {
            let words: usize = directive.words.iter().map(Vec::len).sum();
            words + size(directive.block.as_deref().unwrap_or_default())
        })
        .sum()
}

fn has_mistake(items: &[Item]) -> bool {
    items.iter().any(|item| match item {
        Item::Mistake(_) => true,
        Item::Directive(directive) => {
            directive.words.iter().any(|word| word.len() > LONG)
                || has_mistake(directive.block.as_deref().unwrap_or_default())
        }
    })
}

fn round_trip(items: &[Item]) {
    let mut text = Vec::new();
    write(items, &mut text);
    let read = parse(&text, Origin::File);
    let mut again = Vec::new();
    write(&read, &mut again);
    assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&text));
    assert!(!has_mistake(&read), "{read:?}");
}

/// Writes a tree without mistakes, every word in quotes.
fn write(items: &[Item], text: &mut Vec<u8>) {
    for item in items {
        let Item::Directive(directive) = item else { continue };
        for word in &directive.words {
            text.push(b'"');
            for byte in word {
                if matches!(byte, b'"' | b'\\') {
                    text.push(b'\\');
                }
                text.push(*byte);
            }
            text.extend(b"\" ");
        }
        match &directive.block {
            None => text.extend(b";\n"),
            Some(inside) => {
                text.extend(b"{\n");
                write(inside, text);
                text.extend(b"}\n");
            }
        }
    }
}
