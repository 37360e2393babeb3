//! Checks a directive against a table: its name, where it may stand, how many arguments it takes, whether it has a
//! block.

use crate::Directive;

/// A set of contexts: the blocks a directive may stand in. What each bit means is the program's affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contexts(pub u8);

impl Contexts {
    /// Both sets.
    pub const fn or(self, other: Contexts) -> Contexts {
        Contexts(self.0 | other.0)
    }

    /// Whether the sets have a context in common.
    pub const fn meets(self, other: Contexts) -> bool {
        self.0 & other.0 != 0
    }
}

/// How many arguments a directive takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arity {
    least: usize,
    most: usize,
}

impl Arity {
    /// No argument.
    pub const NONE: Arity = Arity::exactly(0);
    /// One or more.
    pub const ANY: Arity = Arity { least: 1, most: usize::MAX };

    /// This many.
    pub const fn exactly(count: usize) -> Arity {
        Arity { least: count, most: count }
    }

    /// From `least` to `most`.
    pub const fn between(least: usize, most: usize) -> Arity {
        Arity { least, most }
    }

    fn allows(self, count: usize) -> bool {
        (self.least..=self.most).contains(&count)
    }
}

/// A row of the table. `A` is what the program does with the directive.
#[derive(Debug)]
pub struct Entry<A> {
    /// The name; case matters. A name may have several rows, for different contexts.
    pub name: &'static str,
    /// Where it may stand.
    pub contexts: Contexts,
    /// Its arguments.
    pub arity: Arity,
    /// It has a block.
    pub block: bool,
    /// What to do with it.
    pub action: A,
}

/// Why a directive is refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In nginx's words.
    pub message: String,
    /// The name is not in the table at all.
    pub unknown: bool,
}

/// The row for a directive that stands in `context`.
///
/// # Errors
/// In nginx's words, if there is no such row or the directive does not fit it.
pub fn find<'t, A>(table: &'t [Entry<A>], directive: &Directive, context: Contexts) -> Result<&'t Entry<A>, Refusal> {
    let name = directive.name();
    let mut known = false;
    for entry in table.iter().filter(|entry| entry.name == name) {
        known = true;
        if entry.contexts.meets(context) {
            return fits(entry, directive).map(|()| entry);
        }
    }
    let message = match known {
        true => format!("\"{name}\" directive is not allowed here"),
        false => format!("unknown directive \"{name}\""),
    };
    Err(Refusal { message, unknown: !known })
}

fn fits<A>(entry: &Entry<A>, directive: &Directive) -> Result<(), Refusal> {
    let name = entry.name;
    let message = match (entry.block, directive.block.is_some()) {
        (false, true) => format!("directive \"{name}\" is not terminated by \";\""),
        (true, false) => format!("directive \"{name}\" has no opening \"{{\""),
        _ if !entry.arity.allows(directive.words.len() - 1) => {
            format!("invalid number of arguments in \"{name}\" directive")
        }
        _ => return Ok(()),
    };
    Err(Refusal { message, unknown: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Item, Origin, parse};

    const OUTER: Contexts = Contexts(1);
    const INNER: Contexts = Contexts(2);

    const TABLE: &[Entry<u8>] = &[
        Entry { name: "one", contexts: OUTER, arity: Arity::exactly(1), block: false, action: 1 },
        Entry { name: "some", contexts: INNER, arity: Arity::ANY, block: false, action: 2 },
        Entry { name: "some", contexts: OUTER, arity: Arity::between(2, 3), block: false, action: 3 },
        Entry { name: "block", contexts: OUTER, arity: Arity::NONE, block: true, action: 4 },
    ];

    fn look_up(text: &str, context: Contexts) -> Result<u8, String> {
        let items = parse(text.as_bytes(), Origin::File);
        let Item::Directive(directive) = &items[0] else { panic!("{items:?}") };
        find(TABLE, directive, context).map(|entry| entry.action).map_err(|refusal| refusal.message)
    }

    #[test]
    fn names_contexts_arities_and_blocks() {
        let arguments = |name| Err(format!("invalid number of arguments in \"{name}\" directive"));
        let rows = [
            ("one a;", OUTER, Ok(1)),
            ("one;", OUTER, arguments("one")),
            ("one a b;", OUTER, arguments("one")),
            ("one a;", INNER, Err("\"one\" directive is not allowed here".into())),
            ("One a;", OUTER, Err("unknown directive \"One\"".into())),
            ("one a {}", OUTER, Err("directive \"one\" is not terminated by \";\"".into())),
            ("some a;", INNER, Ok(2)),
            ("some a b;", OUTER, Ok(3)),
            ("some a b c d;", OUTER, arguments("some")),
            ("block {}", OUTER, Ok(4)),
            ("block a {}", OUTER, arguments("block")),
            ("block;", OUTER, Err("directive \"block\" has no opening \"{\"".into())),
        ];
        for (text, context, expected) in rows {
            assert_eq!(look_up(text, context), expected, "{text}");
        }
    }
}
