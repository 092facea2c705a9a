//! Starting, and refusing to: usage, configuration, ports. Exit codes are part of the interface.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use dixmgr_testkit::{HttpFixture, Reply};
use tempfile::TempDir;

use crate::support::{BINARY, config};

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn with_config(text: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dixmgr.toml");
    fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (directory, path)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// Every kind of fault that a file can have at once, and what the report must name for each.
const FAULTY: &str = r#"
[defaults]
interval = "30 fortnights"

[[service]]
name = "a"
unit = "a.service"
needs = ["b"]

[[service]]
name = "b"
unit = "b"
needs = ["a", "nobody"]
intervall = "1s"

[[service]]
name = "a"
unit = "c.service"
quorum = 3
replicas = 2
"#;

#[test]
fn all_faults_of_a_file_are_reported_together_and_the_exit_code_is_2() {
    let (_directory, path) = with_config(FAULTY);
    for arguments in [["-exec", "-conf", &path].as_slice(), &["check", "-conf", &path]] {
        let output = run(arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for part in [&format!("{path}:3:"), "fortnights", "nobody", "intervall", "quorum", &format!("{path}:12:")] {
            assert!(said.contains(part), "{arguments:?} must name {part:?}: {said}");
        }
    }
}

#[test]
fn a_cycle_is_named_from_end_to_end() {
    let text = "[[service]]\nname=\"a\"\nunit=\"a.service\"\nneeds=[\"b\"]\n[[service]]\nname=\"b\"\nunit=\"b.service\"\nneeds=[\"a\"]\n";
    let (_directory, path) = with_config(text);
    let output = run(&["check", "-conf", &path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("a → b → a"), "{}", said(&output));
}

#[test]
fn check_prints_the_plan_and_exits_with_0() {
    let text =
        config(&["web.service"]) + "[[service]]\nname = \"front\"\nunit = \"front.service\"\nneeds = [\"web\"]\n";
    let (_directory, path) = with_config(&text);
    let output = run(&["check", "-conf", &path]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in ["web.service", "front.service"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn usage_errors_exit_with_2() {
    let (_directory, path) = with_config(&config(&["web.service"]));
    let wrong: [&[&str]; 6] = [
        &["-conf", &path],
        &["-exec", "-watch", "-conf", &path],
        &["-exec"],
        &["-exec", "-conf", "/nonexistent/dixmgr.toml"],
        &["-exec", "-conf", &path, "-no-such-flag"],
        &["-exec", "-conf", &path, "-metrics-port", "70000"],
    ];
    for arguments in wrong {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(!output.stderr.is_empty(), "{arguments:?} says nothing");
    }
}

#[test]
fn a_taken_port_is_named_and_the_exit_code_is_1() {
    let taken = HttpFixture::always(Reply::status(200));
    let port = taken.port().to_string();
    let text = "[[service]]\nname = \"sleeper\"\ncommand = [\"sleep\", \"1\"]\n";
    let (directory, path) = with_config(text);
    let inside = |name: &str| directory.path().join(name).display().to_string();
    let output = run(&[
        "-exec",
        "-conf",
        &path,
        "-process-manager",
        "direct",
        "-metrics-port",
        &port,
        "-data-dir",
        &inside("data"),
        "-process-log-dir",
        &inside("log"),
        "-process-pid-dir",
        &inside("pid"),
    ]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&port) && said.contains("-metrics-port"), "names the port and the flag: {said}");
    assert!(!Path::new(&inside("pid")).join("sleeper.pid").exists(), "nothing was started");
}
