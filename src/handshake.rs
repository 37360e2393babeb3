//! TLS towards the client: the handshake, the server block that it asks for by name, and its certificate.

use gatepost_proto::Output;

use crate::event_loop::time::timeout_at;
use crate::log::Level;
use crate::session::{Ended, Session};
use crate::stream::Stream;
use crate::tls::facts::Facts;
use crate::tls::options::VerifyClient;
use crate::tls::server::{CertificateRefusal, check_client_certificate};

impl Session {
    /// Encrypts the connection. What comes of it besides: the server block, and what is known of the client.
    pub async fn start_tls(&mut self) -> Result<(), Ended> {
        self.log.context.action = "SSL handshaking";
        self.allow(self.service.conf.timeout);
        let door = self.door.clone();
        let entrance = door.entrance.as_ref().expect("the configuration gives TLS to every listen that has it");
        let Some(socket) = self.stream.take_socket() else { return Err(Ended) };
        match timeout_at(self.deadline, entrance.accept(socket)).await {
            Ok(Ok((stream, chosen))) => {
                self.stream = stream.into();
                self.service = door.services[chosen].clone();
                self.log.follow(&self.service.log);
                self.recognise();
            }
            Ok(Err(error)) => {
                self.log.write(error.level(), format_args!("{error}"));
                return Err(Ended);
            }
            Err(_) => return Err(self.timed_out().await),
        }
        self.look_at_certificate().await
    }

    async fn look_at_certificate(&mut self) -> Result<(), Ended> {
        let Stream::Tls(stream) = &self.stream else { return Ok(()) };
        let verify = self.service.verify_client();
        match check_client_certificate(stream, verify) {
            Ok(()) => {
                let whole = self.service.conf.auth.passes_client_cert();
                self.client.tls = Some(Facts::of(stream.ssl(), verify != VerifyClient::Off, whole));
                Ok(())
            }
            Err(refusal) => {
                self.log.write(Level::Info, format_args!("{refusal}"));
                let missing = refusal == CertificateRefusal::Missing;
                let bytes = gatepost_proto::certificate_refusal(self.service.conf.protocol(), missing).to_vec();
                Err(self.farewell(&mut Output { bytes, notes: Vec::new() }).await)
            }
        }
    }
}
