//! Reads a configuration: follows `include`, looks every directive up in the table, and calls its setter.
//!
//! It goes on after a mistake, so one run finds them all; the first it reports is the one nginx would.

use std::io;
use std::path::Path;
use std::sync::Arc;

use gatepost_conf::table::{self, Contexts, Entry};
use gatepost_conf::{Directive, Item, Mistake, Origin, parse};

use super::Config;
use super::call::{Call, Outcome};
use super::diagnostic::{Diagnostic, Diagnostics, Place};
use super::listen::sockets;
use super::merge::{self, Mail};
use super::paths::Paths;
use super::settings::{MailSettings, MainSettings};
use super::system::System;
use crate::directives::{Action, DIRECTIVES, EVENTS, MAIL, MAIN, SERVER};
use crate::log::{Errno, Level};
use crate::tls::options::SharedCache;

/// How deep files may include each other.
const DEEPEST_INCLUDE: usize = 32;

/// What came of reading a configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; none if there is an error among the diagnostics.
    pub config: Option<Config>,
    /// What there is to tell.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read, each once, in the order of reading.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Reads the configuration file that `paths` names, after the directives of the option `-g`.
pub fn load(paths: &Paths, globals: Option<&str>, system: &dyn System) -> Loaded {
    let mut loader = Loader::new(paths, system);
    if let Some(globals) = globals {
        let items = parse(globals.as_bytes(), Origin::CommandLine);
        loader.items(&items, &Source::CommandLine, &mut Scope::Main);
    }
    if let Err(message) = loader.file(&paths.file, &mut Scope::Main) {
        loader.diagnostics.error(&Place::Nowhere, message);
    }
    loader.finish()
}

struct Loader<'a> {
    paths: &'a Paths,
    system: &'a dyn System,
    main: MainSettings,
    mail: Option<(MailSettings, Vec<MailSettings>)>,
    caches: Vec<SharedCache>,
    diagnostics: Diagnostics,
    files: Vec<(String, Vec<u8>)>,
    /// How many files are open now.
    depth: usize,
    /// A mistake after which more reading would only repeat it.
    hopeless: bool,
}

/// Where text comes from.
enum Source {
    CommandLine,
    File(Arc<str>),
}

impl Source {
    fn place(&self, line: usize) -> Place {
        match self {
            Source::CommandLine => Place::CommandLine,
            Source::File(file) => Place::Line { file: Arc::clone(file), line },
        }
    }
}

/// The block that directives stand in.
enum Scope<'s> {
    Main,
    Events,
    Mail(&'s mut MailSettings, &'s mut Vec<MailSettings>),
    Server(&'s mut MailSettings),
}

impl Scope<'_> {
    fn context(&self) -> Contexts {
        match self {
            Scope::Main => MAIN,
            Scope::Events => EVENTS,
            Scope::Mail(..) => MAIL,
            Scope::Server(_) => SERVER,
        }
    }

    /// Something here could not be understood, so nothing can be called missing.
    fn taint(&mut self) {
        match self {
            Scope::Mail(settings, _) | Scope::Server(settings) => settings.tainted = true,
            Scope::Main | Scope::Events => {}
        }
    }
}

impl<'a> Loader<'a> {
    fn new(paths: &'a Paths, system: &'a dyn System) -> Self {
        Loader {
            paths,
            system,
            main: MainSettings::default(),
            mail: None,
            caches: Vec::new(),
            diagnostics: Diagnostics::default(),
            files: Vec::new(),
            depth: 0,
            hopeless: false,
        }
    }

    fn file(&mut self, path: &str, scope: &mut Scope<'_>) -> Outcome {
        if self.depth == DEEPEST_INCLUDE {
            self.hopeless = true;
            return Err(format!("files are included too deeply at \"{path}\""));
        }
        let text = self.system.read(Path::new(path)).map_err(|error| unreadable(path, &error))?;
        if !self.files.iter().any(|(known, _)| known == path) {
            self.files.push((path.to_string(), text.clone()));
        }
        self.depth += 1;
        self.items(&parse(&text, Origin::File), &Source::File(path.into()), scope);
        self.depth -= 1;
        Ok(())
    }

    fn items(&mut self, items: &[Item], source: &Source, scope: &mut Scope<'_>) {
        for item in items {
            if self.hopeless {
                return;
            }
            match item {
                Item::Directive(directive) => self.directive(directive, source, scope),
                Item::Mistake(Mistake { message, line, .. }) => {
                    scope.taint();
                    self.diagnostics.error(&source.place(*line), message);
                }
            }
        }
    }

    fn directive(&mut self, directive: &Directive, source: &Source, scope: &mut Scope<'_>) {
        let place = source.place(directive.line);
        let outcome = match table::find(DIRECTIVES, directive, scope.context()) {
            Ok(entry) => {
                // Where a semicolon is missing, the next directive is among the arguments.
                let may_hide_another = directive.words.len() > 2;
                self.known(entry, directive, source, scope).map_err(|message| (message, may_hide_another))
            }
            Err(refusal) => Err((refusal.message, true)),
        };
        if let Err((message, taints)) = outcome {
            self.diagnostics.error(&place, message);
            if taints {
                scope.taint();
            }
        }
    }

    fn known(
        &mut self,
        entry: &Entry<Action>,
        directive: &Directive,
        source: &Source,
        scope: &mut Scope<'_>,
    ) -> Outcome {
        let inside = directive.block.as_deref().unwrap_or_default();
        let place = source.place(directive.line);
        match entry.action {
            Action::Skip => self.skip(entry.name, inside, source, &place),
            Action::Events => self.events(inside, source),
            Action::Mail => self.mail(inside, source, place),
            Action::Server => {
                self.server(inside, source, place, scope);
                Ok(())
            }
            Action::Include => {
                let words = texts(directive)?;
                self.include(&words[1], scope).inspect_err(|_| scope.taint())
            }
            Action::Main(set) => {
                let words = texts(directive)?;
                let mut main = std::mem::take(&mut self.main);
                let outcome = set(&mut main, &mut self.call(&words, place));
                self.main = main;
                outcome
            }
            Action::Block(set) => {
                let words = texts(directive)?;
                let (Scope::Mail(settings, _) | Scope::Server(settings)) = scope else {
                    unreachable!("the table allows it in mail and server only");
                };
                set(settings, &mut self.call(&words, place))
            }
        }
    }

    fn call<'c>(&'c mut self, words: &'c [String], place: Place) -> Call<'c> {
        Call {
            name: &words[0],
            args: &words[1..],
            place,
            system: self.system,
            paths: self.paths,
            caches: &mut self.caches,
            diagnostics: &mut self.diagnostics,
        }
    }

    /// Refuses a block that was there already.
    fn first(&mut self, name: &'static str) -> Outcome {
        if self.main.blocks.contains(&name) {
            return Err(format!("\"{name}\" directive is duplicate"));
        }
        self.main.blocks.push(name);
        Ok(())
    }

    /// Of a block that is skipped only this counts: that it has an end.
    fn skip(&mut self, name: &'static str, inside: &[Item], source: &Source, place: &Place) -> Outcome {
        self.first(name)?;
        let message = format!("the \"{name}\" block is not for a mail proxy, skipped");
        self.diagnostics.push(Level::Notice, place, message);
        if let Some(mistake) = last_mistake(inside) {
            self.diagnostics.error(&source.place(mistake.line), &mistake.message);
        }
        Ok(())
    }

    fn events(&mut self, inside: &[Item], source: &Source) -> Outcome {
        self.first("events")?;
        self.items(inside, source, &mut Scope::Events);
        Ok(())
    }

    fn mail(&mut self, inside: &[Item], source: &Source, place: Place) -> Outcome {
        self.first("mail")?;
        let mut mail = MailSettings::new(place);
        let mut servers = Vec::new();
        self.items(inside, source, &mut Scope::Mail(&mut mail, &mut servers));
        Mail { mail: &mail, servers: &servers, error_log: &[], system: self.system, paths: self.paths }
            .check(&mut self.diagnostics);
        self.mail = Some((mail, servers));
        Ok(())
    }

    fn server(&mut self, inside: &[Item], source: &Source, place: Place, scope: &mut Scope<'_>) {
        let mut server = MailSettings::new(place);
        self.items(inside, source, &mut Scope::Server(&mut server));
        if !server.listen_seen && !server.tainted {
            let message = format!("no \"listen\" is defined for server{}", server.place);
            self.diagnostics.error(&Place::Nowhere, message);
        }
        if let Scope::Mail(_, servers) = scope {
            servers.push(server);
        }
    }

    fn include(&mut self, name: &str, scope: &mut Scope<'_>) -> Outcome {
        let path = self.paths.beside_configuration(name);
        let path = path.to_string_lossy();
        if !path.contains(['*', '?', '[']) {
            return self.file(&path, scope);
        }
        let found = self.system.glob(Path::new(&*path));
        for file in found.map_err(|error| format!("glob() \"{path}\" failed{}", Errno(&error)))? {
            self.file(&file.to_string_lossy(), scope)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Loaded {
        let config = if self.diagnostics.any_error() { None } else { self.config() };
        Loaded { config, diagnostics: self.diagnostics.list, files: self.files }
    }

    fn config(&mut self) -> Option<Config> {
        let process = merge::process(&self.main, self.paths);
        let servers = match &self.mail {
            None => Vec::new(),
            Some((mail, servers)) => {
                Mail { mail, servers, error_log: &process.error_log, system: self.system, paths: self.paths }.merge()?
            }
        };
        let sockets = sockets(&servers);
        let (connections, listening) = (self.main.worker_connections, sockets.len());
        if let Some(connections) = connections.filter(|most| *most <= listening as u64) {
            let message = format!("{connections} worker_connections are not enough for {listening} listening sockets");
            self.diagnostics.error(&Place::Nowhere, message);
            return None;
        }
        Some(Config {
            process,
            has_mail: self.mail.is_some(),
            sockets,
            servers: servers.into_iter().map(|one| one.server).collect(),
        })
    }
}

/// The mistake at which parsing ended, if it ended in one of these items.
fn last_mistake(items: &[Item]) -> Option<&Mistake> {
    items.last().and_then(|item| match item {
        Item::Mistake(mistake) => Some(mistake).filter(|mistake| mistake.last),
        Item::Directive(directive) => last_mistake(directive.block.as_deref()?),
    })
}

fn unreadable(path: &str, error: &io::Error) -> String {
    // nginx opens a directory without trouble, and fails to read it.
    let call = if error.kind() == io::ErrorKind::IsADirectory { "pread" } else { "open" };
    format!("{call}() \"{path}\" failed{}", Errno(error))
}

fn texts(directive: &Directive) -> Outcome<Vec<String>> {
    directive.texts().map_err(|word| format!("invalid UTF-8 in \"{word}\""))
}
