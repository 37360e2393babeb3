//! What a command line leads to: an answer, a test, a signal to a running Gatepost, or service.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use gatepost_conf::value;
use rustix::process::{Pid, kill_process};

use crate::boot::Boot;
use crate::cli::{self, Options, Signal};
use crate::config::{self, Config, Diagnostic, Paths, Recording, check};
use crate::layout;
use crate::log::{Destination, Errno, Level, Log, Logs, Spec};
use crate::master::state::Source;
use crate::reply::{self, Expected};

/// What is left to do.
pub enum Next {
    /// Nothing: end.
    Exit(ExitCode),
    /// Serve.
    Serve(Box<Boot>),
}

/// Does what the options ask for.
pub fn run(options: &Options) -> Next {
    if options.version {
        let _ = write!(io::stderr(), "{}", cli::about(options));
        if !options.test {
            return Next::Exit(ExitCode::SUCCESS);
        }
    }
    let paths = layout::paths(options, |file| Path::new(file).exists());
    let voice = Voice::new(&paths, options);
    let recording = Arc::new(Recording::of_machine());
    let loaded = config::load(&paths, options.globals.as_deref(), &*recording);
    voice.tell_all(&loaded.diagnostics);
    let Some(config) = loaded.config else {
        return Next::Exit(failed(options, &paths));
    };
    if options.test {
        return Next::Exit(test(&config, &loaded.files, options, &paths, &voice));
    }
    match options.signal {
        Some(Signal::Reload) => Next::Exit(reload(&config, &voice)),
        Some(signal) => Next::Exit(send(signal, &config.process.pid, &voice)),
        None => {
            let command_line = std::env::args_os().collect();
            let source = Source { paths, globals: options.globals.clone(), command_line };
            Next::Serve(Box::new(Boot { config, source, recording }))
        }
    }
}

/// `-t`, `-T`
fn test(config: &Config, files: &[(String, Vec<u8>)], options: &Options, paths: &Paths, voice: &Voice) -> ExitCode {
    if !options.quiet {
        say(&format!("the configuration file {} syntax is ok", paths.file));
    }
    let found = check::start_up(config);
    voice.tell_all(&found.list);
    if found.any_error() {
        return failed(options, paths);
    }
    if !options.quiet {
        say(&format!("configuration file {} test is successful", paths.file));
    }
    if options.dump && dump(files).is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn failed(options: &Options, paths: &Paths) -> ExitCode {
    if options.test {
        say(&format!("configuration file {} test failed", paths.file));
    }
    ExitCode::FAILURE
}

fn dump(files: &[(String, Vec<u8>)]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (name, text) in files {
        writeln!(out, "# configuration file {name}:")?;
        out.write_all(text)?;
        writeln!(out)?;
    }
    out.flush()
}

/// `-s`
fn send(signal: Signal, pid_file: &Path, voice: &Voice) -> ExitCode {
    match running(pid_file).and_then(|pid| kill(pid, signal)) {
        Ok(()) => ExitCode::SUCCESS,
        Err((level, message)) => {
            voice.tell(level, &message);
            ExitCode::FAILURE
        }
    }
}

/// `-s reload`: tries the configuration as `-t` does, and waits for what the running Gatepost makes of it.
fn reload(config: &Config, voice: &Voice) -> ExitCode {
    let pid = running(&config.process.pid);
    if pid.is_ok() {
        let found = check::start_up(config);
        voice.tell_all(&found.list);
        if found.any_error() {
            return ExitCode::FAILURE;
        }
    }
    let refused = pid.and_then(|pid| {
        let trouble = |error: io::Error| (Level::Alert, format!("the answer cannot be received{}", Errno(&error)));
        let expected = Expected::new().map_err(trouble)?;
        expected.signal(pid).map_err(|error| not_sent(pid, libc::SIGHUP, &error))?;
        let silent = |_| (Level::Error, "no answer: whether the configuration was loaded is in the log".to_string());
        expected.outcome(pid).map_err(silent)?.map_err(|mistakes| (Level::Emerg, mistakes))
    });
    match refused {
        Ok(()) => ExitCode::SUCCESS,
        Err((level, messages)) => {
            messages.lines().for_each(|message| voice.tell(level, message));
            ExitCode::FAILURE
        }
    }
}

/// The Gatepost that a pid file names.
fn running(pid_file: &Path) -> Result<Pid, (Level, String)> {
    let name = pid_file.display();
    let content = match fs::read(pid_file) {
        Ok(content) => content,
        Err(error) => return Err((Level::Error, format!("open() \"{name}\" failed{}", Errno(&error)))),
    };
    let content = String::from_utf8_lossy(&content);
    let text = content.trim_end_matches(['\r', '\n']);
    let pid = value::number(text).and_then(|number| i32::try_from(number).ok()).and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| (Level::Error, format!("invalid PID number \"{text}\" in \"{name}\"")))?;
    match is_gatepost(pid) {
        true => Ok(pid),
        false => Err((Level::Error, format!("process {} of \"{name}\" is not gatepost", pid.as_raw_nonzero()))),
    }
}

/// Whether a process has the signal of `-s reload` wait, as Gatepost does: the pid file may be nginx's, or out of date. Where
/// that cannot be seen, it is taken for one.
fn is_gatepost(pid: Pid) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())) else { return true };
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let blocked = blocked.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    blocked.is_none_or(|mask| mask & (1 << (reply::signal() - 1)) != 0)
}

fn kill(pid: Pid, signal: Signal) -> Result<(), (Level, String)> {
    use rustix::process::Signal as Os;
    let signal = match signal {
        Signal::Stop => Os::TERM,
        Signal::Quit => Os::QUIT,
        Signal::Reopen => Os::USR1,
        Signal::Reload => Os::HUP,
    };
    kill_process(pid, signal).map_err(|error| not_sent(pid, signal.as_raw(), &error.into()))
}

fn not_sent(pid: Pid, signal: i32, error: &io::Error) -> (Level, String) {
    (Level::Alert, format!("kill({}, {signal}) failed{}", pid.as_raw_nonzero(), Errno(error)))
}

/// Writes a line to standard error; if nobody reads it, there is nobody to tell.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "gatepost: {text}");
}

/// Speaks before the configuration's logs are open: to standard error, and to the log that `-e` or the layout names.
pub struct Voice {
    log: Option<Arc<Log>>,
    /// The log is standard error.
    log_is_stderr: bool,
    /// The least grave level for standard error.
    loudest: Level,
}

impl Voice {
    fn new(paths: &Paths, options: &Options) -> Voice {
        let destination = match paths.error_log.as_str() {
            "" => Destination::Stderr,
            name => Destination::File(paths.full(name)),
        };
        let level = if options.test { Level::Info } else { Level::Notice };
        let log_is_stderr = destination == Destination::Stderr;
        let opened = Logs::default().open(&[Spec { destination, level }]);
        let loudest = if options.quiet { Level::Warn } else { Level::Info };
        let voice = Voice { log: opened.as_ref().ok().map(Arc::clone), log_is_stderr, loudest };
        if let Err(error) = opened {
            voice.tell(Level::Alert, &format!("could not open error log file: {error}"));
        }
        voice
    }

    /// Says one thing.
    pub fn tell(&self, level: Level, message: &str) {
        if level <= self.loudest && !(self.log_is_stderr && self.log.is_some()) {
            say(&format!("[{}] {message}", level.name()));
        }
        if let Some(log) = &self.log {
            log.write(level, None, format_args!("{message}"));
        }
    }

    fn tell_all(&self, diagnostics: &[Diagnostic]) {
        for diagnostic in diagnostics {
            self.tell(diagnostic.level, &diagnostic.to_string());
        }
    }
}
