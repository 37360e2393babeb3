//! `gatepost passwd`: prints a line for a users file.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use argon2::{Argon2, PasswordHasher};
use gatepost_proto::{Secret, printable};
use lexopt::Arg;
use sha_crypt::{Algorithm, Params, ShaCrypt};

use super::file::{check_name, parse_server};
use super::password::MAX_PASSWORD;

const HELP: &str = "\
Usage: gatepost passwd [-a argon2|bcrypt|sha512|plain] NAME [ADDRESS[:PORT]]

Prints a line for the file of \"auth_users_file\". The password is asked for, or
read from standard input if that is no terminal.

  -a, --algorithm  how the password is stored (argon2); only \"plain\" serves
                   APOP and CRAM-MD5
  -h, --help       this text

ADDRESS is the mail server of this user: an IPv4 address, an IPv6 address in
brackets, or unix:/path. Without it, \"proxy_pass\" says where the user goes.
";

const BCRYPT_COST: u32 = 12;
const SHA512_ROUNDS: u32 = 100_000;

/// The longest password that bcrypt uses all of, bytes.
const BCRYPT_MAX_PASSWORD: usize = 72;

/// Runs `gatepost passwd` with the arguments behind that word.
pub fn passwd_command(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match command(args) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("gatepost passwd: {message}");
            ExitCode::FAILURE
        }
    }
}

fn command(args: impl IntoIterator<Item = OsString>) -> Result<String, String> {
    let Some(line) = Line::from_args(args)? else { return Ok(HELP.to_string()) };
    let stdin = io::stdin();
    let password = if stdin.is_terminal() { ask()? } else { read_first_line(stdin.lock())? };
    line.format(&password)
}

/// What the arguments ask for.
struct Line {
    algorithm: Storage,
    name: String,
    address: Option<String>,
}

/// How a password is stored.
#[derive(Clone, Copy)]
enum Storage {
    Argon2,
    Bcrypt,
    Sha512,
    Plain,
}

impl Line {
    /// None if only help is wanted.
    fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Option<Line>, String> {
        let mut parser = lexopt::Parser::from_args(args);
        let mut algorithm = Storage::Argon2;
        let mut names = Vec::new();
        while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Short('a') | Arg::Long("algorithm") => {
                    algorithm = Storage::from_name(parser.value().map_err(|error| error.to_string())?)?;
                }
                Arg::Value(value) => names.push(argument(value)?),
                other => return Err(format!("{}, try --help", other.unexpected())),
            }
        }
        let mut names = names.into_iter();
        let (name, address, more) = (names.next(), names.next(), names.next());
        let name = name.ok_or("no user name, try --help")?;
        if let Some(more) = more {
            return Err(format!("\"{more}\" is one argument too many, try --help"));
        }
        check_name(name.as_bytes())?;
        if let Some(address) = &address {
            let shown = printable(address.as_bytes());
            parse_server(address.as_bytes()).map_err(|wrong| format!("address \"{shown}\" {wrong}"))?;
        }
        Ok(Some(Line { algorithm, name, address }))
    }

    fn format(&self, password: &Secret) -> Result<String, String> {
        let field = self.algorithm.field(password.expose())?;
        let address = self.address.as_ref().map(|address| format!(":{address}")).unwrap_or_default();
        Ok(format!("{}:{field}{address}\n", self.name))
    }
}

impl Storage {
    fn from_name(name: OsString) -> Result<Storage, String> {
        match name.to_str() {
            Some("argon2") => Ok(Storage::Argon2),
            Some("bcrypt") => Ok(Storage::Bcrypt),
            Some("sha512") => Ok(Storage::Sha512),
            Some("plain") => Ok(Storage::Plain),
            _ => Err("the algorithm is one of argon2, bcrypt, sha512 and plain".into()),
        }
    }

    /// The password field.
    fn field(self, password: &[u8]) -> Result<String, String> {
        let failed = |error: &dyn std::fmt::Display| format!("the password cannot be hashed: {error}");
        match password.len() {
            0 => return Err("the password is empty".into()),
            1..=MAX_PASSWORD => {}
            _ => return Err(format!("the password is longer than {MAX_PASSWORD} bytes")),
        }
        match self {
            Storage::Argon2 => match Argon2::default().hash_password(password) {
                Ok(hash) => Ok(hash.to_string()),
                Err(error) => Err(failed(&error)),
            },
            Storage::Bcrypt if password.len() > BCRYPT_MAX_PASSWORD => {
                Err(format!("bcrypt uses only the first {BCRYPT_MAX_PASSWORD} bytes of a password, this one is longer"))
            }
            Storage::Bcrypt => bcrypt::hash(password, BCRYPT_COST).map_err(|error| failed(&error)),
            Storage::Sha512 => sha512(password),
            Storage::Plain => plain(password),
        }
    }
}

fn sha512(password: &[u8]) -> Result<String, String> {
    let mut salt = [0; 12];
    getrandom::fill(&mut salt).map_err(|error| format!("no random bytes for a salt: {error}"))?;
    let params = Params::new(SHA512_ROUNDS).expect("within the bounds of SHA-512 crypt");
    let hash = ShaCrypt::new(Algorithm::Sha512Crypt, params).hash_password_with_salt(password, &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| format!("the password cannot be hashed: {error}"))
}

fn plain(password: &[u8]) -> Result<String, String> {
    match std::str::from_utf8(password) {
        Ok(text) if text.contains(':') => Err("a plain password cannot have a \":\"".into()),
        Ok(text) if text.chars().any(char::is_control) => {
            Err("a plain password cannot have a control character".into())
        }
        Ok(text) => Ok(format!("{{PLAIN}}{text}")),
        Err(_) => Err("a plain password must be UTF-8".into()),
    }
}

fn argument(value: OsString) -> Result<String, String> {
    String::from_utf8(value.into_vec()).map_err(|_| "the arguments must be UTF-8".into())
}

fn ask() -> Result<Secret, String> {
    let prompt = |text| match rpassword::prompt_password(text) {
        Ok(password) => Ok(Secret::new(password.into_bytes())),
        Err(error) => Err(format!("the password cannot be read: {error}")),
    };
    let password = prompt("Password: ")?;
    if password == prompt("Again: ")? { Ok(password) } else { Err("these were two passwords".into()) }
}

/// Without its line end.
fn read_first_line(input: impl Read) -> Result<Secret, String> {
    let mut bytes = Vec::with_capacity(2 * MAX_PASSWORD);
    let read = input.take(bytes.capacity() as u64).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(|error| format!("the password cannot be read: {error}"))?;
    let line = bytes.expose().split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(Secret::from(line.strip_suffix(b"\r").unwrap_or(line)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::password::Password;
    use super::*;

    fn line(args: &[&str], input: &str) -> Result<String, String> {
        let line = Line::from_args(args.iter().map(OsString::from))?.ok_or("help")?;
        line.format(&read_first_line(input.as_bytes())?)
    }

    #[test]
    fn what_is_printed_can_be_used() {
        for (algorithm, begin) in [
            ("argon2", "bob:$argon2id$v=19$m=19456,t=2,p=1$"),
            ("bcrypt", "bob:$2b$12$"),
            ("sha512", "bob:$6$rounds=100000$"),
            ("plain", "bob:{PLAIN}p w"),
        ] {
            let line = line(&["-a", algorithm, "bob", "[::1]:143"], "p w\r\nmore").unwrap();
            assert!(line.starts_with(begin), "{line}");
            let fields = line.splitn(3, ':').collect::<Vec<_>>();
            assert_eq!(fields[2], "[::1]:143\n");
            let password = Password::parse(fields[1].as_bytes()).unwrap();
            assert!(password.verify(b"p w"), "{line}");
            assert!(!password.verify(b"p w\r"), "{line}");
        }
        assert_eq!(line(&["--algorithm=plain", "bob"], "x"), Ok("bob:{PLAIN}x\n".into()));
    }

    #[test]
    fn mistakes() {
        let long = "x".repeat(73);
        let very_long = "x".repeat(MAX_PASSWORD + 1);
        for (args, input, message) in [
            (&["-h"][..], "", "help"),
            (&[], "x", "no user name, try --help"),
            (&["a", "::1", "c"], "x", "\"c\" is one argument too many, try --help"),
            (&["-x", "a"], "x", "invalid option '-x', try --help"),
            (&["-a", "md5", "a"], "x", "the algorithm is one of argon2, bcrypt, sha512 and plain"),
            (&["-a"], "x", "missing argument for option '-a'"),
            (&["a:b"], "x", "user name \"a:b\" has a \":\""),
            (&[""], "x", "user name \"\" is empty"),
            (&["#a"], "x", "user name \"#a\" begins with \"#\""),
            (&["a "], "x", "user name \"a \" begins or ends with a space"),
            (&["a\nb"], "x", "user name \"a\\x0Ab\" has a control character"),
            (&["a", "::1"], "x", "address \"::1\" is an IPv6 address without brackets"),
            (
                &["a", "localhost"],
                "x",
                "address \"localhost\" is not an IP address with or without a port, nor unix:/path",
            ),
            (&["a"], "\n", "the password is empty"),
            (&["a"], &very_long, "the password is longer than 1024 bytes"),
            (&["-abcrypt", "a"], &long, "bcrypt uses only the first 72 bytes of a password, this one is longer"),
            (&["-aplain", "a"], "x:y", "a plain password cannot have a \":\""),
            (&["-aplain", "a"], "x\ty", "a plain password cannot have a control character"),
        ] {
            assert_eq!(line(args, input).unwrap_err(), message, "{args:?}");
        }
    }
}
