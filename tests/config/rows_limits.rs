//! Limits, which nginx's mail proxy does not have.

use crate::runner::{At, Row, differs};

const fn new(at: At, text: &'static str, says: &'static [&'static str]) -> Row {
    differs("not in nginx", at, text, says)
}

pub(crate) const ROWS: &[Row] = &[
    new(At::Server, "max_commands 1; login_timeout 5m; timeout 5m;", &[]),
    new(At::Server, "max_commands 0;", &[r#"[emerg] "max_commands" directive must be at least 1 in @:9"#]),
    new(At::Server, "max_commands x;", &[r#"[emerg] "max_commands" directive invalid number in @:9"#]),
    new(At::Server, "max_commands 1; max_commands 1;", &[r#"[emerg] "max_commands" directive is duplicate in @:9"#]),
    new(At::Main, "max_commands 1;", &[r#"[emerg] "max_commands" directive is not allowed here in @:2"#]),
    new(At::Server, "login_timeout 0;", &[r#"[emerg] "login_timeout" directive must be longer than 0 in @:9"#]),
    new(At::Server, "login_timeout 1q;", &[r#"[emerg] "login_timeout" directive invalid value in @:9"#]),
    // What nginx would grant.
    new(
        At::Server,
        "timeout 181s;",
        &[r#"[warn] "timeout" is longer than "login_timeout" (180s), which ends a login before, for server in @:8"#],
    ),
    new(
        At::Mail,
        "auth_http_timeout 4m;",
        &[
            r#"[warn] "auth_http_timeout" is longer than "login_timeout" (180s), which ends a login before, for server in @:8"#,
        ],
    ),
    new(
        At::Server,
        "login_timeout 10s; smtp_greeting_delay 11s; timeout 10s;",
        &[
            r#"[warn] "smtp_greeting_delay" is longer than "login_timeout" (10s), which ends a login before, for server in @:8"#,
        ],
    ),
    new(At::Server, "allow 192.0.2.1; allow 2001:db8::/32; allow unix:; deny all;", &[]),
    new(At::Mail, "deny 192.0.2.0/24; allow all;", &[]),
    new(At::Server, "deny 192.0.2.1/24;", &["[warn] low address bits of 192.0.2.1/24 are meaningless in @:9"]),
    new(
        At::Server,
        "deny mail.example.org;",
        &[r#"[emerg] invalid parameter "mail.example.org", it must be an address, CIDR, "unix:" or "all" in @:9"#],
    ),
    new(
        At::Server,
        "allow 192.0.2.0/33;",
        &[r#"[emerg] invalid parameter "192.0.2.0/33", it must be an address, CIDR, "unix:" or "all" in @:9"#],
    ),
    new(At::Server, "allow;", &[r#"[emerg] invalid number of arguments in "allow" directive in @:9"#]),
];
