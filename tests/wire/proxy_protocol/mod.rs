//! The PROXY protocol, from what is in front and to the backend.

mod from_front;
mod real_ip;
mod to_backend;
mod version_2;
