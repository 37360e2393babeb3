//! Blocks that are skipped.

use crate::runner::{At, Row, differs};

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
];
