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
    new(
        At::Mail,
        "resolver_timeout 5m;",
        &[
            r#"[warn] "resolver_timeout" is longer than "login_timeout" (180s), which ends a login before, for server in @:8"#,
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
    // Connections.
    new(
        At::Mail,
        "limit_conn a 1; limit_conn_zone $binary_remote_addr zone=a:1m ipv4_prefix=24 ipv6_prefix=48; \
         limit_conn_zone $remote_user zone=b:32k; limit_conn_zone $server_name zone=c:1m; limit_conn b 65535; \
         limit_conn_log_level Warn; limit_conn_dry_run on;",
        &[],
    ),
    new(
        At::Server,
        "limit_conn a 1;",
        &[r#"[emerg] unknown zone "a" in "limit_conn": no "limit_conn_zone" has that name in @:9"#],
    ),
    new(
        At::Server,
        "limit_conn_zone $remote_addr zone=a:1m;",
        &[r#"[emerg] "limit_conn_zone" directive is not allowed here in @:9"#],
    ),
    new(
        At::Mail,
        "limit_conn_zone $remote_port zone=a:1m; limit_conn a 1;",
        &[
            r#"[emerg] unknown key "$remote_port" in "limit_conn_zone" directive, it must be "$binary_remote_addr", "$remote_addr", "$remote_user" or "$server_name" in @:7"#,
        ],
    ),
    new(
        At::Mail,
        "limit_conn_zone $remote_addr zone=a:1m; limit_conn_zone $remote_user zone=a:1m;",
        &[r#"[emerg] limit_conn_zone "a" is already bound to key "$binary_remote_addr" in @:7"#],
    ),
    new(At::Mail, "limit_conn_zone $remote_addr zone=a:1k;", &[r#"[emerg] zone "zone=a:1k" is too small in @:7"#]),
    new(At::Mail, "limit_conn_zone $remote_addr zone=a;", &[r#"[emerg] invalid zone size "zone=a" in @:7"#]),
    new(At::Mail, "limit_conn_zone $remote_addr zone=a:x;", &[r#"[emerg] invalid zone size "zone=a:x" in @:7"#]),
    new(At::Mail, "limit_conn_zone $remote_addr rate=1;", &[r#"[emerg] invalid parameter "rate=1" in @:7"#]),
    new(
        At::Mail,
        "limit_conn_zone $remote_addr ipv6_prefix=64;",
        &[r#"[emerg] "limit_conn_zone" must have "zone" parameter in @:7"#],
    ),
    new(
        At::Mail,
        "limit_conn_zone $remote_addr zone=a:1m ipv6_prefix=129;",
        &[r#"[emerg] invalid prefix length "ipv6_prefix=129", it must be from 1 to 128 in @:7"#],
    ),
    new(
        At::Mail,
        "limit_conn_zone $remote_user zone=a:1m ipv4_prefix=24;",
        &[
            r#"[emerg] "limit_conn_zone" directive has a prefix, which only "$binary_remote_addr" and "$remote_addr" have in @:7"#,
        ],
    ),
    new(
        At::Mail,
        "limit_conn_zone $remote_addr zone=a:1m; limit_conn a 0; limit_conn a 65536; limit_conn a 1; limit_conn a 1;",
        &[
            r#"[emerg] invalid number of connections "0" in @:7"#,
            "[emerg] connection limit must be less 65536 in @:7",
            r#"[emerg] "limit_conn" directive is duplicate in @:7"#,
        ],
    ),
    new(At::Server, "limit_conn_log_level crit;", &[r#"[emerg] invalid value "crit" in @:9"#]),
    new(At::Server, "limit_conn_status 503;", &[r#"[emerg] unknown directive "limit_conn_status" in @:9"#]),
    // Failed logins.
    new(
        At::Server,
        "listen 14301 proxy_protocol;",
        &[r#"[warn] "proxy_protocol" without "set_real_ip_from": "limit_login address" counts nobody there in @:9"#],
    ),
    new(At::Server, "listen 14301 proxy_protocol; limit_login address off;", &[]),
    new(
        At::Server,
        "limit_login login delay=3 delay=4; limit_login address ipv6_prefix=48 ipv6_prefix=56;",
        &[
            r#"[emerg] duplicate parameter "delay=4" in "limit_login" directive in @:9"#,
            r#"[emerg] duplicate parameter "ipv6_prefix=56" in "limit_login" directive in @:9"#,
        ],
    ),
    new(
        At::Mail,
        "limit_conn_zone $remote_user zone=a:1m zone=b:1m;",
        &[r#"[emerg] duplicate parameter "zone=b:1m" in "limit_conn_zone" directive in @:7"#],
    ),
    new(
        At::Server,
        "limit_login address delay=20 refuse=200 within=1h ipv4_prefix=24 ipv6_prefix=48; \
         limit_login login delay=off refuse=1000; limit_login_exempt 192.0.2.1; limit_login_exempt unix:;",
        &[],
    ),
    new(At::Mail, "limit_login off; limit_login_exempt off;", &[]),
    new(At::Mail, "limit_login address off; limit_login login;", &[]),
    new(
        At::Server,
        "limit_login user delay=5;",
        &[r#"[emerg] invalid value "user delay=5", it must begin with "address" or "login", or be "off" in @:9"#],
    ),
    new(At::Server, "limit_login login; limit_login off;", &[r#"[emerg] "limit_login" directive is duplicate in @:9"#]),
    new(
        At::Server,
        "limit_login login ipv6_prefix=64;",
        &[
            r#"[emerg] invalid parameter "ipv6_prefix=64" in "limit_login login" directive, it must be "delay=", "refuse=" or "within=" in @:9"#,
        ],
    ),
    new(
        At::Server,
        "limit_login address zone=a;",
        &[
            r#"[emerg] invalid parameter "zone=a" in "limit_login address" directive, it must be "delay=", "refuse=", "within=", "ipv4_prefix=" or "ipv6_prefix=" in @:9"#,
        ],
    ),
    new(
        At::Server,
        "limit_login login delay=6 refuse=5; limit_login address refuse=10;",
        &[r#"[warn] "delay=6" has no effect in "limit_login login": from "refuse=5" on nobody is asked in @:9"#],
    ),
    new(
        At::Server,
        "limit_login address delay=0;",
        &[r#"[emerg] invalid number "delay=0", it must be from 1 to 65535, or "off" in @:9"#],
    ),
    new(
        At::Server,
        "limit_login address refuse=65536;",
        &[r#"[emerg] invalid number "refuse=65536", it must be from 1 to 65535, or "off" in @:9"#],
    ),
    new(
        At::Server,
        "limit_login address within=2d;",
        &[r#"[emerg] invalid time "within=2d", it must be from 1s to 1d in @:9"#],
    ),
    new(
        At::Server,
        "limit_login address ipv4_prefix=33;",
        &[r#"[emerg] invalid prefix length "ipv4_prefix=33", it must be from 1 to 32 in @:9"#],
    ),
    new(
        At::Server,
        "limit_login_exempt webmail.example.org;",
        &[r#"[emerg] invalid parameter "webmail.example.org", it must be an address, CIDR, "unix:" or "off" in @:9"#],
    ),
    new(
        At::Server,
        "limit_login_exempt 192.0.2.1; limit_login_exempt off;",
        &[r#"[emerg] "limit_login_exempt" directive is duplicate in @:9"#],
    ),
    new(
        At::Server,
        "limit_login_exempt off; limit_login_exempt 192.0.2.1;",
        &[r#"[emerg] "limit_login_exempt" directive is duplicate in @:9"#],
    ),
];
