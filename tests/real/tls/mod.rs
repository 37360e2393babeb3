//! What is of interest only with TLS: certificates of both sides, resumption, and mail servers that must not be trusted.
//!
//! Everything that works without TLS is shown to work with it elsewhere, by [`crate::mode`].

mod auth_https;
mod certificates;
mod client_certificates;
mod dialogue;
mod gate;
mod resumption;
mod untrusted;
mod upstream;
