//! `make soak`, for some seconds.

use std::path::Path;
use std::process::Command;

use crate::MACHINE;
use crate::harness::Subject;

#[test]
fn a_short_soak() {
    let _alone = MACHINE.blocking_write();
    // As it is now, which `cargo test --test faults` alone does not build.
    let target = Path::new(env!("CARGO_BIN_EXE_gatepost")).ancestors().nth(2).unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", "soak"]).env("CARGO_TARGET_DIR", target);
    assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    let program = target.join("debug/examples/soak");
    let mut command = Command::new(&program);
    command.env("GATEPOST", Subject::current().path()).env("SOAK_SECONDS", "10").env("SOAK_CLIENTS", "100");
    let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let table = String::from_utf8_lossy(&output.stdout);
    println!("{table}");
    assert!(output.status.success(), "{table}\n{}", String::from_utf8_lossy(&output.stderr));
    for row in ["sessions", "bytes to clients", "survived", "errors", "leaks"] {
        assert!(table.lines().any(|line| line.starts_with(row)), "no {row} in\n{table}");
    }
}
