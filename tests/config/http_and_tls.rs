//! Blocks that are skipped, and what waits for TLS.

use crate::runner::{At, Row, differs, row};

pub(crate) const ROWS: &[Row] = &[
    differs(
        "skipped here",
        At::Main,
        "http { }",
        &[r#"[notice] the "http" block is not for a mail proxy, skipped in @:2"#],
    ),
    differs(
        "skipped here",
        At::Main,
        "http { include nosuch; server { listen 80; location ~ \"\\\\.(a|b){2}$\" { return 200 \"}\"; } } }",
        &[r#"[notice] the "http" block is not for a mail proxy, skipped in @:2"#],
    ),
    differs(
        "skipped here",
        At::Main,
        r#"stream { map $x $y { default "{"; } }"#,
        &[r#"[notice] the "stream" block is not for a mail proxy, skipped in @:2"#],
    ),
    differs(
        "skipped here",
        At::Main,
        "http { } http { }",
        &[
            r#"[notice] the "http" block is not for a mail proxy, skipped in @:2"#,
            r#"[emerg] "http" directive is duplicate in @:2"#,
        ],
    ),
    differs(
        "skipped here",
        At::Main,
        "http { server {",
        &[
            r#"[notice] the "http" block is not for a mail proxy, skipped in @:2"#,
            r#"[emerg] unexpected end of file, expecting "}" in @:11"#,
        ],
    ),
    differs("not every nginx has http", At::Main, "http;", &[r#"[emerg] directive "http" has no opening "{" in @:2"#]),
    row(At::Server, "starttls off;", &[]),
    row(At::Server, "starttls foo;", &[r#"[emerg] invalid value "foo" in @:9"#]),
    row(At::Server, "starttls off; starttls off;", &[r#"[emerg] "starttls" directive is duplicate in @:9"#]),
    differs(
        "not without TLS",
        At::Server,
        "starttls on;",
        &[r#"[emerg] "starttls on" requires TLS, which this build of gatepost does not have yet in @:9"#],
    ),
    differs(
        "not without TLS",
        At::Mail,
        "starttls only;",
        &[r#"[emerg] "starttls only" requires TLS, which this build of gatepost does not have yet in @:7"#],
    ),
    differs(
        "removed in 1.25.1",
        At::Server,
        "ssl off;",
        &[r#"[warn] the "ssl" directive is deprecated, use the "listen ... ssl" directive instead in @:9"#],
    ),
    differs(
        "not without TLS",
        At::Server,
        "ssl on;",
        &[
            r#"[warn] the "ssl" directive is deprecated, use the "listen ... ssl" directive instead in @:9"#,
            r#"[emerg] "ssl on" requires TLS, which this build of gatepost does not have yet in @:9"#,
        ],
    ),
    differs(
        "not without TLS",
        At::Server,
        "ssl_certificate a.pem; ssl_certificate_key a.key;",
        &[
            r#"[emerg] "ssl_certificate" directive requires TLS, which this build of gatepost does not have yet in @:9"#,
            r#"[emerg] "ssl_certificate_key" directive requires TLS, which this build of gatepost does not have yet in @:9"#,
        ],
    ),
    row(
        At::Server,
        "ssl_certificate;",
        &[r#"[emerg] invalid number of arguments in "ssl_certificate" directive in @:9"#],
    ),
    row(
        At::Server,
        "ssl_conf_command a;",
        &[r#"[emerg] invalid number of arguments in "ssl_conf_command" directive in @:9"#],
    ),
    row(
        At::Server,
        "ssl_session_cache a b c;",
        &[r#"[emerg] invalid number of arguments in "ssl_session_cache" directive in @:9"#],
    ),
    differs(
        "not without TLS",
        At::Server,
        "listen 14301 ssl;",
        &[
            r#"[emerg] the "ssl" parameter of the "listen" directive requires TLS, which this build of gatepost does not have yet in @:9"#,
        ],
    ),
];
