//! The documentation tells what is there: directives, tests and files that it names exist, no directive is missing, and the
//! configurations that it shows are good.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text between each `before` and the next `after`.
fn between<'a>(text: &'a str, before: &'a str, after: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| Some(rest.split_once(after)?.0))
}

#[test]
fn every_directive_is_described() {
    let table = read("src/directives.rs");
    let reference = read("docs/directives.md");
    let names: Vec<&str> =
        ["row(\"", "block(\"", "ssl(\""].into_iter().flat_map(|before| between(&table, before, "\"")).collect();
    assert!(names.len() > 50, "the table is not understood: {names:?}");
    for name in names {
        let described = [" ", "`"].iter().any(|end| reference.contains(&format!("`{name}{end}")));
        assert!(described, "docs/directives.md says nothing of {name}");
    }
}

#[test]
fn all_unsafe_code_is_listed() {
    let mut sources = Vec::new();
    collect_sources(&root().join("src"), &mut sources);
    let list = read("docs/security.md");
    for (path, text) in sources {
        let path = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
        let is_test = ["tests", "testing"].iter().any(|name| path.contains(name));
        let unsafe_code =
            ["unsafe {", "unsafe impl", "unsafe fn", "unsafe extern"].iter().any(|word| text.contains(word));
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let is_listed = list.contains(&format!("`{path}`")) || list.contains(&format!("`{directory}/`"));
        assert!(is_test || !unsafe_code || is_listed, "docs/security.md does not list the unsafe code in src/{path}");
    }
}

#[test]
fn tests_that_are_named_exist() {
    let mut sources = Vec::new();
    for directory in ["src", "crates", "tests"] {
        collect_sources(&root().join(directory), &mut sources);
    }
    let security = read("docs/security.md");
    let (_, classes) = security.split_once("## Classes of vulnerabilities").unwrap();
    let (classes, _) = classes.split_once("\n## ").unwrap();
    for (document, table, at_least) in
        [("docs/differences.md", read("docs/differences.md").as_str(), 20), ("docs/security.md", classes, 14)]
    {
        let mut count = 0;
        // Rows end in a cell like `path`: `function`, `function`; `path`: `function`.
        for row in table.lines().filter(|line| line.starts_with("| ")) {
            let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
            for place in cell.split("; ").filter(|place| place.starts_with('`')) {
                let mut names = place.split('`').skip(1).step_by(2);
                let path = names.next().unwrap();
                for function in names {
                    let found = sources.iter().any(|(source, text)| {
                        source.to_str().unwrap().contains(path) && text.contains(&format!("fn {function}("))
                    });
                    assert!(found, "{document} names {function} in {path}, which is not there");
                    count += 1;
                }
            }
        }
        assert!(count > at_least, "the table of {document} is not understood: {count} tests found");
    }
}

fn collect_sources(directory: &Path, sources: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            sources.push((path, text));
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let mut documents = vec![root().join("README.md"), root().join("CONTRIBUTING.md"), root().join("tests/README.md")];
    documents.extend(fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in between(&text, "](", ")").filter(|link| !link.contains("://")) {
            let target = document.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(target.exists(), "{} links to {link}, which is not there", document.display());
        }
    }
}

#[test]
fn configurations_pass_the_test() {
    for document in ["README.md", "docs/users-file.md", "docs/logging.md"] {
        for configuration in between(&read(document), "```nginx\n", "```") {
            passes_the_test(document, configuration);
        }
    }
    for file in ["packaging/gatepost.conf", "packaging/container/gatepost.conf"] {
        passes_the_test(file, &read(file));
    }
}

fn passes_the_test(place: &str, configuration: &str) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("users"), "alice:{PLAIN}wonderland:192.0.2.1\n").unwrap();
    fs::write(directory.path().join("gatepost.conf"), unprivileged(configuration)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_gatepost"))
        .arg("-t")
        .args(["-p".as_ref(), directory.path().as_os_str()])
        .args(["-g", "pid gatepost.pid;", "-e", "error.log"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // It may be a part of one, and the machine may have few descriptors.
    let noise = |line: &&str| line.ends_with("nobody is served") || line.contains(" exceed open file resource limit: ");
    let warnings = said.lines().filter(|line| line.contains("[warn]") && !noise(line)).count();
    assert!(output.status.success() && warnings == 0, "{place}:\n{configuration}\n{said}");
}

/// The same with ports, paths and a user that everybody has.
fn unprivileged(configuration: &str) -> String {
    let mut text = configuration.replace("/var/log/gatepost/", "").replace("user gatepost;", "");
    for port in ["143", "110", "587"] {
        let own = format!("listen 127.0.0.1:2{port};");
        text = text.replace(&format!("listen {port};"), &own).replace(&format!("listen 127.0.0.1:{port};"), &own);
    }
    text
}

#[test]
fn every_option_is_in_the_manual_and_completed() {
    let output = Command::new(env!("CARGO_BIN_EXE_gatepost")).arg("-h").output().unwrap();
    let help = String::from_utf8(output.stderr).unwrap();
    // Lines like "  -?,-h         : this help".
    let described = help.lines().filter_map(|line| line.strip_prefix("  -")?.split_once(" : "));
    let options: Vec<char> =
        described.flat_map(|(option, _)| option.split(",-").filter_map(|name| name.chars().next())).collect();
    assert!(options.len() >= 11, "the help is not understood: {options:?}");
    for (file, forms) in [
        ("gatepost.8", &["\\-@ ", "\\-@\n"][..]),
        ("completion/gatepost.bash", &["-@ "]),
        ("completion/_gatepost", &["'-@[", "-@,", "-\\@,"]),
        ("completion/gatepost.fish", &[" -s @ ", " -s '@' "]),
    ] {
        let text = read(Path::new("packaging").join(file));
        for option in &options {
            let told = forms.iter().any(|form| text.contains(&form.replace('@', &option.to_string())));
            assert!(told, "packaging/{file} has no -{option}");
        }
    }
}
