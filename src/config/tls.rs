//! The directives of nginx's mail ssl module. This build has no TLS: everything that asks for it is refused by name, and
//! from here only.

use super::call::{Call, Outcome};
use super::settings::MailSettings;

/// Why something cannot be had.
pub fn unavailable(what: &str) -> String {
    format!("{what} requires TLS, which this build of gatepost does not have yet")
}

/// Any `ssl_*` directive.
pub fn refuse(call: &mut Call<'_>) -> Outcome {
    Err(unavailable(&format!("\"{}\" directive", call.name)))
}

/// `starttls off|on|only`
pub fn starttls(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    call.choice(&mut mail.starttls, &[("off", false), ("on", true), ("only", true)])?;
    match mail.starttls {
        Some(true) => Err(unavailable(&format!("\"starttls {}\"", call.args[0]))),
        _ => Ok(()),
    }
}

/// `ssl on|off`, which nginx knew up to 1.25.0.
pub fn ssl(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    call.flag(&mut mail.ssl)?;
    call.warn("the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive instead");
    match mail.ssl {
        Some(true) => Err(unavailable("\"ssl on\"")),
        _ => Ok(()),
    }
}

/// `auth_http_pass_client_cert on|off`
pub fn pass_client_cert(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    call.flag(&mut mail.auth_http_pass_client_cert)?;
    if mail.auth_http_pass_client_cert == Some(true) {
        call.warn("the \"auth_http_pass_client_cert\" directive has no effect in gatepost without TLS, ignored");
    }
    Ok(())
}

/// `listen ... ssl`
pub fn listen() -> Outcome {
    Err(unavailable("the \"ssl\" parameter of the \"listen\" directive"))
}
