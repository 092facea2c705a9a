//! Messages by e-mail and for programs, to a real SMTP server and a real program.

use std::process::{Command, Output};

use dixmgr_testkit::smtp::{PASSWORD, USER};
use dixmgr_testkit::{CountedUnit, Namespace as _, SmtpServer, SystemdNamespace, eventually};

use crate::support::{BINARY, SOON, config, exec};

/// The value of a header, unfolded.
fn header(mail: &serde_json::Value, name: &str) -> String {
    let data = mail["data"].as_str().expect("text").replace("\r\n ", " ").replace("\r\n\t", " ");
    let line = data.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in {data}"))
}

#[test]
fn a_killed_unit_is_mailed_and_its_end_is_in_the_same_thread() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let Some(server) = SmtpServer::start_secure() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    systemd.start_units(&["web.service"]);
    let password = systemd.write_file("password", PASSWORD);
    let (port, ca, password) = (server.port(), server.authority(), password.display());
    let alerts = format!(
        "[alerts]\ngroup_wait = \"0s\"\ngroup_interval = \"1s\"\n[[alerts.channel]]\nname = \"mail\"\ntype = \"email\"\n\
         server = \"localhost\"\nport = {port}\nca = \"{}\"\nusername = \"{USER}\"\npassword = \"file:{password}\"\n\
         from = \"dixmgr <dixmgr@example.org>\"\nto = [\"ops@example.org\", \"Ann <ann@example.org>\"]\n",
        ca.display()
    );
    let daemon = exec(&systemd, &(alerts + &config(&["web.service"])), &["web"]);
    systemd.kill_unit("web.service");
    let mail = eventually(&format!("two mails; log:\n{}", daemon.log()), SOON, || {
        Some(server.mail()).filter(|mail| mail.len() == 2)
    });
    let [firing, resolved] = &mail[..] else { panic!("{mail:?}") };
    assert_eq!((&firing["tls"], &firing["authenticated"]), (&true.into(), &true.into()));
    assert_eq!(firing["to"], serde_json::json!(["ops@example.org", "ann@example.org"]));
    assert_eq!(header(firing, "Subject"), "[CRITICAL] web is down");
    assert_eq!(header(resolved, "Subject"), "[RESOLVED] web is down");
    assert_eq!(header(firing, "References"), header(resolved, "References"));
    assert_eq!(header(firing, "In-Reply-To"), header(resolved, "In-Reply-To"));
    assert_ne!(header(firing, "Message-ID"), header(resolved, "Message-ID"));
    assert!(header(firing, "Content-Type").starts_with("multipart/alternative"), "{firing}");
    assert!(!daemon.log().contains(PASSWORD), "a secret is not logged");
}

/// `dixmgr alerts test` over a channel with these keys.
fn tried(keys: &str) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("dixmgr.toml");
    let alerts = format!("[alerts]\nallow_commands = true\n[[alerts.channel]]\nname = \"c\"\n{keys}\n");
    std::fs::write(&file, config(&["db.service"]) + &alerts).expect("write");
    let mut test = Command::new(BINARY);
    test.args(["alerts", "test", "c", "-conf"]).arg(&file).env("SECRET", "never-shown").output().expect("run dixmgr")
}

#[test]
fn what_a_mail_server_refuses_is_told() {
    let Some(server) = SmtpServer::start() else { return };
    let keys = |to: &str, more: &str| {
        format!(
            "type = \"email\"\nserver = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"d@example.org\"\nto = [\"{to}\"]\n{more}",
            server.port()
        )
    };
    let taken = tried(&keys("ops@example.org", ""));
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    assert!(header(&server.mail()[0], "Subject").contains("TEST"));
    for (to, more, words) in [
        ("reject@example.org", "", "550"),
        ("later@example.org", "", "451"),
        ("ops@example.org", "username = \"u\"\npassword = \"env:SECRET\"", ""),
    ] {
        let output = tried(&keys(to, more));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(words), "{to}: {said}");
        assert!(!said.contains("never-shown"), "{said}");
    }
    let clear = tried(&keys("ops@example.org", "").replace("127.0.0.1", "mail.example.org"));
    assert_eq!(clear.status.code(), Some(2), "nothing is sent in the clear to another machine");
    let injected = tried(&keys("ops@example.org\\r\\nBcc: x@example.org", ""));
    assert_eq!(injected.status.code(), Some(2));
}

#[test]
fn a_program_gets_the_message_and_says_whether_it_arrived() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("write");
        let mut permissions = std::fs::metadata(&path).expect("it is there").permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        std::fs::set_permissions(&path, permissions).expect("it is ours");
        path.display().to_string()
    };
    let keys =
        |program: &str, argument: &str| format!("type = \"command\"\ncommand = [\"{program}\", \"{argument}\"]\n");
    let kept = directory.path().join("kept").display().to_string();
    let good = script("good", "cat > \"$1\"; env >> \"$1\"; echo paged");
    let output = tried(&keys(&good, &kept));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("paged"));
    let text = std::fs::read_to_string(&kept).expect("it was run");
    assert!(text.contains("\"version\":\"4\"") && text.contains("DIXMGR_IDEMPOTENCY_KEY=test-"), "{text}");
    assert!(!text.contains("never-shown"), "a program does not get our environment");
    let bad = tried(&keys(&script("bad", "echo 'no signal' >&2; exit 3"), "x"));
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert!(bad.status.code() == Some(1) && said.contains("no signal") && said.contains('3'), "{said}");
}
