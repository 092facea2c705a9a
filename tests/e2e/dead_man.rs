//! Somebody outside hears that all is well, as long as it is.

use dixmgr_testkit::{CountedUnit, HttpFixture, Reply, SystemdNamespace, eventually};

use crate::support::{SOON, config, exec};

#[test]
fn the_word_that_all_is_well_ends_when_nobody_looks_any_more() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let outside = HttpFixture::always(Reply::status(200));
    systemd.install(&[CountedUnit::new("web.service")]);
    let dead_man = format!("[alerts.dead_man]\nurl = \"{}\"\ninterval = \"1s\"\n", outside.url("/ping"));
    let mut daemon = exec(&systemd, &(dead_man + &config(&["web.service"])), &["web"]);
    let heard = || outside.requests().len();
    eventually(&format!("it is said again and again; log:\n{}", daemon.log()), SOON, || (heard() >= 3).then_some(()));

    daemon.kill();
    let before = heard();
    daemon.start();
    daemon.await_ready();
    eventually("it is said after a crash", SOON, || (heard() > before + 1).then_some(()));

    systemd.stop_dbus();
    eventually(&format!("it is not said any more; log:\n{}", daemon.log()), SOON, || {
        let before = heard();
        std::thread::sleep(std::time::Duration::from_secs(3));
        (heard() == before).then_some(())
    });
    assert!(daemon.is_running());
    let silent = heard();
    systemd.restore_dbus();
    eventually("it is said again", SOON, || (heard() > silent).then_some(()));
}
