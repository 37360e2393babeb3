//! The command line: nginx's options, `--help` and `--version`, and subcommands.

use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

use crate::layout::{GATEPOST, Layout, NGINX};
use crate::tls;

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Run, or test, or tell about ourselves.
    Run(Options),
    /// `gatepost passwd ...`: the arguments behind it.
    Passwd(Vec<OsString>),
}

/// nginx's options.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-h`, `-?`, `--help`
    pub help: bool,
    /// `-v`, `-V`, `-h`, `--version`
    pub version: bool,
    /// `-V`
    pub build: bool,
    /// `-t`, `-T`
    pub test: bool,
    /// `-T`
    pub dump: bool,
    /// `-q`
    pub quiet: bool,
    /// `-s`
    pub signal: Option<Signal>,
    /// `-p`
    pub prefix: Option<String>,
    /// `-e`
    pub error_log: Option<String>,
    /// `-c`
    pub file: Option<String>,
    /// `-g`
    pub globals: Option<String>,
}

/// The operand of `-s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// At once.
    Stop,
    /// When the sessions have ended.
    Quit,
    /// Open the logs anew.
    Reopen,
    /// Read the configuration anew.
    Reload,
}

/// Reads a command line, the program's name excluded.
///
/// # Errors
/// In nginx's words.
pub fn parse(args: Vec<OsString>) -> Result<Invocation, String> {
    if args.first().is_some_and(|first| first == "passwd") {
        return Ok(Invocation::Passwd(args.into_iter().skip(1).collect()));
    }
    let mut options = Options::default();
    let mut parser = Parser::from_args(args);
    parser.set_short_equals(false);
    loop {
        // To nginx `--` is an option like any other that it does not have.
        if parser.try_raw_args().is_some_and(|rest| rest.peek() == Some(OsStr::new("--"))) {
            return Err("invalid option: \"-\"".to_string());
        }
        match parser.next().map_err(|error| error.to_string())? {
            None => return Ok(Invocation::Run(options)),
            Some(Arg::Short(letter @ ('p' | 'e' | 'c' | 'g' | 's'))) => options.operand(letter, &mut parser)?,
            Some(arg) => options.switch(&arg)?,
        }
    }
}

impl Options {
    fn switch(&mut self, arg: &Arg<'_>) -> Result<(), String> {
        match arg {
            Arg::Short('?' | 'h') | Arg::Long("help") => (self.version, self.help) = (true, true),
            Arg::Short('v') | Arg::Long("version") => self.version = true,
            Arg::Short('V') => (self.version, self.build) = (true, true),
            Arg::Short('t') => self.test = true,
            Arg::Short('T') => (self.test, self.dump) = (true, true),
            Arg::Short('q') => self.quiet = true,
            // nginx takes a dash alone for no option at all.
            Arg::Value(value) if value == "-" => {}
            Arg::Value(value) => return Err(format!("invalid option: \"{}\"", value.to_string_lossy())),
            Arg::Short(letter) => return Err(format!("invalid option: \"{letter}\"")),
            Arg::Long(_) => return Err("invalid option: \"-\"".to_string()),
        }
        Ok(())
    }

    fn operand(&mut self, letter: char, parser: &mut Parser) -> Result<(), String> {
        let what = match letter {
            'p' => "directory name",
            'c' | 'e' => "file name",
            _ => "parameter",
        };
        let missing = |_| format!("option \"-{letter}\" requires {what}");
        let operand = parser.value().map_err(missing)?.to_string_lossy().into_owned();
        match letter {
            'p' => self.prefix = Some(operand),
            'e' => self.error_log = Some(operand),
            'c' => self.file = Some(operand),
            'g' => self.globals = Some(operand),
            _ => self.signal = Some(signal(&operand)?),
        }
        Ok(())
    }
}

fn signal(name: &str) -> Result<Signal, String> {
    match name {
        "stop" => Ok(Signal::Stop),
        "quit" => Ok(Signal::Quit),
        "reopen" => Ok(Signal::Reopen),
        "reload" => Ok(Signal::Reload),
        _ => Err(format!("invalid option: \"-s {name}\"")),
    }
}

/// The answer to `-v`, `-V` and `-h`.
pub fn about(options: &Options) -> String {
    let mut text = format!("gatepost version: gatepost/{}\n", env!("CARGO_PKG_VERSION"));
    if options.help {
        text += &help();
    }
    if options.build {
        let (rustc, target, profile) = (env!("GATEPOST_RUSTC"), env!("GATEPOST_TARGET"), env!("GATEPOST_PROFILE"));
        let library = tls::library();
        text += &format!("built by {rustc}\nbuilt for {target}, profile {profile}\n");
        text += &format!("built with {library}\nTLS SNI support enabled\n");
    }
    text
}

fn help() -> String {
    let either = |of: fn(&Layout) -> &'static str| format!("{}, or {}", of(&GATEPOST), of(&NGINX));
    format!(
        "Usage: gatepost [-?hvVtTq] [-s signal] [-p prefix]
                [-e filename] [-c filename] [-g directives]
       gatepost passwd --help

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and how it was built then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a running gatepost: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: {prefix})
  -e filename   : set error log file (default: {error_log})
  -c filename   : set configuration file (default: {file})
  -g directives : set global directives out of configuration file

Of two defaults the second, which is nginx's, is taken where there is no file
gatepost.conf in the prefix. The pid file is {pid}.

",
        prefix = either(|layout| layout.prefix),
        error_log = either(|layout| layout.error_log),
        file = either(|layout| layout.file),
        pid = either(|layout| layout.pid),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn options(args: &[&str]) -> Result<Options, String> {
        match parse(args.iter().map(OsString::from).collect())? {
            Invocation::Run(options) => Ok(options),
            Invocation::Passwd(_) => panic!("{args:?}"),
        }
    }

    #[test]
    fn options_alone_and_together() {
        let test = Options { test: true, ..Options::default() };
        assert_eq!(options(&["-t"]).unwrap(), test);
        assert_eq!(options(&["-", "-t"]).unwrap(), test);
        let quiet = Options { test: true, quiet: true, file: Some("a".into()), ..Options::default() };
        for args in [&["-tq", "-c", "a"][..], &["-t", "-q", "-ca"], &["-tqc", "a"], &["-qtca"]] {
            assert_eq!(options(args).unwrap(), quiet, "{args:?}");
        }
        let dump = Options { test: true, dump: true, ..Options::default() };
        assert_eq!(options(&["-T"]).unwrap(), dump);
        assert_eq!(options(&["-c=a"]).unwrap().file.as_deref(), Some("=a"));
        assert_eq!(options(&["-c", "-t"]).unwrap().file.as_deref(), Some("-t"));
        assert_eq!(options(&["-s", "reload"]).unwrap().signal, Some(Signal::Reload));
        assert_eq!(options(&["-sstop"]).unwrap().signal, Some(Signal::Stop));
        assert!(options(&["-?"]).unwrap().help);
        assert!(options(&["--help"]).unwrap().help);
        assert!(options(&["-V"]).unwrap().build);
    }

    #[test]
    fn mistakes() {
        for (args, message) in [
            (&["x"][..], "invalid option: \"x\""),
            (&[""], "invalid option: \"\""),
            (&["-x"], "invalid option: \"x\""),
            (&["-tx"], "invalid option: \"x\""),
            (&["--"], "invalid option: \"-\""),
            (&["--test"], "invalid option: \"-\""),
            (&["-s", "x"], "invalid option: \"-s x\""),
            (&["-c"], "option \"-c\" requires file name"),
            (&["-e"], "option \"-e\" requires file name"),
            (&["-tp"], "option \"-p\" requires directory name"),
            (&["-g"], "option \"-g\" requires parameter"),
            (&["-s"], "option \"-s\" requires parameter"),
        ] {
            assert_eq!(options(args), Err(message.to_string()), "{args:?}");
        }
    }

    #[test]
    fn subcommands() {
        let args = ["passwd", "alice"].map(OsString::from).to_vec();
        assert_eq!(parse(args), Ok(Invocation::Passwd(vec!["alice".into()])));
    }
}
