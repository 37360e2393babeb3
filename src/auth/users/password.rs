//! The password field of a users file: bcrypt, SHA-512 crypt, Argon2, or `{PLAIN}`.

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordVerifier};
use gatepost_proto::Secret;
use sha_crypt::ShaCrypt;
use subtle::ConstantTimeEq;

/// The longest password that can be right, bytes. SHA-512 crypt takes time by the square of it.
pub(super) const MAX_PASSWORD: usize = 1024;

/// What a hash may cost a login at most: some seconds.
const MAX_BCRYPT_COST: u32 = 16;
const MAX_SHA512_ROUNDS: u32 = 5_000_000;
const MAX_ARGON2_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_ARGON2_PASSES: u32 = 64;
const MAX_ARGON2_LANES: u32 = 64;

/// A stored password.
#[derive(Debug)]
pub(super) enum Password {
    Plain(Secret),
    Bcrypt { hash: Secret, cost: u32 },
    Sha512 { hash: Secret, rounds: u32 },
    Argon2(Box<PasswordHash>, Params),
}

/// What makes two hashes take the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cost {
    Bcrypt(u32),
    Sha512(u32),
    Argon2(String, Params),
}

impl Password {
    /// Reads a password field. The error says what would be right, and nothing of the field.
    pub(super) fn parse(field: &[u8]) -> Result<Password, String> {
        if let Some(plain) = field.strip_prefix(b"{PLAIN}") {
            return Password::parse_plain(plain);
        }
        match std::str::from_utf8(field) {
            Ok(hash) if hash.starts_with("$2") => Password::parse_bcrypt(hash),
            Ok(hash) if hash.starts_with("$6$") => Password::parse_sha512(hash),
            Ok(hash) if hash.starts_with("$argon2") => Password::parse_argon2(hash),
            _ => Err("begins with none of \"$argon2id$\", \"$2b$\", \"$6$\" and \"{PLAIN}\"".into()),
        }
    }

    fn parse_plain(plain: &[u8]) -> Result<Password, String> {
        match plain.len() {
            0 => Err("is empty".into()),
            1..=MAX_PASSWORD => Ok(Password::Plain(Secret::from(plain))),
            _ => Err(format!("is longer than {MAX_PASSWORD} bytes")),
        }
    }

    fn parse_bcrypt(hash: &str) -> Result<Password, String> {
        let known = ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix));
        let parts = hash.parse::<bcrypt::HashParts>().ok().filter(|_| known);
        let cost =
            parts.ok_or("is no bcrypt hash: \"$2b$\", a cost of two digits, \"$\" and 53 characters")?.get_cost();
        if !(4..=MAX_BCRYPT_COST).contains(&cost) {
            return Err(format!("has a bcrypt cost of {cost}: from 4 to {MAX_BCRYPT_COST} will do"));
        }
        Ok(Password::Bcrypt { hash: Secret::from(hash.as_bytes()), cost })
    }

    fn parse_sha512(hash: &str) -> Result<Password, String> {
        let wrong = "is no SHA-512 crypt hash: \"$6$\", maybe \"rounds=N$\", a salt, \"$\" and 86 characters";
        let mut fields = hash["$6$".len()..].split('$').peekable();
        let rounds = match fields.peek().and_then(|field| field.strip_prefix("rounds=")) {
            Some(rounds) => {
                fields.next();
                rounds.parse().map_err(|_| wrong)?
            }
            None => sha_crypt::Params::RECOMMENDED_ROUNDS,
        };
        if !(sha_crypt::Params::ROUNDS_MIN..=MAX_SHA512_ROUNDS).contains(&rounds) {
            return Err(format!("has {rounds} rounds of SHA-512 crypt: from 1000 to {MAX_SHA512_ROUNDS} will do"));
        }
        let crypt = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
        match (fields.next(), fields.next(), fields.next()) {
            (Some(salt), Some(digest), None) if !salt.is_empty() && digest.len() == 86 && crypt(digest) => {
                Ok(Password::Sha512 { hash: Secret::from(hash.as_bytes()), rounds })
            }
            _ => Err(wrong.into()),
        }
    }

    fn parse_argon2(text: &str) -> Result<Password, String> {
        let wrong = "is no Argon2 hash: \"$argon2id$v=19$m=...,t=...,p=...$\", a salt, \"$\" and a hash";
        let hash = PasswordHash::new(text).map_err(|_| wrong)?;
        let known = Algorithm::try_from(hash.algorithm.as_str()).is_ok() && hash.salt.is_some() && hash.hash.is_some();
        let params = Params::try_from(&hash).ok().filter(|_| known).ok_or(wrong)?;
        if params.m_cost() > MAX_ARGON2_MEMORY_KIB
            || params.t_cost() > MAX_ARGON2_PASSES
            || params.p_cost() > MAX_ARGON2_LANES
        {
            return Err(format!(
                "is an Argon2 hash that costs too much: m={MAX_ARGON2_MEMORY_KIB},t={MAX_ARGON2_PASSES},\
                 p={MAX_ARGON2_LANES} is the most"
            ));
        }
        Ok(Password::Argon2(Box::new(hash), params))
    }

    /// The cost of [`Password::verify`]; none if there is nothing to hash.
    pub(super) fn cost(&self) -> Option<Cost> {
        match self {
            Password::Plain(_) => None,
            Password::Bcrypt { cost, .. } => Some(Cost::Bcrypt(*cost)),
            Password::Sha512 { rounds, .. } => Some(Cost::Sha512(*rounds)),
            Password::Argon2(hash, params) => Some(Cost::Argon2(hash.algorithm.as_str().into(), params.clone())),
        }
    }

    /// The password itself, where it is known.
    pub(super) fn plain(&self) -> Option<&Secret> {
        match self {
            Password::Plain(plain) => Some(plain),
            _ => None,
        }
    }

    /// Whether this is the password. Costs the same whatever the answer.
    pub(super) fn verify(&self, candidate: &[u8]) -> bool {
        let hashed = &candidate[..candidate.len().min(MAX_PASSWORD)];
        let good = match self {
            Password::Plain(plain) => plain.expose().ct_eq(candidate).into(),
            Password::Bcrypt { hash, .. } => bcrypt::verify(hashed, text(hash)).unwrap_or(false),
            Password::Sha512 { hash, .. } => ShaCrypt::SHA512.verify_password(hashed, text(hash)).is_ok(),
            Password::Argon2(hash, _) => Argon2::default().verify_password(hashed, &**hash).is_ok(),
        };
        good && hashed.len() == candidate.len()
    }
}

fn text(hash: &Secret) -> &str {
    std::str::from_utf8(hash.expose()).expect("hashes are parsed from text")
}
