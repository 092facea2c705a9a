//! dixmgr as it is installed: its own unit file, hardening included, under a real systemd with a real journal.

use std::fs;
use std::time::Duration;

use dixmgr_testkit::{CountedUnit, Namespace, SystemdNamespace, eventually, free_port, wait_until};

use crate::support::{A_WHILE, BINARY, SOON, config};

/// The unit file that is shipped.
const UNIT: &str = include_str!("../../conf/dixmgr.service");

/// An installed dixmgr that watches `web.service`.
struct Installed {
    systemd: SystemdNamespace,
}

impl Installed {
    /// With these lines more in a drop-in's `[Service]`.
    fn start(lines: &str) -> Option<Self> {
        let systemd = SystemdNamespace::start()?;
        systemd.start_journald();
        systemd.install(&[CountedUnit::new("web.service")]);
        let conf = systemd.root().join("run/dixmgr-test");
        fs::create_dir(&conf).unwrap();
        fs::write(conf.join("dixmgr.toml"), config(&["web.service"])).unwrap();
        let (port, api) = (free_port(), free_port());
        systemd.write_unit("dixmgr.service", UNIT);
        systemd.write_drop_in(
            "dixmgr.service",
            &format!(
                "[Service]\nExecStart=\n\
                 BindReadOnlyPaths={BINARY}:/run/dixmgr-test/dixmgr\n\
                 ExecStart=/run/dixmgr-test/dixmgr -exec -conf /run/dixmgr-test/dixmgr.toml -metrics-port {port} -config-port {api}\n{lines}\n"
            ),
        );
        systemd.daemon_reload();
        // It is ready when systemctl returns: the unit is of Type=notify.
        systemd.systemctl(&["start", "dixmgr.service"]);
        Some(Self { systemd })
    }

    #[track_caller]
    fn await_starts(&self, times: usize) {
        let started = wait_until(SOON, || self.systemd.starts("web.service") >= times);
        assert!(started, "web has not started {times} times; journal: {:#?}", self.messages());
    }

    /// The first message in the journal that holds this text.
    #[track_caller]
    fn await_message(&self, text: &str) -> String {
        let found = || self.messages().into_iter().find(|message| message.contains(text));
        assert!(wait_until(SOON, || found().is_some()), "no message with {text:?}; journal: {:#?}", self.messages());
        found().unwrap_or_default()
    }

    /// Journal entries of dixmgr whose field is `value`.
    fn entries(&self, field: &str, value: &str) -> Vec<serde_json::Value> {
        let entries = self.systemd.journal("dixmgr.service");
        entries.into_iter().filter(|entry| entry.get(field).and_then(|v| v.as_str()) == Some(value)).collect()
    }

    fn messages(&self) -> Vec<String> {
        let entries = self.systemd.journal("dixmgr.service");
        entries.iter().filter_map(|entry| Some(entry.get("MESSAGE")?.as_str()?.to_owned())).collect()
    }
}

#[test]
fn under_its_own_unit_it_keeps_services_and_is_kept_itself() {
    let Some(installed) = Installed::start("") else { return };
    let systemd = &installed.systemd;
    assert_eq!(systemd.property("dixmgr.service", "ActiveState"), "active");
    assert!(systemd.root().join("var/lib/dixmgr").is_dir(), "its data are where the unit says");
    let status = systemd.property("dixmgr.service", "StatusText");
    assert!(status.contains('1'), "says how many services it keeps: {status:?}");

    installed.await_starts(1);
    systemd.kill_unit("web.service");
    installed.await_starts(2);
    let decisions = eventually("the decision is in the journal", SOON, || {
        Some(installed.entries("REASON", "unit_failed")).filter(|entries| !entries.is_empty())
    });
    let decision = &decisions[0];
    assert_eq!(decision["SERVICE"], "web", "{decision:#}");
    assert_eq!(decision["DECISION"], "restart", "{decision:#}");
    assert!(decision["MESSAGE"].as_str().is_some_and(|text| text.contains("web")), "{decision:#}");

    let first = systemd.main_pid("dixmgr.service");
    systemd.kill_unit("dixmgr.service");
    eventually("systemd has started it again", SOON, || {
        let (pid, state) = (systemd.main_pid("dixmgr.service"), systemd.property("dixmgr.service", "ActiveState"));
        (pid != first && pid != 0 && state == "active").then_some(())
    });
    assert_eq!(systemd.starts("web.service"), 2, "the service lived on");
    systemd.kill_unit("web.service");
    installed.await_starts(3);

    systemd.systemctl(&["stop", "dixmgr.service"]);
    assert_eq!(systemd.property("dixmgr.service", "Result"), "success");
    assert_eq!(systemd.property("web.service", "ActiveState"), "active");
}

#[test]
fn without_the_right_to_restart_it_watches_and_says_what_to_do() {
    let Some(installed) = Installed::start("User=nobody\nAmbientCapabilities=\nCapabilityBoundingSet=") else { return };
    let systemd = &installed.systemd;
    systemd.start_units(&["web.service"]);
    systemd.kill_unit("web.service");
    let advice = installed.await_message("polkit");
    assert!(advice.contains("org.freedesktop.systemd1.manage-units"), "{advice}");
    std::thread::sleep(A_WHILE.max(Duration::from_secs(1)));
    assert_eq!(systemd.property("web.service", "ActiveState"), "failed");
    assert_eq!(systemd.property("dixmgr.service", "ActiveState"), "active", "it goes on watching");
}
