//! Users files, and logins against them.
#![allow(clippy::unwrap_used)]

use gatepost_proto::{Dialogue, Protocol};

use super::*;
use crate::auth::Client;
use crate::config::Machine;
use crate::event_loop::testing;
use crate::log::Level;

/// `password`, hashed by other programs.
const BCRYPT_4: &str = "$2y$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm";
const BCRYPT_5: &str = "$2a$05$abcdefghijklmnopqrstuuWG29KuyeAicPCJODk1zjyGvyQUU2awu";
const SHA512_1000: &str = "$6$rounds=1000$saltsalt$Z/J9iYO1iE9xnr8JPQL57ZWsVRtVjrUv3CiWc/wKWseqXgSqn3HFYJ/Ng7YXa8XlLj.\
                           wpdAwHOJJzuGFqBBRa0";
const SHA512: &str = "$6$saltstring$adDbXsJjcDlq2662QPgd.tkSOVmnG9Tt3oXl4HR60SusC3AGjirnDenVZp3DGwLwqy6iYKCzannhaX9DR7\
                      2nN1";
const ARGON2: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

fn parse(text: &[u8]) -> Result<Users, Vec<String>> {
    Users::parse(Path::new("/etc/users"), text, None)
}

fn users(lines: &[String]) -> Users {
    parse(lines.join("\n").as_bytes()).unwrap()
}

#[test]
fn files() {
    let text = b"# comment\n\n  # more\n \t \r\nalice:{PLAIN}a b#c :192.0.2.1\r\nb@c d:{PLAIN} :[2001:db8::1]:0143 \n\
        \xff:{PLAIN}\xfe:unix:/run/a:b\n\xc3\xa9:{PLAIN}{PLAIN}:[::1]\nlast:{PLAIN}$6$:010.0.0.1:65535";
    let users = parse(text).unwrap();
    for (name, password, server) in [
        (&b"alice"[..], &b"a b#c "[..], Server::AnyPort("192.0.2.1".parse().unwrap())),
        (b"b@c d", b" ", Server::Known(Address::Ip("[2001:db8::1]:143".parse().unwrap()).into())),
        (b"\xff", b"\xfe", Server::Known(Address::Unix("/run/a:b".into()).into())),
        (b"\xc3\xa9", b"{PLAIN}", Server::AnyPort("::1".parse().unwrap())),
        (b"last", b"$6$", Server::Known(Address::Ip("10.0.0.1:65535".parse().unwrap()).into())),
    ] {
        let user = users.find(name).unwrap();
        assert_eq!(user.password.plain().unwrap().expose(), password);
        assert_eq!(user.server, server);
    }
    for name in ["", "Alice", "alice ", "# comment", "bob"] {
        assert!(users.find(name.as_bytes()).is_none(), "{name}");
    }
    assert!(users.decoys().is_empty());
}

#[test]
fn every_mistake_is_told() {
    let text = "a\n#\n:{PLAIN}x:::\n b:{PLAIN}x:127.0.0.1\nc\x07:{PLAIN}x:127.0.0.1\nd:{PLAIN}x\ne:{PLAIN}x: \n\
                f:{PLAIN}x:127.0.0.1\nf:{PLAIN}y:127.0.0.1\ng:{PLAIN}se:cret\n";
    let messages = [
        "no \":\" in the line, which should be name:password:address[:port] in /etc/users:1",
        "user name \"\" is empty in /etc/users:3",
        "user name \" b\" begins or ends with a space in /etc/users:4",
        "user name \"c\\x07\" has a control character in /etc/users:5",
        "no mail server of user \"d\": add \":address\" to the line, or \"proxy_pass\" to the server in /etc/users:6",
        "no mail server of user \"e\": add \":address\" to the line, or \"proxy_pass\" to the server in /etc/users:7",
        "user \"f\" is in line 8 already in /etc/users:9",
        "address of user \"g\" is not an IP address with or without a port, nor unix:/path \
         (a {PLAIN} password ends at the first \":\") in /etc/users:10",
    ];
    assert_eq!(parse(text.as_bytes()).unwrap_err(), messages);
}

#[test]
fn wrong_addresses() {
    let not = "is not an IP address with or without a port, nor unix:/path";
    for (address, wrong) in [
        ("localhost", not),
        ("1.2.3", not),
        ("1.2.3.256", not),
        ("::1", "is an IPv6 address without brackets"),
        ("2001:db8::1:143", "is an IPv6 address without brackets"),
        ("[::1", "has no \"]\""),
        ("[1.2.3.4]", "has no IPv6 address in its brackets"),
        ("[::1]143", "goes on behind \"]\""),
        ("1.2.3.4:", "has no port from 1 to 65535"),
        ("1.2.3.4:0", "has no port from 1 to 65535"),
        ("1.2.3.4:imap", "has no port from 1 to 65535"),
        ("[::1]:65536", "has no port from 1 to 65535"),
        ("unix:", "has no absolute path"),
        ("unix:run", "has no absolute path"),
    ] {
        let mistakes = parse(format!("u:{BCRYPT_4}:{address}").as_bytes()).unwrap_err();
        assert_eq!(mistakes, [format!("address \"{address}\" of user \"u\" {wrong} in /etc/users:1")]);
    }
}

#[test]
fn wrong_passwords() {
    let none = "begins with none of \"$argon2id$\", \"$2b$\", \"$6$\" and \"{PLAIN}\"";
    let bcrypt = "is no bcrypt hash: \"$2b$\", a cost of two digits, \"$\" and 53 characters";
    let sha512 = "is no SHA-512 crypt hash: \"$6$\", maybe \"rounds=N$\", a salt, \"$\" and 86 characters";
    let argon2 = "is no Argon2 hash: \"$argon2id$v=19$m=...,t=...,p=...$\", a salt, \"$\" and a hash";
    for (field, wrong) in [
        ("".to_string(), none),
        ("secret".into(), none),
        ("{plain}secret".into(), none),
        ("$5$salt$hash".into(), none),
        ("{PLAIN}".into(), "is empty"),
        (format!("{{PLAIN}}{}", "x".repeat(1025)), "is longer than 1024 bytes"),
        (BCRYPT_4.replace("$2y$", "$2x$"), bcrypt),
        (BCRYPT_4[..59].to_string(), bcrypt),
        (BCRYPT_4.replace("$04$", "$17$"), "has a bcrypt cost of 17: from 4 to 16 will do"),
        (BCRYPT_4.replace("$04$", "$03$"), "has a bcrypt cost of 3: from 4 to 16 will do"),
        (SHA512[..90].to_string(), sha512),
        (format!("{SHA512}$"), sha512),
        (SHA512.replace("saltstring", ""), sha512),
        (SHA512.replace("adDb", "ad,b"), sha512),
        (SHA512_1000.replace("1000", "many"), sha512),
        (SHA512_1000.replace("1000", "999"), "has 999 rounds of SHA-512 crypt: from 1000 to 5000000 will do"),
        (ARGON2.replace("argon2id", "argon2x"), argon2),
        (ARGON2.rsplit_once('$').unwrap().0.to_string(), argon2),
        (ARGON2.replace("t=2", "t=65"), "is an Argon2 hash that costs too much: m=1048576,t=64,p=64 is the most"),
    ] {
        let mistakes = parse(format!("u:{field}:127.0.0.1").as_bytes()).unwrap_err();
        assert_eq!(mistakes, [format!("password of user \"u\" {wrong} in /etc/users:1")], "{field}");
    }
}

#[test]
fn hashes_of_other_programs() {
    for hash in [BCRYPT_4, BCRYPT_5, SHA512_1000, SHA512, ARGON2] {
        let password = Password::parse(hash.as_bytes()).unwrap();
        assert!(password.verify(b"password"), "{hash}");
        assert!(!password.verify(b"passwore"), "{hash}");
        assert!(!password.verify(b""), "{hash}");
        assert!(password.plain().is_none());
    }
}

#[test]
fn a_long_password_is_wrong() {
    let long = vec![b'x'; password::MAX_PASSWORD + 1];
    let hash = bcrypt::hash(&long, 4).unwrap();
    let password = Password::parse(hash.as_bytes()).unwrap();
    assert!(password.verify(&long[1..]));
    assert!(!password.verify(&long));
}

/// The costs of the hashes that a failure computes, user known or not: the work is the same.
#[test]
fn all_failures_cost_the_same() {
    let users = users(&[
        format!("four:{BCRYPT_4}:127.0.0.1"),
        format!("more:{BCRYPT_4}:127.0.0.1"),
        format!("five:{BCRYPT_5}:127.0.0.1"),
        format!("sha:{SHA512_1000}:127.0.0.1"),
        format!("argon:{ARGON2}:127.0.0.1"),
        "plain:{PLAIN}password:127.0.0.1".to_string(),
    ]);
    let work = |name: &str| {
        let check = Check::new(&users, users.find(name.as_bytes()));
        assert!(!check.is_cheap());
        assert!(!check.run(&Secret::from(&b"wrong"[..])));
        let hashes = check.decoys.iter().chain(&check.password);
        let mut costs: Vec<_> = hashes.filter_map(|hash| hash.cost()).map(|cost| format!("{cost:?}")).collect();
        costs.sort();
        costs
    };
    let unknown = work("nobody");
    assert_eq!(unknown.len(), 4);
    for name in ["four", "more", "five", "sha", "argon", "plain"] {
        assert_eq!(work(name), unknown, "{name}");
    }
}

fn directory(text: &str, proxy_pass: Option<&str>) -> Directory {
    let proxy_pass = proxy_pass.map(|address| Address::Ip(address.parse().unwrap()).into());
    let users = Users::parse(Path::new("users"), text.as_bytes(), proxy_pass.as_ref()).unwrap();
    Directory { users, proxy_pass, port: 143, hashing: Arc::default() }
}

async fn login(
    directory: &Directory,
    protocol: Protocol,
    method: Method,
    user: &str,
    password: &str,
) -> Result<Verdict, AuthError> {
    let attempt = Attempt {
        method,
        user: user.into(),
        password: Secret::from(password.as_bytes()),
        salt: Some("<1896.697170952@dbc.mtview.ca.us>".into()),
        number: 1,
        dialogue: Dialogue::Pop3,
    };
    let client = Client { address: Address::Unix("".into()), host: None, proxy_protocol: None, tls: None };
    directory.authenticate(&Request { protocol, attempt: &attempt, client: &client, resolver: None }).await
}

fn route(verdict: Result<Verdict, AuthError>) -> Option<String> {
    match verdict.unwrap() {
        Verdict::Accept(Route { address, name, user, password, .. }) => {
            assert_eq!(address.to_string(), name);
            let password = password.map(|password| String::from_utf8(password.expose().to_vec()).unwrap());
            Some(format!("{} {} {name}", String::from_utf8(user).unwrap(), password.unwrap_or_default()))
        }
        Verdict::Reject { rejection, wait } => {
            assert_eq!(rejection, Rejection { text: b"Invalid login or password".to_vec(), code: None });
            assert_eq!(wait, Duration::from_secs(1));
            None
        }
    }
}

#[test]
fn logins() {
    testing::run(|| async {
        let text =
            format!("al:{{PLAIN}}tanstaaf:192.0.2.1\nbo:{BCRYPT_4}\ncy:{BCRYPT_5}:[::1]:1143\nda:{ARGON2}:unix:/m");
        let directory = directory(&text, Some("192.0.2.9:9"));
        let apop = "c4c9334bac560ecc979e58001b3e22fb";
        for (protocol, method, user, password, expected) in [
            (Protocol::Imap, Method::Plain, "al", "tanstaaf", Some("al tanstaaf 192.0.2.1:143")),
            (Protocol::Pop3, Method::Plain, "al", "tanstaaf", Some("al tanstaaf 192.0.2.1:143")),
            (Protocol::Smtp, Method::Plain, "al", "tanstaaf", Some("al tanstaaf 192.0.2.1:143")),
            (Protocol::Pop3, Method::Apop, "al", apop, Some("al tanstaaf 192.0.2.1:143")),
            (Protocol::Imap, Method::Plain, "bo", "password", Some("bo password 192.0.2.9:9")),
            (Protocol::Imap, Method::Plain, "cy", "password", Some("cy password [::1]:1143")),
            (Protocol::Imap, Method::Plain, "da", "password", Some("da password unix:/m")),
            (Protocol::Imap, Method::Plain, "al", "Tanstaaf", None),
            (Protocol::Imap, Method::Plain, "al", "", None),
            (Protocol::Imap, Method::Plain, "bo", "passwor", None),
            (Protocol::Imap, Method::Plain, "bo", BCRYPT_4, None),
            (Protocol::Imap, Method::Plain, "nobody", "password", None),
            (Protocol::Imap, Method::Plain, "", "", None),
            (Protocol::Pop3, Method::Apop, "al", "tanstaaf", None),
            (Protocol::Pop3, Method::CramMd5, "al", apop, None),
            (Protocol::Pop3, Method::Apop, "nobody", apop, None),
            (Protocol::Pop3, Method::Apop, "bo", apop, None),
            (Protocol::Imap, Method::External, "al", "", None),
            (Protocol::Imap, Method::External, "al", "tanstaaf", None),
        ] {
            let verdict = login(&directory, protocol, method, user, password).await;
            assert_eq!(route(verdict).as_deref(), expected, "{protocol:?} {method:?} {user} {password}");
        }
    });
}

/// The stand-in for a password that is not known is no password.
#[test]
fn a_digest_of_nothing_is_wrong() {
    testing::run(|| async {
        let directory = directory(&format!("bo:{BCRYPT_4}:127.0.0.1"), None);
        let apop = "6d7379174f7df9fb329480e5c47c1f1a";
        let cram_md5 = "5bad0f03434d034dea910c1bab10aaf0";
        for user in ["bo", "nobody"] {
            assert_eq!(route(login(&directory, Protocol::Pop3, Method::Apop, user, apop).await), None);
            assert_eq!(route(login(&directory, Protocol::Pop3, Method::CramMd5, user, cram_md5).await), None);
        }
    });
}

/// The name by which the configuration knows a mail server is what its certificate is checked for.
#[test]
fn a_host_name_is_kept() {
    testing::run(|| async {
        let named =
            MailServer { address: Address::Ip("192.0.2.9:993".parse().unwrap()), host: Some("mail.test".into()) };
        let text = "al:{PLAIN}a:192.0.2.1\nbo:{PLAIN}b";
        let users = Users::parse(Path::new("users"), text.as_bytes(), Some(&named)).unwrap();
        let directory = Directory { users, proxy_pass: Some(named), port: 993, hashing: Arc::default() };
        for (user, expected) in [("al", ("192.0.2.1:993", None)), ("bo", ("192.0.2.9:993", Some("mail.test")))] {
            let password = &user[..1];
            let Verdict::Accept(route) =
                login(&directory, Protocol::Imap, Method::Plain, user, password).await.unwrap()
            else {
                panic!()
            };
            assert_eq!((route.name.as_str(), route.verify_name.as_deref()), expected);
        }
    });
}

#[test]
fn clients_that_do_not_log_in() {
    testing::run(|| async {
        let anybody = login(&directory("", Some("192.0.2.9:25")), Protocol::Smtp, Method::None, "", "").await;
        assert_eq!(route(anybody).unwrap(), "  192.0.2.9:25");
        let error = login(&directory("", None), Protocol::Smtp, Method::None, "", "").await.unwrap_err();
        assert_eq!(error.to_string(), "no \"proxy_pass\" for a client that does not log in");
        assert_eq!(error.level(), Level::Error);
    });
}

#[test]
fn a_file_that_cannot_be_read() {
    let error = Directory::open(Path::new("/nonexistent/users"), None, 143, Arc::default(), &Machine).unwrap_err();
    assert_eq!(error.messages, ["open() \"/nonexistent/users\" failed (2: No such file or directory)"]);
}
