//! `include`: where files are looked for, and mistakes in them.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::runner::{lines, subject};
use crate::subject::Subject;

/// A directory `conf` with these files, the first of which is the configuration, and what `-t` says of it.
fn test(files: &[(&str, &str)]) -> (TempDir, Vec<String>) {
    let home = tempfile::tempdir().unwrap();
    let conf = home.path().join("conf");
    fs::create_dir_all(conf.join("sub")).unwrap();
    let start = format!("{} pid pid; error_log error.log;", Subject::current().preamble().replace('\n', " "));
    for (index, (name, text)) in files.iter().enumerate() {
        let start = if index == 0 { start.as_str() } else { "" };
        fs::write(conf.join(name), format!("{start}{text}")).unwrap();
    }
    let prefix = home.path().to_str().unwrap().to_string();
    let output = subject(home.path(), &["-t", "-p", &prefix, "-c", &format!("conf/{}", files[0].0)]);
    let lines = lines(&output).into_iter().filter(|line| !line.contains("has no effect"));
    let lines = lines.map(|line| line.replace(&format!("{prefix}/conf/"), "@")).collect();
    (home, lines)
}

fn failure(files: &[(&str, &str)]) -> String {
    let (_, lines) = test(files);
    assert_eq!(lines.last().map(String::as_str), Some("configuration file @main.conf test failed"), "{lines:?}");
    lines[0].clone()
}

fn sound(files: &[(&str, &str)]) {
    let (home, lines) = test(files);
    assert!(lines.last().is_some_and(|line| line.ends_with("test is successful")), "{lines:?}");
    assert!(Path::exists(&home.path().join("error.log")), "logs are relative to the prefix");
}

#[test]
fn names_are_relative_to_the_configuration() {
    sound(&[
        ("main.conf", "include a.conf; events { }"),
        ("a.conf", "include sub/b.conf;"),
        ("sub/b.conf", "daemon on;"),
    ]);
    // Not relative to the including file.
    let wrong =
        failure(&[("main.conf", "include sub/a.conf;"), ("sub/a.conf", "\ninclude b.conf;"), ("sub/b.conf", "")]);
    assert_eq!(wrong, "[emerg] open() \"@b.conf\" failed (2: No such file or directory) in @sub/a.conf:2");
}

#[test]
fn mistakes_name_the_file_they_are_in() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("main.conf", "include a;"), ("a", "\n\nfoo;")], "[emerg] unknown directive \"foo\" in @a:3"),
        (&[("main.conf", "include a;"), ("a", "}")], "[emerg] unexpected \"}\" in @a:1"),
        (&[("main.conf", "include a;"), ("a", "events {")], "[emerg] unexpected end of file, expecting \"}\" in @a:1"),
        (
            &[("main.conf", "include a;"), ("a", "events {}\nmail {\nserver { }\n}")],
            "[emerg] no \"listen\" is defined for server in @a:3",
        ),
        (
            &[("main.conf", "events {}\nmail {\ninclude a;\n}"), ("a", "\nserver { listen 14311; }")],
            "[emerg] unknown mail protocol for server in @a:2",
        ),
        (
            &[
                ("main.conf", "events {}\nmail {\nserver { listen 14311; include a; }\n}"),
                ("a", "protocol imap;\ndaemon on;"),
            ],
            "[emerg] \"daemon\" directive is not allowed here in @a:2",
        ),
        (
            &[("main.conf", "\ninclude nosuch;")],
            "[emerg] open() \"@nosuch\" failed (2: No such file or directory) in @main.conf:2",
        ),
    ];
    for (files, message) in rows {
        assert_eq!(failure(files), *message, "{files:?}");
    }
}

#[test]
fn patterns() {
    let files = [
        ("main.conf", "include sub/*.conf; include sub/nothing*; include sub/[xy]?; events { }"),
        ("sub/1.conf", "daemon on;"),
        ("sub/.2.conf", "nonsense"),
        ("sub/x1", "master_process on;"),
        ("sub/z1", "nonsense"),
    ];
    sound(&files);
    // In the order of names.
    let twice = [("main.conf", "include sub/*;"), ("sub/b", "daemon on;"), ("sub/a", "\ndaemon on;")];
    assert_eq!(failure(&twice), "[emerg] \"daemon\" directive is duplicate in @sub/b:1");
}

#[test]
fn long_parameters() {
    let long = "x".repeat(4100);
    let sound_text = format!("events {{ }}\nmail {{ server_name \"{}\"; }}", &long[..4000]);
    sound(&[("main.conf", &sound_text)]);
    assert_eq!(
        failure(&[("main.conf", &format!("\n{long};"))]),
        "[emerg] too long parameter \"xxxxxxxxxx...\" started in @main.conf:2"
    );
    assert_eq!(
        failure(&[("main.conf", &format!("daemon\n\"\n{long};"))]),
        "[emerg] too long parameter, probably missing terminating \"\"\" character in @main.conf:2"
    );
}

#[test]
fn a_file_that_includes_itself_is_found_out() {
    if Subject::is_nginx() {
        // It goes on until it has no descriptors left.
        return;
    }
    let message = failure(&[("main.conf", "include a;"), ("a", "include a; include a;")]);
    assert_eq!(message, "[emerg] files are included too deeply at \"@a\" in @a:1");
}

#[test]
fn text_that_is_not_utf_8() {
    // In comments and in blocks that are skipped it does no harm.
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("t.conf");
    let mut text = b"# caf\xe9\nevents { }\nhttp { x \"caf\xe9\"; }\n".to_vec();
    if !Subject::is_nginx() {
        fs::write(&file, &text).unwrap();
        let output =
            subject(home.path(), &["-t", "-c", file.to_str().unwrap(), "-g", "pid /dev/null; error_log stderr;"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text.extend(b"mail { server_name \"caf\xe9\"; }\n");
        fs::write(&file, &text).unwrap();
        let output =
            subject(home.path(), &["-t", "-c", file.to_str().unwrap(), "-g", "pid /dev/null; error_log stderr;"]);
        let expected = format!("[emerg] invalid UTF-8 in \"caf\u{fffd}\" in {}:4", file.display());
        assert!(lines(&output).contains(&expected), "{output:?}");
    }
}
