//! Tells the program how it was built, for `-V`.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    println!("cargo:rustc-env=GATEPOST_RUSTC={}", String::from_utf8_lossy(&version).trim());
    for (name, variable) in [("GATEPOST_TARGET", "TARGET"), ("GATEPOST_PROFILE", "PROFILE")] {
        println!("cargo:rustc-env={name}={}", env::var(variable).unwrap_or_default());
    }
    println!("cargo:rerun-if-changed=build.rs");
}
