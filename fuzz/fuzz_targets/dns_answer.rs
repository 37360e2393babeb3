//! Answers of name servers. These modules are part of the program, so they are taken in as they are.

#![no_main]
#![allow(dead_code, unused_imports, reason = "most of what the modules offer is for the rest of the program")]

#[path = "../../src/log"]
mod log {
    mod errno;

    pub use errno::Errno;
}

#[path = "../../src/resolver"]
mod resolver {
    mod answer;
    mod failure;
    pub mod hostile;

    pub use failure::Failure;
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| resolver::hostile::check(input));
