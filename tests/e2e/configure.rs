//! `dixmgr config`: the configuration of a dixmgr that runs, shown and changed by a command.

use std::fs;
use std::process::{Command, Output};

use dixmgr_testkit::{CountedUnit, Daemon, Namespace, SystemdNamespace};
use serde_json::Value;

use crate::support::{BINARY, assert_starts, await_health, config, exec};

const WEB: &str = "web.service";
const DB: &str = "db.service";

/// The command, with the token in its environment.
fn ask(daemon: &Daemon, arguments: &[&str]) -> Output {
    let address = format!("127.0.0.1:{}", daemon.api_port());
    let mut command = Command::new(BINARY);
    command.arg("config").args(arguments).args(["-address", &address]).env("API_TOKEN", "s3cret");
    command.output().expect("run dixmgr")
}

/// The same, with the token.
fn told(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = ask(daemon, &[arguments, &["-token", "env:API_TOKEN"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The same, refused: exit code and why.
fn refused(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let output = ask(daemon, arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_configuration_is_shown_compared_changed_and_gone_back_to() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[WEB, DB].map(CountedUnit::new));
    let token = systemd.write_file("token", "s3cret\n");
    let text = |units: &[&str]| format!("[api]\ntoken = \"file:{}\"\n{}", token.display(), config(units));
    let daemon = exec(&systemd, &text(&[WEB]), &["web"]);
    let file = |name: &str, text: &str| systemd.write_file(name, text).display().to_string();
    let (new, patch) =
        (file("new.toml", &text(&[WEB, DB])), file("patch.json", r#"{"defaults": {"interval": "700ms"}}"#));

    let shown = told(&daemon, &["show"]);
    assert!(shown.contains("unit = \"web.service\"") && shown.parse::<toml::Table>().is_ok(), "{shown}");
    let (code, why) = refused(&daemon, &["diff", &new]);
    assert!(code == Some(1) && why.contains("token"), "{code:?}: {why}");
    let said = told(&daemon, &["diff", &new]);
    assert!(said.starts_with("revision 1 stays in force; this would be otherwise: 1 service added\n  "), "{said}");
    assert_eq!(fs::read_to_string(daemon.config_path()).expect("a file"), text(&[WEB]), "nothing is changed");

    let said = told(&daemon, &["update", &new]);
    assert!(said.starts_with("revision 2 is in force: 1 service added\n"), "{said}");
    assert_starts(&systemd, &daemon, DB, 1);
    await_health(&daemon, "db", true);
    let flags = ["update", &patch, "-if-revision", "1", "-token", "env:API_TOKEN"];
    let (code, why) = refused(&daemon, &flags);
    assert!(code == Some(1) && why.contains("revision 1 was expected, and 2 is in force"), "{code:?}: {why}");
    let changed: Value =
        serde_json::from_str(&told(&daemon, &["update", &patch, "-if-revision", "2", "-json"])).expect("JSON");
    assert_eq!(
        (&changed["revision"], &changed["summary"]),
        (&3.into(), &"interval of 2 services 500ms → 700ms".into())
    );
    assert!(told(&daemon, &["reload"]).starts_with("revision 3 stays in force: "));

    let said = told(&daemon, &["rollback", "1", "-dry-run"]);
    assert!(said.starts_with("revision 3 stays in force; this would be otherwise: 1 service removed"), "{said}");
    assert!(told(&daemon, &["rollback"]).starts_with("revision 4 is in force: interval of 2 services 700ms → 500ms\n"));
    assert!(told(&daemon, &["rollback", "1"]).starts_with("revision 5 is in force: 1 service removed\n"));
    let past = told(&daemon, &["history", "-limit", "3"]);
    let rows: Vec<&str> = past.lines().collect();
    assert!(rows.len() == 4 && rows[0].starts_with("REVISION  TIME"), "{past}");
    assert!(rows[1].starts_with('5') && rows[1].contains("  rollback  ") && rows[1].contains("token file:"), "{past}");
    assert!(rows[3].starts_with('3') && rows[3].contains("  update "), "{past}");
    wrong(&daemon, &file("wrong.toml", "[defaults]\ninterval = \"often\"\n"));
}

/// What is wrong with a file is said with its place, and is another exit code than a dixmgr that does not answer.
fn wrong(daemon: &Daemon, file: &str) {
    let (code, why) = refused(daemon, &["update", file, "-token", "env:API_TOKEN"]);
    assert!(
        code == Some(2) && why.contains("the document that was sent:2:12: defaults.interval: duration \"often\""),
        "{code:?}: {why}"
    );
    let (code, why) = refused(daemon, &["diff", "/nowhere.toml", "-token", "env:API_TOKEN"]);
    assert!(code == Some(2) && why.contains("/nowhere.toml cannot be read"), "{code:?}: {why}");
    assert_eq!(refused(daemon, &["show", "-token", "s3cret"]).0, Some(2), "a token is a reference");
    let nobody = Command::new(BINARY).args(["config", "show", "-address", "127.0.0.1:1"]).output().expect("run dixmgr");
    assert_eq!(nobody.status.code(), Some(1));
}
