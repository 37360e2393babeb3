//! Directives of TLS.

use crate::runner::{At, Row, differs, row, since_version};

/// The directives one by one.
pub(crate) const DIRECTIVES: &[Row] = &[
    row(At::Server, "starttls off;", &[]),
    row(At::Server, "starttls foo;", &[r#"[emerg] invalid value "foo" in @:9"#]),
    row(At::Server, "starttls OFF; starttls off;", &[r#"[emerg] "starttls" directive is duplicate in @:9"#]),
    // Files are looked at only where TLS is wanted.
    row(
        At::Server,
        "ssl_certificate a; ssl_certificate_key b; ssl_dhparam c; ssl_crl d; ssl_client_certificate e; \
         ssl_trusted_certificate f; ssl_session_ticket_key g; ssl_ciphers h; ssl_ecdh_curve i;",
        &[],
    ),
    // These repeat.
    row(
        At::Server,
        "ssl_certificate a; ssl_certificate a; ssl_certificate_key a; ssl_certificate_key b; \
         ssl_conf_command a b; ssl_conf_command a b; ssl_session_ticket_key a; ssl_session_ticket_key a;",
        &[],
    ),
    row(
        At::Mail,
        "ssl_certificate a; ssl_prefer_server_ciphers On; ssl_session_tickets OFF; ssl_session_timeout 1d; \
         ssl_verify_depth 7; ssl_verify_client Optional_No_CA;",
        &[],
    ),
    since_version((1, 29, 1), At::Server, "ssl_certificate_compression off;", &[]),
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
    row(At::Server, "ssl_protocols;", &[r#"[emerg] invalid number of arguments in "ssl_protocols" directive in @:9"#]),
    row(At::Server, "ssl_ciphers a; ssl_ciphers b;", &[r#"[emerg] "ssl_ciphers" directive is duplicate in @:9"#]),
    row(
        At::Server,
        "ssl_ecdh_curve a; ssl_ecdh_curve b;",
        &[r#"[emerg] "ssl_ecdh_curve" directive is duplicate in @:9"#],
    ),
    row(At::Server, "ssl_dhparam a; ssl_dhparam b;", &[r#"[emerg] "ssl_dhparam" directive is duplicate in @:9"#]),
    row(At::Server, "ssl_crl a; ssl_crl b;", &[r#"[emerg] "ssl_crl" directive is duplicate in @:9"#]),
    row(
        At::Server,
        "ssl_client_certificate a; ssl_client_certificate b;",
        &[r#"[emerg] "ssl_client_certificate" directive is duplicate in @:9"#],
    ),
    row(
        At::Server,
        "ssl_trusted_certificate a; ssl_trusted_certificate b;",
        &[r#"[emerg] "ssl_trusted_certificate" directive is duplicate in @:9"#],
    ),
    row(
        At::Server,
        "ssl_session_tickets 1;",
        &[r#"[emerg] invalid value "1" in "ssl_session_tickets" directive, it must be "on" or "off" in @:9"#],
    ),
    row(
        At::Server,
        "ssl_prefer_server_ciphers 1;",
        &[r#"[emerg] invalid value "1" in "ssl_prefer_server_ciphers" directive, it must be "on" or "off" in @:9"#],
    ),
    row(At::Server, "ssl_session_timeout 1ms;", &[r#"[emerg] "ssl_session_timeout" directive invalid value in @:9"#]),
    row(At::Server, "ssl_verify_depth x;", &[r#"[emerg] "ssl_verify_depth" directive invalid number in @:9"#]),
    row(At::Server, "ssl_verify_client maybe;", &[r#"[emerg] invalid value "maybe" in @:9"#]),
    row(At::Server, "ssl_protocols TLSv1 tlsv1.2 SSLv2 TLSv1;", &[r#"[warn] duplicate value "TLSv1" in @:9"#]),
    row(At::Server, "ssl_protocols TLSv1; ssl_protocols TLSv1;", &[r#"[warn] duplicate value "TLSv1" in @:9"#]),
    row(At::Server, "ssl_protocols TLSv1.2 TLSv1.4;", &[r#"[emerg] invalid value "TLSv1.4" in @:9"#]),
    // Passwords.
    row(At::Server, "ssl_password_file passwords;", &[]),
    row(
        At::Server,
        "ssl_password_file passwords; ssl_password_file nosuch;",
        &[r#"[emerg] "ssl_password_file" directive is duplicate in @:9"#],
    ),
    row(
        At::Server,
        "ssl_password_file nosuch;",
        &[r#"[emerg] open() "%/nosuch" failed (2: No such file or directory) in @:9"#],
    ),
    row(At::Server, "ssl_password_file /;", &[r#"[emerg] read() "/" failed (21: Is a directory) in @:9"#]),
    row(At::Server, "ssl_password_file long-passwords;", &[r#"[emerg] too long line in "%/long-passwords" in @:9"#]),
    // The session cache.
    row(At::Server, "ssl_session_cache builtin shared:a:1m; ssl_session_cache off;", &[]),
    row(At::Server, "ssl_session_cache none; ssl_session_cache builtin:7;", &[]),
    row(
        At::Mail,
        "ssl_session_cache shared:a:1m; server { listen 14311; protocol imap; ssl_session_cache shared:a:1m; }",
        &[],
    ),
    row(
        At::Mail,
        "ssl_session_cache shared:a:1m; server { listen 14311; protocol imap; ssl_session_cache shared:a:2m; }",
        &[r#"[emerg] the size 2097152 of shared memory zone "a" conflicts with already declared size 1048576 in @:7"#],
    ),
    row(At::Server, "ssl_session_cache shared:a:1k;", &[r#"[emerg] session cache "shared:a:1k" is too small in @:9"#]),
    row(At::Server, "ssl_session_cache shared:a;", &[r#"[emerg] invalid session cache "shared:a" in @:9"#]),
    row(At::Server, "ssl_session_cache shared::1m;", &[r#"[emerg] invalid session cache "shared::1m" in @:9"#]),
    row(At::Server, "ssl_session_cache shared:a:x;", &[r#"[emerg] invalid session cache "shared:a:x" in @:9"#]),
    row(At::Server, "ssl_session_cache builtin:x;", &[r#"[emerg] invalid session cache "builtin:x" in @:9"#]),
    row(At::Server, "ssl_session_cache builtin:;", &[r#"[emerg] invalid session cache "builtin:" in @:9"#]),
    row(At::Server, "ssl_session_cache off OFF;", &[r#"[emerg] invalid session cache "OFF" in @:9"#]),
    row(
        At::Server,
        "ssl_session_cache a b c;",
        &[r#"[emerg] invalid number of arguments in "ssl_session_cache" directive in @:9"#],
    ),
];

/// What one directive needs of others.
pub(crate) const CHECKS: &[Row] = &[
    row(
        At::Server,
        "listen 14301 ssl;",
        &[r#"[emerg] no "ssl_certificate" is defined for the "listen ... ssl" directive in @:9"#],
    ),
    row(
        At::Server,
        "starttls on;",
        &[r#"[emerg] no "ssl_certificate" is defined for the "starttls" directive in @:9"#],
    ),
    row(
        At::Mail,
        "starttls only;",
        &[r#"[emerg] no "ssl_certificate" is defined for the "starttls" directive in @:7"#],
    ),
    row(
        At::Mail,
        "starttls on; server { listen 14311; protocol imap; starttls off; }",
        &[r#"[emerg] no "ssl_certificate" is defined for the "starttls" directive in @:7"#],
    ),
    row(
        At::Server,
        "listen 14301 ssl;\nstarttls on;",
        &[r#"[emerg] no "ssl_certificate" is defined for the "listen ... ssl" directive in @:9"#],
    ),
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem;",
        &[r#"[emerg] no "ssl_certificate_key" is defined for the "listen ... ssl" directive in @:9"#],
    ),
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate cert.pem; ssl_certificate_key key.pem;",
        &[
            r#"[emerg] no "ssl_certificate_key" is defined for certificate "cert.pem" and the "listen ... ssl" directive in @:9"#,
        ],
    ),
    since_version(
        (1, 27, 1),
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_verify_client on;",
        &["[emerg] no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client"],
    ),
    since_version(
        (1, 27, 1),
        At::Server,
        "starttls on; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_verify_client optional; ssl_crl '';",
        &["[emerg] no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client"],
    ),
    row(At::Server, "ssl_verify_client on;", &[]),
    row(
        At::Mail,
        "ssl_certificate cert.pem; ssl_certificate_key key.pem; starttls on; \
         server { listen 14311 ssl; protocol imap; ssl_verify_client optional_no_ca; }",
        &[],
    ),
    row(
        At::Server,
        "listen 14301 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_password_file passwords; \
         ssl_protocols TLSv1.2; ssl_session_cache shared:SSL:10m; ssl_client_certificate cert.pem; \
         ssl_verify_client optional;",
        &[],
    ),
    // The older form.
    differs(
        "removed in 1.25.1",
        At::Server,
        "ssl off;",
        &[r#"[warn] the "ssl" directive is deprecated, use the "listen ... ssl" directive instead in @:9"#],
    ),
    differs(
        "removed in 1.25.1",
        At::Server,
        "ssl on;",
        &[
            r#"[warn] the "ssl" directive is deprecated, use the "listen ... ssl" directive instead in @:9"#,
            r#"[emerg] no "ssl_certificate" is defined for the "ssl" directive in @:9"#,
        ],
    ),
    differs(
        "removed in 1.25.1",
        At::Server,
        "starttls on; ssl on; ssl_certificate cert.pem; ssl_certificate_key key.pem;",
        &[
            r#"[warn] the "ssl" directive is deprecated, use the "listen ... ssl" directive instead in @:9"#,
            r#"[emerg] "starttls" directive conflicts with "ssl on" in @:9"#,
        ],
    ),
    differs(
        "removed in 1.25.1",
        At::Server,
        "ssl on; starttls only; ssl_certificate cert.pem; ssl_certificate_key key.pem;",
        &[
            r#"[warn] the "ssl" directive is deprecated, use the "listen ... ssl" directive instead in @:9"#,
            r#"[emerg] "ssl" directive conflicts with "starttls" in @:9"#,
        ],
    ),
    differs(
        "removed in 1.25.1",
        At::Mail,
        "ssl on; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1 TLSv1.1 TLSv1.2; \
         ssl_ciphers HIGH:!aNULL:!MD5; ssl_session_cache shared:SSL:10m; ssl_session_timeout 10m;",
        &[r#"[warn] the "ssl" directive is deprecated, use the "listen ... ssl" directive instead in @:7"#],
    ),
];

/// Several servers on one address.
pub(crate) const SHARING: &[Row] = &[
    differs(
        "chosen by SNI",
        At::Mail,
        "ssl_certificate cert.pem; ssl_certificate_key key.pem; \
         server { listen 14311 ssl; protocol imap; } \
         server { listen 14311 ssl backlog=7; protocol imap; server_name b c; } \
         server { listen 14311 ssl; protocol imap; server_name d *.d; }",
        &[],
    ),
    differs(
        "chosen by SNI",
        At::Mail,
        "ssl_certificate cert.pem; ssl_certificate_key key.pem; starttls on; \
         server { listen 14311; protocol imap; server_name a; } \
         server { listen 14311; protocol imap; server_name b; starttls only; }",
        &[],
    ),
    differs(
        "chosen by SNI",
        At::Mail,
        "ssl_certificate cert.pem; ssl_certificate_key key.pem; \
         server { listen 14311 ssl backlog=5; protocol imap; server_name a; } \
         server { listen 14311 ssl backlog=7; protocol imap; server_name b; }",
        &["[emerg] duplicate listen options for 0.0.0.0:14311 in @:7"],
    ),
    // The same names, another protocol, one with TLS and one without.
    row(
        At::Mail,
        "ssl_certificate cert.pem; ssl_certificate_key key.pem; server_name a; \
         server { listen 14311 ssl; protocol imap; } \
         server { listen 14311 ssl; protocol imap; }",
        &[r#"[emerg] duplicate "0.0.0.0:14311" address and port pair in @:7"#],
    ),
    row(
        At::Mail,
        "ssl_certificate cert.pem; ssl_certificate_key key.pem; \
         server { listen 14311 ssl; protocol imap; server_name a; } \
         server { listen 14311 ssl; protocol pop3; server_name b; }",
        &[r#"[emerg] duplicate "0.0.0.0:14311" address and port pair in @:7"#],
    ),
    row(
        At::Mail,
        "ssl_certificate cert.pem; ssl_certificate_key key.pem; \
         server { listen 14311 ssl; protocol imap; server_name a; } \
         server { listen 14311; protocol imap; server_name b; starttls on; }",
        &[r#"[emerg] duplicate "0.0.0.0:14311" address and port pair in @:7"#],
    ),
    row(
        At::Mail,
        "server { listen 14311; protocol imap; server_name a; } server { listen 14311; protocol imap; server_name b; }",
        &[r#"[emerg] duplicate "0.0.0.0:14311" address and port pair in @:7"#],
    ),
    row(
        At::Server,
        "ssl_certificate cert.pem; ssl_certificate_key key.pem; listen 14311 ssl; listen 14311 ssl;",
        &[r#"[emerg] duplicate "0.0.0.0:14311" address and port pair in @:9"#],
    ),
];

/// Towards mail servers and the authentication server, and what nginx does not warn about.
pub(crate) const UPSTREAM: &[Row] = &[
    differs(
        "not in nginx",
        At::Server,
        "proxy_ssl on; proxy_ssl_verify on; proxy_ssl_verify_depth 2; proxy_ssl_name a; proxy_ssl_server_name on; \
         proxy_ssl_session_reuse off; proxy_ssl_protocols TLSv1.3; proxy_ssl_ciphers HIGH; \
         proxy_ssl_certificate cert.pem; proxy_ssl_certificate_key key.pem; proxy_ssl_password_file passwords;",
        &[],
    ),
    differs("not in nginx", At::Server, "proxy_ssl StartTLS;", &[]),
    differs("not in nginx", At::Server, "proxy_ssl yes;", &[r#"[emerg] invalid value "yes" in @:9"#]),
    differs(
        "not in nginx",
        At::Server,
        "proxy_ssl off; proxy_ssl off;",
        &[r#"[emerg] "proxy_ssl" directive is duplicate in @:9"#],
    ),
    differs(
        "not in nginx",
        At::Server,
        "proxy_ssl_verify 1;",
        &[r#"[emerg] invalid value "1" in "proxy_ssl_verify" directive, it must be "on" or "off" in @:9"#],
    ),
    differs(
        "not in nginx",
        At::Server,
        "proxy_ssl_certificate cert.pem;",
        &[r#"[emerg] no "proxy_ssl_certificate_key" is defined for certificate "cert.pem""#],
    ),
    // An authentication server may decide on TLS, a users file cannot.
    differs("not in nginx", At::Server, "proxy_ssl_verify off;", &[]),
    differs(
        "not in nginx",
        At::Server,
        "auth_users_file users; proxy_ssl_verify off;",
        &[
            r#"[warn] the "proxy_ssl_verify" directive has no effect without "proxy_ssl", and there is no "auth_http" to decide on it, ignored in @:9"#,
        ],
    ),
    differs("not in nginx", At::Server, "auth_users_file users; proxy_ssl on; proxy_ssl_verify off;", &[]),
    differs(
        "not in nginx",
        At::Server,
        "auth_users_file users; proxy_ssl on; proxy_pass unix:/s;",
        &[r#"[emerg] no "proxy_ssl_name" is defined for "proxy_pass unix:/s" in @:9"#],
    ),
    differs(
        "nginx has none",
        At::Server,
        "proxy_ssl on; proxy_ssl_name .;",
        &[r#"[emerg] invalid name "." in "proxy_ssl_name" in @:9"#],
    ),
    differs(
        "not in nginx",
        At::Server,
        "auth_users_file users; proxy_ssl on; proxy_pass unix:/s; proxy_ssl_name a;",
        &[],
    ),
    differs(
        "not in nginx",
        At::Server,
        "auth_users_file users; proxy_pass unix:/s; auth_http_header a b; auth_http_timeout 5s;",
        &[
            r#"[warn] the "auth_http_header" directive has no effect with "auth_users_file", ignored in @:9"#,
            r#"[warn] the "auth_http_timeout" directive has no effect with "auth_users_file", ignored in @:9"#,
        ],
    ),
    // What an authentication server may ask for is tried, too.
    differs(
        "not in nginx",
        At::Server,
        "proxy_ssl_ciphers FOO;",
        &[r#"[emerg] SSL_CTX_set_cipher_list("FOO") failed (SSL: error:0A0000B9:SSL routines::no cipher match)"#],
    ),
    // What only goes with something else.
    differs(
        "not in nginx",
        At::Server,
        "proxy_ssl on; proxy_ssl_certificate_key key.pem; proxy_ssl_password_file /dev/null;",
        &[
            r#"[warn] the "proxy_ssl_certificate_key" directive has no effect without "proxy_ssl_certificate", ignored in @:9"#,
            r#"[warn] the "proxy_ssl_password_file" directive has no effect without "proxy_ssl_certificate", ignored in @:9"#,
        ],
    ),
    differs(
        "not in nginx",
        At::Server,
        "proxy_ssl on; proxy_ssl_verify off; proxy_ssl_trusted_certificate cert.pem; proxy_ssl_verify_depth 2;",
        &[
            r#"[warn] the "proxy_ssl_trusted_certificate" directive has no effect with "proxy_ssl_verify off", ignored in @:9"#,
            r#"[warn] the "proxy_ssl_verify_depth" directive has no effect with "proxy_ssl_verify off", ignored in @:9"#,
        ],
    ),
    differs(
        "not in nginx",
        At::Mail,
        "proxy_ssl_trusted_certificate cert.pem; proxy_ssl_certificate_key key.pem; \
         server { listen 14311; protocol imap; proxy_ssl_verify off; } \
         server { listen 14312; protocol imap; proxy_ssl_certificate cert.pem; }",
        &[],
    ),
    differs(
        "not in nginx",
        At::Mail,
        "proxy_ssl_trusted_certificate cert.pem; proxy_ssl_verify off; proxy_ssl_certificate_key key.pem; \
         server { listen 14311; protocol imap; } \
         server { listen 14312; protocol imap; auth_users_file users; proxy_pass unix:/s; proxy_ssl_certificate a; }",
        &[
            r#"[warn] the "proxy_ssl_certificate" directive has no effect without "proxy_ssl", and there is no "auth_http" to decide on it, ignored in @:7"#,
            r#"[warn] the "proxy_ssl_trusted_certificate" directive has no effect with "proxy_ssl_verify off", ignored in @:7"#,
            r#"[warn] the "proxy_ssl_certificate_key" directive has no effect without "proxy_ssl_certificate", ignored in @:7"#,
        ],
    ),
    differs(
        "not in nginx",
        At::Whole,
        "mail { auth_http https://127.0.0.1; auth_http_ssl_verify_depth 3; proxy_ssl_verify on; proxy_ssl_crl x; }",
        &[r#"[warn] no "mail" section with a "server" in it: nobody is served"#],
    ),
    differs(
        "not in nginx",
        At::Server,
        "auth_http https://127.0.0.1:1/x; auth_http_ssl_verify off; auth_http_ssl_verify_depth 3; \
         auth_http_ssl_certificate_key key.pem;",
        &[
            r#"[warn] the "auth_http_ssl_verify_depth" directive has no effect with "auth_http_ssl_verify off", ignored in @:9"#,
            r#"[warn] the "auth_http_ssl_certificate_key" directive has no effect without "auth_http_ssl_certificate", ignored in @:9"#,
        ],
    ),
    // The authentication server.
    differs(
        "not in nginx",
        At::Server,
        "auth_http https://127.0.0.1:1/x; auth_http_ssl_verify on; auth_http_ssl_verify_depth 2; \
         auth_http_ssl_trusted_certificate cert.pem; auth_http_ssl_name a; auth_http_ssl_certificate cert.pem; \
         auth_http_ssl_certificate_key key.pem;",
        &[],
    ),
    differs(
        "not in nginx",
        At::Server,
        "auth_http https://127.0.0.1:1/x; auth_http_ssl_certificate cert.pem;",
        &[r#"[emerg] no "auth_http_ssl_certificate_key" is defined for certificate "cert.pem""#],
    ),
    differs(
        "not in nginx",
        At::Mail,
        "auth_http_ssl_name a;",
        &[r#"[warn] the "auth_http_ssl_name" directive has no effect without "auth_http https://...", ignored in @:7"#],
    ),
    differs(
        "not in nginx",
        At::Mail,
        "auth_http_ssl_name a; server { listen 14311; protocol imap; auth_http https://127.0.0.1; }",
        &[],
    ),
    // Who claims a name must prove it.
    differs(
        "nginx does not warn",
        At::Server,
        "imap_auth external; pop3_auth external;",
        &[r#"[warn] "imap_auth external" without "ssl_verify_client": no certificate is asked for in @:8"#],
    ),
    differs(
        "nginx does not warn",
        At::Mail,
        "imap_auth external; server { listen 14311; protocol imap; } server { listen 14312; protocol imap; }",
        &[r#"[warn] "imap_auth external" without "ssl_verify_client": no certificate is asked for in @:6"#],
    ),
    differs(
        "not in nginx",
        At::Server,
        "auth_users_file users; proxy_pass unix:/s; imap_auth plain external;",
        &[r#"[warn] "imap_auth external" has no effect with "auth_users_file": who claims a name is refused in @:8"#],
    ),
    row(
        At::Server,
        "imap_auth external; starttls on; ssl_certificate cert.pem; ssl_certificate_key key.pem; \
         ssl_verify_client optional_no_ca;",
        &[],
    ),
];
