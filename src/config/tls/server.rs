//! Where TLS is asked for: `listen ... ssl`, `ssl on`, `starttls`.

use gatepost_proto::StartTls;

use super::session_cache;
use crate::config::call::{Call, Outcome};
use crate::config::settings::MailSettings;

/// `starttls off|on|only;`
pub fn starttls(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    let choices = &[("off", StartTls::Off), ("on", StartTls::On), ("only", StartTls::Only)];
    call.choice(&mut mail.tls.starttls, choices)?;
    conflict(mail, "\"ssl\" directive conflicts with \"starttls\"")?;
    wanted(mail, call);
    Ok(())
}

/// `ssl on|off;`, which nginx knew up to 1.25.0.
pub fn ssl(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    call.flag(&mut mail.tls.ssl)?;
    call.warn("the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive instead");
    conflict(mail, "\"starttls\" directive conflicts with \"ssl on\"")?;
    wanted(mail, call);
    Ok(())
}

fn conflict(mail: &MailSettings, message: &str) -> Outcome {
    let starttls = mail.tls.starttls.is_some_and(|starttls| starttls != StartTls::Off);
    if mail.tls.ssl == Some(true) && starttls { Err(message.to_string()) } else { Ok(()) }
}

fn wanted(mail: &mut MailSettings, call: &Call<'_>) {
    if !mail.tls.listen {
        mail.tls.place = Some(call.place.clone());
    }
}

/// `listen ... ssl;`
pub fn listen(mail: &mut MailSettings, call: &Call<'_>) {
    mail.tls.listen = true;
    mail.tls.place = Some(call.place.clone());
}

/// `ssl_session_cache`
pub fn session_cache(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    session_cache::directive(&mut mail.tls, call)
}
