//! Options, `-T`, `-q`, and signals.

use std::fs;
use std::process::Output;

use tempfile::TempDir;

use crate::runner::{lines, program, subject};
use crate::subject::{Subject, differs};

/// A directory with a sound `test.conf`.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().display();
    let preamble = Subject::current().preamble();
    let text = format!("{preamble}pid {path}/pid;\nerror_log {path}/error.log;\ninclude inc/*.conf;\nevents {{ }}\n");
    fs::write(home.path().join("test.conf"), text).unwrap();
    fs::create_dir(home.path().join("inc")).unwrap();
    for (name, text) in [("b.conf", "daemon off;\n"), ("a.conf", "# first"), (".c.conf", "nonsense"), ("d", "nonsense")]
    {
        fs::write(home.path().join("inc").join(name), text).unwrap();
    }
    home
}

/// Runs it with `-p` and `-c test.conf`.
fn run(home: &TempDir, args: &[&str]) -> Output {
    let prefix = home.path().to_str().unwrap();
    subject(home.path(), &[&["-p", prefix, "-c", "test.conf"], args].concat())
}

#[test]
fn bad_options() {
    let home = home();
    for (args, message) in [
        (&["x"][..], "invalid option: \"x\""),
        (&["-x"], "invalid option: \"x\""),
        (&["-tx"], "invalid option: \"x\""),
        (&["--test"], "invalid option: \"-\""),
        (&["--"], "invalid option: \"-\""),
        (&["-s", "x"], "invalid option: \"-s x\""),
    ] {
        let output = run(&home, args);
        assert_eq!(lines(&output), [message], "{args:?}");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
    }
}

#[test]
fn missing_operands() {
    let home = home();
    for (option, what) in
        [("-c", "file name"), ("-e", "file name"), ("-p", "directory name"), ("-g", "parameter"), ("-s", "parameter")]
    {
        let output = program().arg(option).output().unwrap();
        assert_eq!(lines(&output), [format!("option \"{option}\" requires {what}")]);
        assert_eq!(output.status.code(), Some(1));
    }
    drop(home);
}

#[test]
fn versions_and_help() {
    let home = home();
    let name = if Subject::is_nginx() { "nginx" } else { "gatepost" };
    for (args, needle) in
        [("-v", " version: "), ("-V", "TLS SNI support enabled"), ("-h", "Options:"), ("-?", "Usage: ")]
    {
        let output = run(&home, &[args]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(&format!("{name} version: {name}/")) && text.contains(needle), "{args}: {text}");
        assert_eq!(output.status.code(), Some(0), "{args}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_test_says_so_unless_it_is_quiet() {
    let home = home();
    let file = home.path().join("test.conf");
    let file = file.display();
    let prefix = home.path().to_str().unwrap();
    let expected = [
        format!("the configuration file {file} syntax is ok"),
        format!("configuration file {file} test is successful"),
    ];
    let nobody =
        differs("nobody is served", None, Some("[warn] no \"mail\" section with a \"server\" in it: nobody is served"));
    let noise = |line: &String| !line.contains("has no effect") && nobody.is_none_or(|nobody| line != nobody);
    let said: Vec<String> = lines(&run(&home, &["-t"])).into_iter().filter(noise).collect();
    assert_eq!(said, expected);
    assert!(home.path().join("pid").exists() && home.path().join("error.log").exists());

    let quiet = subject(home.path(), &["-tqp", prefix, "-ctest.conf"]);
    let nobody = nobody.into_iter().map(ToString::to_string).collect();
    assert_eq!((lines(&quiet), quiet.status.code()), (nobody, Some(0)));

    let output = run(&home, &["-tq", "-g", "foo;"]);
    let expected = [
        "[emerg] unknown directive \"foo\" in command line".to_string(),
        format!("configuration file {file} test failed"),
    ];
    assert_eq!(lines(&output), expected);
}

#[test]
fn a_dump_has_every_file_once() {
    let home = home();
    let file = home.path().join("test.conf");
    let output = run(&home, &["-T"]);
    let path = home.path().display();
    let expected = format!(
        "# configuration file {path}/test.conf:\n{}\n# configuration file {path}/inc/a.conf:\n# first\n# configuration \
         file {path}/inc/b.conf:\ndaemon off;\n\n",
        fs::read_to_string(file).unwrap()
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_configuration_that_is_not_there() {
    let home = tempfile::tempdir().unwrap();
    let output = run(&home, &["-t"]);
    let file = home.path().join("test.conf");
    let file = file.display();
    let expected = [
        format!("[emerg] open() \"{file}\" failed (2: No such file or directory)"),
        format!("configuration file {file} test failed"),
    ];
    assert_eq!((lines(&output), output.status.code()), (expected.to_vec(), Some(1)));
}

#[test]
fn signals_need_a_process() {
    let home = home();
    let pid = home.path().join("pid");
    let path = pid.display().to_string();
    let said = |args: &[&str]| {
        let output = run(&home, args);
        assert_eq!(output.status.code(), Some(1));
        lines(&output).pop().unwrap()
    };
    assert_eq!(said(&["-s", "stop"]), format!("[error] open() \"{path}\" failed (2: No such file or directory)"));
    for (content, number) in [("", ""), ("x\n", "x"), ("12 \n", "12 ")] {
        fs::write(&pid, content).unwrap();
        assert_eq!(said(&["-squit"]), format!("[error] invalid PID number \"{number}\" in \"{path}\""));
    }
    // No system has that many processes.
    fs::write(&pid, "2147483646\n").unwrap();
    for (name, signal) in [("stop", 15), ("quit", 3), ("reopen", 10), ("reload", 1)] {
        let expected = format!("[alert] kill(2147483646, {signal}) failed (3: No such process)");
        assert_eq!(said(&["-s", name]), expected);
    }
}

/// The pid file may be that of another program, or out of date.
#[test]
fn signals_are_for_gatepost() {
    for (name, signal) in [("stop", 15), ("quit", 3), ("reopen", 10), ("reload", 1)] {
        let home = home();
        let pid = home.path().join("pid");
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(&pid, format!("{}\n", child.id())).unwrap();
        let output = run(&home, &["-s", name]);
        if Subject::is_nginx() {
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(signal));
            continue;
        }
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
        let expected = format!("[error] process {} of \"{}\" is not gatepost", child.id(), pid.display());
        assert_eq!((lines(&output).pop(), output.status.code()), (Some(expected), Some(1)));
    }
}

#[test]
fn a_log_that_cannot_be_opened_at_first() {
    let home = home();
    let prefix = home.path().to_str().unwrap();
    let mut command = program();
    let output = command.args(["-t", "-p", prefix, "-c", "test.conf", "-e", "nosuch/boot.log"]).output().unwrap();
    let expected = format!(
        "[alert] could not open error log file: open() \"{prefix}/nosuch/boot.log\" failed (2: No such file or directory)"
    );
    assert_eq!(lines(&output).first(), Some(&expected));
    assert_eq!(output.status.code(), Some(0));
}
