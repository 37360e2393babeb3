//! The inputs that the fuzz targets start from, and every input that once showed a mistake: `fuzz/corpus`.

use std::fs;
use std::path::{Path, PathBuf};

use gatepost_fuzz_properties::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(corpus().join(target)).unwrap_or_else(|error| panic!("{target}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("a file"))).collect()
}

#[test]
fn every_property_holds_for_every_input() {
    for target in TARGETS {
        let inputs = inputs(target.name);
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        for (path, input) in inputs {
            // Shown only if the test fails.
            println!("{}", path.display());
            (target.check)(&input);
        }
    }
}

/// Every beginning of an input, and every input with one byte changed.
#[test]
fn every_property_holds_for_the_neighbours() {
    for target in TARGETS {
        for (path, input) in inputs(target.name).into_iter().filter(|(_, input)| input.len() <= 200) {
            println!("{}", path.display());
            for end in 0..input.len() {
                (target.check)(&input[..end]);
                let mut changed = input.clone();
                changed[end] ^= 1 << (end % 8);
                (target.check)(&changed);
            }
        }
    }
}

#[test]
fn every_directory_is_of_a_target() {
    for entry in fs::read_dir(corpus()).expect("the corpus") {
        let name = entry.expect("an entry").file_name();
        let of_the_program = ["conf_load", "dns_answer", "users_file"];
        let known =
            TARGETS.iter().any(|target| name == target.name) || of_the_program.iter().any(|other| name == **other);
        assert!(known, "{name:?}");
    }
}
