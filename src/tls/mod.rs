//! TLS on both sides.

pub mod options;
