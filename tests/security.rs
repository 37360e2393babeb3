//! The classes of vulnerabilities that mail proxies have had, from published advisories: each module is one class.
//!
//! Like the wire tests these run against Gatepost and nginx; see `tests/README.md`.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, unused_imports, reason = "the wire tests use the rest")]
#[path = "wire/harness/mod.rs"]
mod harness;

mod security {
    mod auth_reply_into_lines;
    mod cache_key_collision;
    mod credential_leaks;
    mod literals_and_parser_memory;
    mod mechanism_not_enabled;
    mod memory_image;
    mod ptr_into_auth_http_and_xclient;
    mod resumption_across_servers;
    mod retry_and_abort;
    mod slow_and_cheap_floods;
    mod smtp_smuggling;
    mod stale_credentials;
    mod starttls_command_injection;
    mod trust_in_proxy_headers;
    mod upstream_injection_and_downgrade;
}
