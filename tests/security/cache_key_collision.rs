//! Cache poisoning and key collision (CVE-2022-27924 Zimbra, CVE-2025-30189 Dovecot). Gatepost keeps no verdicts, so every
//! login is asked for anew; what it does keep, connections to the auth server, belongs to no user.

use crate::harness::{Conn, Reply, Subject, Wire, b64};

/// Logins that a careless key would take for the same.
const ALIKE: [[&str; 2]; 8] = [
    ["user", "password"],
    ["user", "Password"],
    ["User", "password"],
    ["userp", "assword"],
    ["user:", "password"],
    ["user:password", ""],
    ["user ", "password"],
    ["", "userpassword"],
];

#[test]
fn every_login_is_asked_for() {
    for wire in [Wire::imap(""), Wire::pop3(""), Wire::smtp("")] {
        wire.auth.always(Reply::refuse("no"));
        let name = wire.client().send("x\r\n").line();
        let command = if name.starts_with('-') || name.starts_with('5') { "AUTH" } else { "a AUTHENTICATE" };
        for [user, password] in ALIKE.into_iter().chain(ALIKE) {
            let mut client = wire.client();
            client.send(format!("{command} PLAIN {}\r\n", b64(format!("\0{user}\0{password}"))));
            let escaped = user.replace(' ', "%20");
            assert_eq!(wire.auth.request().credentials(), ["plain", &escaped, password]);
            client.line();
        }
    }
}

#[test]
fn a_changed_password_is_seen() {
    let wire = Wire::imap("");
    for verdict in [true, false, true] {
        let backend = wire.backend.address();
        wire.auth.reply(if verdict { Reply::accept(backend) } else { Reply::refuse("changed") });
        let mut client = wire.client();
        client.send("a LOGIN u p\r\n");
        wire.auth.request();
        if verdict {
            wire.backend.accept();
        } else {
            client.expect("a NO changed\r\n").expect_close();
            wire.backend.expect_nobody();
        }
    }
}

/// An answer that lets its user in at that server, on a connection that is kept.
fn kept(server: std::net::SocketAddr, user: &str) -> String {
    format!(
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\nAuth-Status: OK\r\n\
         Auth-Server: {}\r\nAuth-Port: {}\r\nAuth-User: {user}\r\n\r\n",
        server.ip(),
        server.port()
    )
}

#[test]
fn an_answer_too_many_is_nobodys() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::imap("");
    wire.auth.reply(Reply::ByHand);
    let mut first = wire.client();
    first.send("a LOGIN first p\r\n");
    let mut auth = wire.auth.request().conn.unwrap();
    let at = wire.backend.address();
    // Two answers to one request: the second must not be taken for that to the next request.
    auth.send(kept(at, "first") + &kept(at, "poisoned"));
    serves(&mut wire.backend.accept(), "first");
    wire.auth.reply(Reply::accept(at).with("Auth-User", "second"));
    let mut second = wire.client();
    second.send("a LOGIN second p\r\n");
    wire.auth.request();
    serves(&mut wire.backend.accept(), "second");
}

#[track_caller]
fn serves(backend: &mut Conn, user: &str) {
    backend.ask("* OK hi\r\n", format!("a LOGIN {{{}}}\r\n", user.len())).ask("+ \r\n", format!("{user} {{1}}\r\n"));
}

#[test]
fn users_of_a_file_are_told_apart() {
    if Subject::is_nginx() {
        return;
    }
    let users = "user:{PLAIN}password:127.0.0.1:1\nUser:{PLAIN}other:127.0.0.1:1\n";
    let conf = "mail { server_name proxy.test; server { listen @main@; protocol imap; auth_users_file users; } }";
    let wire = Wire::with(&[("users".to_owned(), users.into())], conf);
    let refused = "a NO Invalid login or password\r\n";
    // Nobody listens where they go: who is let in hears of that.
    let let_in = "* BAD internal server error\r\n";
    for [user, password] in ALIKE {
        let mut client = wire.client();
        client.send(format!("a AUTHENTICATE PLAIN {}\r\n", b64(format!("\0{user}\0{password}"))));
        client.expect(if [user, password] == ALIKE[0] { let_in } else { refused });
    }
}
