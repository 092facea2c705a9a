//! `-watch`: sees everything, says what it would do, touches nothing.

use dixmgr_testkit::{CountedUnit, Namespace, SystemdNamespace, eventually};

use crate::support::{SOON, assert_stays, await_health, config, dixmgr};

#[test]
fn watch_mode_touches_nothing_and_says_what_it_would_do() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service"), CountedUnit::new("never-ran.service")]);
    systemd.start_units(&["web.service"]);
    let config = config(&["web.service", "never-ran.service"]);
    let daemon = dixmgr(&systemd, "-watch", &config).started();
    await_health(&daemon, "web", true);
    systemd.kill_unit("web.service");
    await_health(&daemon, "web", false);
    for sentence in ["would restart", "would start"] {
        eventually(&format!("the log says {sentence:?}; log:\n{}", daemon.log()), SOON, || {
            daemon.log().contains(sentence).then_some(())
        });
    }
    assert_stays(&daemon, "nothing was started", || {
        systemd.starts("web.service") == 1 && systemd.starts("never-ran.service") == 0
    });
    assert_eq!(systemd.property("web.service", "ActiveState"), "failed");
    assert_eq!(daemon.metrics().sum("dixmgr_service_restarts_total", &[]).to_bits(), 0.0_f64.to_bits());
}

#[test]
fn a_dry_run_beside_a_real_one_disturbs_nothing() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    let config = config(&["web.service"]);
    let real = dixmgr(&systemd, "-exec", &config).started();
    let dry = dixmgr(&systemd, "-watch", &config).started();
    await_health(&real, "web", true);
    await_health(&dry, "web", true);
    systemd.kill_unit("web.service");
    eventually("the real one restarts it", SOON, || (systemd.starts("web.service") == 2).then_some(()));
    await_health(&dry, "web", true);
    assert_stays(&real, "web was started twice in all", || systemd.starts("web.service") == 2);
}
