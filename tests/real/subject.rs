//! The program under test.
//!
//! `SUBJECT=gatepost` (the default) is the binary of this package, or the one that `GATEPOST` names; `SUBJECT=nginx` is
//! `/usr/sbin/nginx`, or the one that `NGINX` names.

use std::env;
use std::process::Command;

/// Whether the subject is nginx.
pub(crate) fn is_nginx() -> bool {
    match env::var("SUBJECT").as_deref() {
        Ok("nginx") => true,
        Ok("gatepost") | Err(_) => false,
        Ok(other) => panic!("SUBJECT is nginx or gatepost, not {other}"),
    }
}

/// The program's path.
pub(crate) fn path() -> String {
    let (variable, default) =
        if is_nginx() { ("NGINX", "/usr/sbin/nginx") } else { ("GATEPOST", env!("CARGO_BIN_EXE_gatepost")) };
    env::var(variable).unwrap_or_else(|_| default.to_string())
}

/// What the configuration must begin with: Debian's nginx has its mail proxy in a module.
pub(crate) fn preamble() -> &'static str {
    let dynamic = is_nginx() && told("-V").contains("--with-mail=dynamic");
    if dynamic { "load_module /usr/lib/nginx/modules/ngx_mail_module.so;\n" } else { "" }
}

/// Whether the subject knows `proxy_protocol v2`: nginx before 1.31.4 does not.
pub(crate) fn sends_v2() -> bool {
    !is_nginx() || version(&told("-v")) >= vec![1, 31, 4]
}

/// The numbers behind the slash in `nginx version: nginx/1.22.1 (Debian)`.
fn version(text: &str) -> Vec<u32> {
    let numbers = text.rsplit('/').next().unwrap_or_default();
    numbers.split(['.', ' ', '\n']).map_while(|number| number.parse().ok()).collect()
}

fn told(option: &str) -> String {
    let output = Command::new(path()).arg(option).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; run scripts/test-deps.sh", path()));
    String::from_utf8_lossy(&output.stderr).into_owned()
}
