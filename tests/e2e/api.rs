//! The HTTP API of a running dixmgr.

use dixmgr_testkit::{CountedUnit, Daemon, SystemdNamespace, eventually};
use serde_json::Value;

use crate::support::{SOON, config, dixmgr};

/// A JSON answer.
fn get(daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.api(path).unwrap_or_else(|| panic!("no API; the log:\n{}", daemon.log()));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn it_shows_how_services_are_now() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service"), CountedUnit::new("db.service")]);
    systemd.start_units(&["web.service", "db.service"]);
    let daemon = dixmgr(&systemd, "-watch", &config(&["web.service", "db.service"])).started();
    eventually("both are up", SOON, || {
        let up = get(&daemon, "/api/v1/services?state=up");
        (up["total"] == 2).then_some(())
    });
    let web = get(&daemon, "/api/v1/services/web");
    assert_eq!((&web["unit"]["name"], &web["unit"]["phase"]), (&"web.service".into(), &"active".into()));
    assert!(web["since"].as_str().unwrap() <= web["seen"].as_str().unwrap(), "{web}");
    systemd.kill_unit("web.service");
    let web = eventually("web is down", SOON, || {
        let web = get(&daemon, "/api/v1/services/web");
        (web["state"] == "down").then_some(web)
    });
    assert_eq!((&web["unit"]["phase"], &web["unit"]["result"]), (&"failed".into(), &"signal".into()));
    assert_eq!(get(&daemon, "/api/v1/services/db")["state"], "up");
    let (status, error) = daemon.api("/api/v1/services/nobody").unwrap();
    assert_eq!(status, 404, "{error}");
}
