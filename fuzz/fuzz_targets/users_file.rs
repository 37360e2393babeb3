//! Users files. These modules are part of the program, so they are taken in as they are.

#![no_main]
#![allow(dead_code, unused_imports, reason = "most of what the modules offer is for the rest of the program")]

#[path = "../../src/addr.rs"]
mod addr;
#[path = "../../src/auth/users"]
mod users {
    mod file;
    pub mod hostile;
    mod password;
}
#[path = "../../src/config/mod.rs"]
mod config;
#[path = "../../src/directives.rs"]
mod directives;
#[path = "../../src/log/mod.rs"]
mod log;
#[path = "../../src/tls"]
mod tls {
    pub mod options;
}

libfuzzer_sys::fuzz_target!(|text: &[u8]| users::hostile::check(text));
