//! Makes a tree of the directives of one file.
//!
//! A mistake becomes an item at its place in the tree, and parsing goes on behind it wherever the structure is still
//! known. So a caller that walks the tree meets syntax mistakes and its own in the order of the text, as nginx would if
//! it did not stop at the first.

use crate::Mistake;
use crate::lexer::{Failure, Lexer, Recovery, Token};

/// How deep blocks may stand in each other.
const DEEPEST: usize = 64;

/// What kind of text is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A configuration file.
    File,
    /// The parameter of the option `-g`: no blocks.
    CommandLine,
}

/// One thing in a block or a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A directive.
    Directive(Directive),
    /// Something that is none.
    Mistake(Mistake),
}

/// A directive: `name argument ... ;` or `name argument ... { ... }`.
#[derive(Debug, PartialEq, Eq)]
pub struct Directive {
    /// The name and the arguments; there is a name always.
    pub words: Vec<Vec<u8>>,
    /// The line of its `;` or `{`, from 1.
    pub line: usize,
    /// What stands in its block, if it has one.
    pub block: Option<Vec<Item>>,
}

impl Directive {
    /// The name, for lookups and messages.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.words[0]).into_owned()
    }

    /// The name and the arguments as text, or the first that is not UTF-8, as well as it can be written.
    ///
    /// # Errors
    /// See above.
    pub fn texts(&self) -> Result<Vec<String>, String> {
        let text = |word: &Vec<u8>| match std::str::from_utf8(word) {
            Ok(text) => Ok(text.to_string()),
            Err(_) => Err(String::from_utf8_lossy(word).into_owned()),
        };
        self.words.iter().map(text).collect()
    }
}

/// The tree of a text.
pub fn parse(text: &[u8], origin: Origin) -> Vec<Item> {
    let mut parser = Parser { lexer: Lexer::new(text, origin), origin, open: Vec::new(), items: Vec::new() };
    while let Next::GoOn = parser.step() {}
    parser.finish()
}

enum Next {
    GoOn,
    Stop,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    origin: Origin,
    /// The blocks around the current position, the outermost first.
    open: Vec<Block>,
    /// The items of the innermost open block.
    items: Vec<Item>,
}

struct Block {
    /// The directive the block belongs to; none if it is part of a mistake.
    head: Option<Directive>,
    /// The items before it.
    outer: Vec<Item>,
}

impl Parser<'_> {
    fn step(&mut self) -> Next {
        match self.lexer.next_token() {
            Ok(Token::End) => self.end(),
            Ok(Token::BlockEnd) => self.close(),
            Ok(Token::Directive { words, opens: false }) => {
                let directive = Directive { words, line: self.lexer.line(), block: None };
                self.items.push(Item::Directive(directive));
                Next::GoOn
            }
            Ok(Token::Directive { words, opens: true }) => {
                let head = Directive { words, line: self.lexer.line(), block: None };
                self.open(Some(head))
            }
            Err(failure) => self.recover(failure),
        }
    }

    fn recover(&mut self, failure: Failure) -> Next {
        self.items.push(Item::Mistake(failure.mistake));
        match failure.recovery {
            Recovery::Next => Next::GoOn,
            Recovery::Opened => self.open(None),
            Recovery::BlockEnd if self.open.is_empty() => Next::GoOn,
            Recovery::BlockEnd => self.close(),
            Recovery::End => Next::Stop,
        }
    }

    fn open(&mut self, head: Option<Directive>) -> Next {
        if self.origin == Origin::CommandLine {
            return self.stop("block directives are not supported in -g option");
        }
        if self.open.len() == DEEPEST {
            return self.stop("blocks are nested too deeply");
        }
        self.open.push(Block { head, outer: std::mem::take(&mut self.items) });
        Next::GoOn
    }

    fn close(&mut self) -> Next {
        match self.open.pop() {
            Some(block) => self.leave(block),
            None => self.mistake("unexpected \"}\"", false),
        }
        Next::GoOn
    }

    fn leave(&mut self, block: Block) {
        let inner = std::mem::replace(&mut self.items, block.outer);
        if let Some(head) = block.head {
            self.items.push(Item::Directive(Directive { block: Some(inner), ..head }));
        }
    }

    fn end(&mut self) -> Next {
        if !self.open.is_empty() {
            self.mistake("unexpected end of file, expecting \"}\"", true);
        }
        Next::Stop
    }

    fn stop(&mut self, message: &str) -> Next {
        self.mistake(message, true);
        Next::Stop
    }

    fn mistake(&mut self, message: &str, last: bool) {
        let mistake = Mistake { message: message.to_string(), line: self.lexer.line(), last };
        self.items.push(Item::Mistake(mistake));
    }

    fn finish(mut self) -> Vec<Item> {
        while let Some(block) = self.open.pop() {
            self.leave(block);
        }
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as text: `name args;`, `name args {...}`, `!LINE message!`.
    fn show(items: &[Item]) -> String {
        let words = |d: &Directive| d.words.iter().map(|w| String::from_utf8_lossy(w)).collect::<Vec<_>>().join(" ");
        let item = |item: &Item| match item {
            Item::Mistake(mistake) => format!("!{} {}!", mistake.line, mistake.message),
            Item::Directive(directive) => match &directive.block {
                None => format!("{};", words(directive)),
                Some(block) => format!("{}{{{}}}", words(directive), show(block)),
            },
        };
        items.iter().map(item).collect()
    }

    #[test]
    fn trees() {
        let rows = [
            ("", ""),
            ("# nothing\n", ""),
            ("a b; c { d; e { } } f;", "a b;c{d;e{}}f;"),
            ("a }\nb;", "!1 unexpected \"}\"!b;"),
            ("a { b }\nc;", "a{!1 unexpected \"}\"!}c;"),
            ("}\na;", "!1 unexpected \"}\"!a;"),
            (";a;", "!1 unexpected \";\"!a;"),
            ("{ a; } b;", "!1 unexpected \"{\"!b;"),
            ("a {\n b;\n", "a{b;!3 unexpected end of file, expecting \"}\"!}"),
            ("a {\n b\n", "a{!3 unexpected end of file, expecting \";\" or \"}\"!}"),
            ("a \"b\"c {d;} e;", "!1 unexpected \"c\"!e;"),
            ("a \"b\"c; e;", "!1 unexpected \"c\"!e;"),
        ];
        for (text, tree) in rows {
            assert_eq!(show(&parse(text.as_bytes(), Origin::File)), tree, "{text}");
        }
    }

    #[test]
    fn a_command_line_has_no_blocks() {
        let items = parse(b"a; b { c; }", Origin::CommandLine);
        assert_eq!(show(&items), "a;!1 block directives are not supported in -g option!");
        assert_eq!(show(&parse(b"a; }", Origin::CommandLine)), "a;!1 unexpected \"}\"!");
    }

    #[test]
    fn depth_is_bounded() {
        let text = "a {".repeat(1_000_000);
        let tree = show(&parse(text.as_bytes(), Origin::File));
        assert!(tree.contains("!1 blocks are nested too deeply!"), "{tree}");
    }

    #[test]
    fn the_line_is_that_of_the_terminator() {
        let items = parse(b"a\nb\n;c\n{\n}", Origin::File);
        let lines: Vec<_> = items.iter().map(|item| matches!(item, Item::Directive(d) if d.line >= 3)).collect();
        assert_eq!(lines, [true, true]);
    }

    #[test]
    fn words_that_are_not_utf_8_are_found() {
        let items = parse(b"a b\xff;", Origin::File);
        let Item::Directive(directive) = &items[0] else { panic!("{items:?}") };
        assert_eq!(directive.texts(), Err("b\u{fffd}".to_string()));
    }
}
