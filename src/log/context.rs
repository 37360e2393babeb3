//! What the lines of a session end with.

use std::fmt;
use std::sync::Arc;

use gatepost_proto::printable;

/// Who is served, and what is being done for them. Its `Display` goes behind the message, as in
/// `client login failed: "no" while in http auth state, client: 192.0.2.1, server: 0.0.0.0:143, login: "joe"`.
#[derive(Debug, Clone)]
pub struct Context {
    /// Follows ` while `; empty when there is nothing to say.
    pub action: &'static str,
    /// The client's address, without port.
    pub client: String,
    /// The `listen` it came by.
    pub server: Arc<str>,
    /// Whether the session said STARTTLS.
    pub starttls: bool,
    /// The user name as the client gave it; empty as long as there is none.
    pub login: Vec<u8>,
    /// The mail server, once there is one.
    pub upstream: Option<String>,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.action.is_empty() {
            write!(f, " while {}", self.action)?;
        }
        let starttls = if self.starttls { " using starttls" } else { "" };
        write!(f, ", client: {}{starttls}, server: {}", self.client, self.server)?;
        if !self.login.is_empty() {
            write!(f, ", login: \"{}\"", printable(&self.login))?;
        }
        match &self.upstream {
            Some(upstream) => write!(f, ", upstream: {upstream}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_as_is_known() {
        let mut context = Context {
            action: "sending client greeting line",
            client: "192.0.2.1".to_string(),
            server: Arc::from("0.0.0.0:143"),
            starttls: false,
            login: Vec::new(),
            upstream: None,
        };
        assert_eq!(context.to_string(), " while sending client greeting line, client: 192.0.2.1, server: 0.0.0.0:143");
        context.action = "";
        context.starttls = true;
        context.login = b"joe\", upstream: \r\n\xff".to_vec();
        context.upstream = Some("[2001:db8::1]:143".to_string());
        assert_eq!(
            context.to_string(),
            ", client: 192.0.2.1 using starttls, server: 0.0.0.0:143, login: \"joe\\x22, upstream: \\x0D\\x0A\\xFF\", \
             upstream: [2001:db8::1]:143"
        );
    }
}
