//! A group of equal services: ready with its quorum, each replica kept for itself.

use dixmgr_testkit::{CountedUnit, Namespace, SystemdNamespace, eventually};

use crate::support::{QUICK, SOON, assert_starts, assert_stays, await_reason, exec, service};

#[test]
fn a_group_is_ready_with_its_quorum_and_each_replica_is_kept() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("worker@.service"), CountedUnit::new("front.service")]);
    systemd.mask("worker@1.service");
    systemd.mask("worker@2.service");
    let group = "[[service]]\nname = \"worker\"\nunit = \"worker@{i}.service\"\nreplicas = 3\nquorum = 2\n";
    let config = [QUICK, group, &service("front.service", "needs = [\"worker\"]")].concat();
    let daemon = exec(&systemd, &config, &[]);
    eventually("the one replica that can is started", SOON, || (systemd.starts("worker@0.service") == 1).then_some(()));
    await_reason(&daemon, "worker-1", "unit_masked");
    assert_stays(&daemon, "one of three is no quorum of two", || systemd.starts("front.service") == 0);

    systemd.unmask("worker@1.service");
    assert_starts(&systemd, &daemon, "front.service", 1);
    assert_eq!((systemd.starts("worker@0.service"), systemd.starts("worker@1.service")), (1, 1));

    systemd.kill_unit("worker@0.service");
    assert_starts(&systemd, &daemon, "worker@0.service", 2);
    assert_eq!((systemd.starts("worker@1.service"), systemd.starts("front.service")), (1, 1));
}
