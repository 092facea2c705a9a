//! `dixmgr top` and `dixmgr status` on a real pseudo-terminal, as people see them. The pictures are kept with the screenshots of
//! the test run; those in `docs/images` are copies.

use std::process::Command;
use std::time::Duration;

use dixmgr_testkit::{
    Browser, CountedUnit, Daemon, HttpFixture, Looks, PseudoTerminal, Reply, SystemdNamespace, eventually,
};

use crate::support::{BINARY, QUICK, SOON, await_health, dixmgr, service};

const UNITS: [&str; 4] = ["database.service", "api.service", "web.service", "worker.service"];
/// Rows and columns.
const SIZE: (u16, u16) = (20, 130);

fn world() -> Option<(SystemdNamespace, HttpFixture, Daemon)> {
    let systemd = SystemdNamespace::start()?;
    let http = HttpFixture::always(Reply::status(200).after(Duration::from_millis(12)));
    systemd.install(&UNITS.map(CountedUnit::new));
    systemd.start_units(&UNITS);
    let check = format!("http = [{{ url = \"{}\", interval = \"500ms\" }}]", http.url("/healthz"));
    let services = UNITS.map(|unit| service(unit, if unit == "api.service" { &check } else { "" }));
    let config = format!("[alerts]\ngroup_wait = \"0s\"\n{QUICK}{}", services.concat());
    let daemon = dixmgr(&systemd, "-watch", &config).started();
    for name in ["database", "api", "web", "worker"] {
        await_health(&daemon, name, true);
    }
    Some((systemd, http, daemon))
}

fn on_terminal(daemon: &Daemon, arguments: &[&str]) -> PseudoTerminal {
    let address = format!("127.0.0.1:{}", daemon.api_port());
    PseudoTerminal::start(BINARY, &[arguments, &["-address", &address]].concat(), SIZE)
}

/// Waits for a text on the screen.
#[track_caller]
fn await_text(terminal: &PseudoTerminal, text: &str) {
    let mut seen = String::new();
    let there = dixmgr_testkit::wait_until(SOON, || {
        seen = terminal.text();
        seen.contains(text)
    });
    assert!(there, "{text:?} is not on the screen:\n{seen}");
}

#[track_caller]
fn await_end(terminal: &mut PseudoTerminal) {
    let status = eventually("it ends", SOON, || terminal.ended());
    assert!(status.success(), "{status}: {}", terminal.text());
    await_as_it_was(terminal);
}

/// What was written last may not be read yet.
#[track_caller]
fn await_as_it_was(terminal: &PseudoTerminal) {
    eventually("the terminal is as it was", SOON, || terminal.is_as_it_was().then_some(()));
}

/// Keeps a picture of a terminal.
fn picture(browser: Option<&Browser>, terminal: &PseudoTerminal, name: &str) {
    let Some(browser) = browser else { return };
    let html = Reply::status(200).header("content-type", "text/html; charset=utf-8").body(terminal.html());
    let host = HttpFixture::always(html);
    let (rows, columns) = terminal.size();
    // Of the font, and the margin around.
    let looks = Looks { width: u32::from(columns) * 73 / 8 + 24, height: u32::from(rows) * 81 / 4 + 24, dark: true };
    browser.looks(looks);
    browser.open(host.port(), "/");
    browser.screenshot(name);
}

#[test]
fn top_is_live_sorted_filtered_and_leaves_the_terminal_as_it_was() {
    let Some((systemd, _http, daemon)) = world() else { return };
    let browser = Browser::start();
    let mut top = on_terminal(&daemon, &["top"]);
    await_text(&top, "✔ 4 up");
    systemd.kill_unit("web.service");
    await_text(&top, "✖ Down");
    eventually("the worst is first", SOON, || {
        let first = top.text().lines().nth(2).unwrap_or_default().to_owned();
        (first.contains("web") && first.contains("web.service is failed (signal)")).then_some(())
    });
    top.type_keys("\r");
    await_text(&top, "In the last 24 hours");
    await_text(&top, "alert critical (firing): web is down");
    await_text(&top, "because");
    picture(browser.as_ref(), &top, "terminal-top");
    top.type_keys("\u{1b}");
    // Escape by itself is told from the beginning of a key by the time after it.
    std::thread::sleep(Duration::from_millis(300));
    top.type_keys("/data\r");
    await_text(&top, "filter \"data\"  1/1");
    assert!(!top.text().contains("worker"), "{}", top.text());
    top.resize(12, 60);
    eventually("it follows the size of the window", SOON, || (!top.text().contains("RESTARTS")).then_some(()));
    top.type_keys("q");
    await_end(&mut top);
}

#[test]
fn top_ends_well_when_it_is_told_to() {
    let Some((systemd, _http, daemon)) = world() else { return };
    for signal in ["-TERM", "-HUP", "-INT"] {
        let mut top = on_terminal(&daemon, &["top"]);
        await_text(&top, "✔ 4 up");
        assert!(Command::new("kill").args([signal, &top.pid().to_string()]).status().expect("kill runs").success());
        await_end(&mut top);
    }
    let mut top = on_terminal(&daemon, &["top"]);
    await_text(&top, "✔ 4 up");
    drop(daemon);
    drop(systemd);
    await_text(&top, "not as of now");
    top.type_keys("\u{3}");
    await_end(&mut top);
}

#[test]
fn top_needs_a_terminal_and_an_answer() {
    let output = Command::new(BINARY).arg("top").output().expect("run dixmgr");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("needs a terminal") && said.contains("dixmgr status"), "{said}");
    let nobody = format!("127.0.0.1:{}", dixmgr_testkit::free_port());
    let mut top = PseudoTerminal::start(BINARY, &["top", "-address", &nobody], SIZE);
    let status = eventually("it ends", SOON, || top.ended());
    assert_eq!(status.code(), Some(1));
    eventually("it says why", SOON, || top.text().contains("is dixmgr running").then_some(()));
    await_as_it_was(&top);
}

#[test]
fn status_fits_the_terminal() {
    let Some((systemd, _http, daemon)) = world() else { return };
    let browser = Browser::start();
    systemd.kill_unit("web.service");
    eventually("web is down", SOON, || {
        daemon.api("/api/v1/services/web")?.1.contains("\"state\":\"down\"").then_some(())
    });
    let address = format!("127.0.0.1:{}", daemon.api_port());
    let mut status = PseudoTerminal::start(BINARY, &["status", "-address", &address], (7, 64));
    await_end(&mut status);
    await_text(&status, "worker");
    assert!(status.text().lines().any(|line| line.starts_with("web") && line.contains("down")), "{}", status.text());
    picture(browser.as_ref(), &status, "terminal-status");
    let mut narrow = PseudoTerminal::start(BINARY, &["status", "-address", &address], (20, 50));
    await_end(&mut narrow);
    assert!(!narrow.written().lines().any(|line| line.trim_end().chars().count() > 50), "{}", narrow.written());
}
