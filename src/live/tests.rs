//! Changes as their authors see them, without a daemon.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::OsString;
use std::fs;

use serde_json::json;

use super::*;
use crate::cli::{Invocation, parse};

const TEXT: &str = "# ours\n[defaults]\ninterval = \"5s\"\n[[service]]\nname = \"db\"\nunit = \"db.service\"\n";

/// The configuration of a file `dixmgr.toml` in this directory, which says `text`.
pub(crate) fn live(directory: &Path, text: &str) -> Live {
    fs::write(directory.join("dixmgr.toml"), text).unwrap();
    begun(directory)
}

/// As after a start, with whatever the file says.
fn begun(directory: &Path) -> Live {
    let conf = directory.join("dixmgr.toml");
    let line = ["dixmgr", "-exec", "-conf", conf.to_str().unwrap()].map(OsString::from);
    let Invocation::Run(request) = parse(line).unwrap() else { panic!("it is a run") };
    let document = Document::read(&conf, &request.load_options()).unwrap();
    let metrics = Metrics::new("dixmgr").unwrap();
    let beginning = Beginning {
        request: *request,
        document,
        room: 10,
        metrics,
        http: HttpChecker::new(),
        breakers: CircuitBreakers::default(),
        history: None,
    };
    Live::begin(beginning, directory).unwrap()
}

struct World {
    directory: tempfile::TempDir,
    live: Live,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let live = live(directory.path(), TEXT);
        Self { directory, live }
    }

    fn write(&self, text: &str) {
        fs::write(self.directory.path().join("dixmgr.toml"), text).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.directory.path().join("dixmgr.toml")).unwrap()
    }

    fn reload(&self) -> Result<Change, Refused> {
        self.live.change(Request::reload(Author::local("SIGHUP")))
    }

    fn ask(&self, wanted: Wanted) -> Result<Change, Refused> {
        self.live.change(Request { author: Author::local("ann"), wanted, if_revision: None, dry_run: false })
    }

    fn services(&self) -> Vec<String> {
        self.live.in_force().borrow().plan.names().collect()
    }

    fn page(&self) -> String {
        self.live.inner.metrics.encode().unwrap()
    }
}

fn two() -> String {
    format!("{TEXT}[[service]]\nname = \"web\"\nunit = \"web.service\"\n")
}

#[test]
fn a_file_that_is_right_is_in_force_as_a_whole() {
    let world = World::new();
    assert_eq!((world.services(), world.live.file_is_news()), (vec!["db".to_owned()], false));
    world.write(&two().replace("5s", "10s"));
    assert!(world.live.file_is_news());
    let change = world.reload().unwrap();
    assert_eq!((change.revision, change.applied), (2, true));
    assert_eq!(change.summary, "1 service added, interval 5s → 10s");
    assert_eq!(change.changes, ["service db: interval 5s → 10s", "service web added"]);
    assert_eq!(world.services(), ["db", "web"]);
    assert!(world.page().contains("dixmgr_service_health{service=\"web\""), "its series are there at once");
    assert!(!world.live.file_is_news());
    world.write(TEXT);
    assert_eq!(world.reload().unwrap().summary, "1 service removed, interval 10s → 5s");
    assert!(!world.page().contains("service=\"web\""), "its series are gone at once");
    assert_eq!(world.reload().unwrap().revision, 3, "nothing new makes no revision");
}

#[test]
fn a_file_with_a_fault_changes_nothing() {
    let world = World::new();
    world.write(&TEXT.replace("5s", "often").replace("unit", "units"));
    let refused = world.reload().unwrap_err();
    assert_eq!(refused.faults().len(), 3, "{refused}");
    assert!(refused.to_string().contains("dixmgr.toml:3:12"), "{refused}");
    assert!(!world.live.file_is_news(), "it was looked at");
    assert!(world.page().contains("dixmgr_config_last_reload_successful 0"));
    let (entry, _) = world.live.changes().remove(0);
    assert_eq!((entry.outcome, entry.revision, entry.faults.len()), (Outcome::Refused, None, 3));
    assert_eq!(world.live.show().unwrap().revision, 1);
    let refused = world.ask(Wanted::Patch(json!({}))).unwrap_err();
    assert!(matches!(refused, Refused::Unread { .. }), "what somebody has written is not written over: {refused}");
    world.ask(Wanted::Revision(Some(1))).unwrap();
    assert_eq!((world.text().as_str(), world.live.show().unwrap().revision), (TEXT, 1), "the file is put right");
    fs::remove_file(world.directory.path().join("dixmgr.toml")).unwrap();
    assert!(world.live.file_is_news());
    world.reload().unwrap_err();
    assert!(!world.live.file_is_news());
}

#[test]
fn an_update_is_written_to_the_file_and_can_be_taken_back() {
    let world = World::new();
    world.ask(Wanted::Patch(json!({ "defaults": { "interval": "7s" } }))).unwrap();
    assert_eq!(world.text(), TEXT.replace("5s", "7s"));
    assert!(!world.live.file_is_news(), "our own writing is no news");
    world.ask(Wanted::Text(two())).unwrap();
    assert_eq!(world.ask(Wanted::Revision(None)).unwrap().revision, 4);
    assert_eq!(world.text(), TEXT.replace("5s", "7s"));
    world.ask(Wanted::Revision(Some(1))).unwrap();
    assert_eq!(world.text(), TEXT);
    assert!(matches!(world.ask(Wanted::Revision(Some(99))), Err(Refused::NotKept(99))));
    let far = Request { author: Author::local("ann"), wanted: Wanted::File, if_revision: Some(4), dry_run: false };
    assert!(matches!(world.live.change(far), Err(Refused::Moved { wanted: 4, current: 5 })));
}

#[test]
fn more_than_there_is_room_for_is_refused() {
    let world = World::new();
    world.write(&format!("{TEXT}[[service]]\nname = \"w\"\nunit = \"w@{{i}}.service\"\nreplicas = 10\n"));
    let refused = world.reload().unwrap_err().to_string();
    assert!(refused.contains("room for (10)"), "{refused}");
    assert_eq!(world.services(), ["db"]);
}

#[test]
fn a_secret_that_is_not_there_is_a_refusal() {
    let world = World::new();
    world.write(&format!("[api]\ntoken = \"file:/no/such/token\"\n{TEXT}"));
    let refused = world.reload().unwrap_err().to_string();
    assert!(refused.contains("/no/such/token"), "{refused}");
}

#[test]
fn what_only_a_start_takes_up_is_named_until_then() {
    let world = World::new();
    world.write(&format!("[metrics]\nlisten = \"0.0.0.0:9190\"\n{TEXT}").replace("5s", "6s"));
    let change = world.reload().unwrap();
    assert_eq!((change.summary.as_str(), change.needs_restart.len()), ("interval 5s → 6s", 1), "the rest is in force");
    assert_eq!(change.needs_restart, ["metrics.listen 0.0.0.0:9090 → 0.0.0.0:9190"]);
    assert_eq!(world.live.show().unwrap().needs_restart, change.needs_restart);
    assert_eq!(begun(world.directory.path()).show().unwrap().needs_restart, [""; 0]);
}

#[test]
fn after_a_restart_the_file_is_what_counts() {
    let world = World::new();
    world.write(&TEXT.replace("5s", "6s"));
    world.reload().unwrap();
    let again = begun(world.directory.path());
    assert_eq!((again.show().unwrap().revision, again.changes().len()), (2, 2), "nothing has changed meanwhile");
    world.write(&two());
    let again = begun(world.directory.path());
    let (entry, kept) = again.changes().remove(0);
    assert_eq!((entry.revision, entry.way, kept), (Some(3), Way::Start, true));
    assert_eq!(entry.summary, "changed while dixmgr was down: 1 service added, interval 6s → 5s");
}
