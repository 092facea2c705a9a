//! Circuit breakers of a running dixmgr: what hangs is left alone and found to be back, and nothing is lost or seen later for it.

use std::process::Command;
use std::time::{Duration, Instant};

use dixmgr_testkit::{CountedUnit, Daemon, HttpFixture, Namespace, Reply, SystemdNamespace, eventually, http_post};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::alerts::{messages, told_to};
use crate::described::Description;
use crate::dotidx::answer;
use crate::support::{BINARY, QUICK, SOON, assert_starts, assert_stays, await_health, dixmgr, exec, service};

/// The breaker of a target; nothing when there is none.
fn breaker(daemon: &Daemon, target: &str) -> Option<Value> {
    let (status, body) = daemon.api("/api/v1/circuit-breakers")?;
    assert_eq!(status, 200, "{body}");
    let all: Value = serde_json::from_str(&body).expect("JSON");
    all["breakers"].as_array()?.iter().find(|breaker| breaker["target"] == target).cloned()
}

#[track_caller]
fn await_breaker(daemon: &Daemon, target: &str, state: &str) {
    eventually(&format!("{target} is {state}; log:\n{}", daemon.log()), SOON, || {
        (breaker(daemon, target)?["state"] == state).then_some(())
    });
}

/// `dixmgr breakers` with these arguments: what it prints.
#[track_caller]
fn command(daemon: &Daemon, arguments: &[&str]) -> String {
    let address = format!("127.0.0.1:{}", daemon.api_port());
    let output =
        Command::new(BINARY).arg("breakers").args(arguments).args(["-address", &address]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_check_that_hangs_is_judged_then_spared_then_found_to_be_back() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("api.service"), CountedUnit::new("other.service")]);
    systemd.start_units(&["api.service", "other.service"]);
    let http = HttpFixture::always(Reply::status(200));
    let check = |path: &str| {
        let url = http.url(path);
        format!("failure_threshold = 4\nhttp = [{{ url = \"{url}\", interval = \"200ms\", timeout = \"100ms\" }}]")
    };
    let breakers = "[circuit_breaker]\nfailures = 2\nopen_for = \"3s\"\ntrials = 2\n";
    let services = service("api.service", &check("/api")) + &service("other.service", "");
    let daemon = dixmgr(&systemd, "-watch", &format!("{breakers}{QUICK}{services}")).started();
    await_health(&daemon, "api", true);
    let target = format!("http:127.0.0.1:{}", http.port());
    await_breaker(&daemon, &target, "closed");
    await_breaker(&daemon, "unit-manager", "closed");

    http.set(|_| Reply::stall());
    // It opens before the check is judged; the check is made all the same until it is.
    await_breaker(&daemon, &target, "open");
    await_health(&daemon, "api", false);
    let detail = daemon.api("/api/v1/services/api").expect("an answer").1;
    assert!(detail.contains("unhealthy") && detail.contains("no complete answer"), "{detail}");
    let asked = http.requests().len();
    std::thread::sleep(Duration::from_millis(1_500));
    let spared = http.requests().len() - asked;
    assert!(spared <= 2, "asked {spared} times while it was to be left alone");
    eventually("the page, the metrics and the command say so", SOON, || {
        let page = daemon.api("/")?.1.contains(&format!("{target} is left alone"));
        let value = |name: &str| daemon.metrics().get(name, &[("target", &target)]);
        let state = value("dixmgr_circuit_breaker_state")? > 1.5;
        let opened = value("dixmgr_circuit_breaker_opened_total")? > 0.5;
        let list = command(&daemon, &["list"]);
        let first = list.lines().nth(1).is_some_and(|line| line.contains(&target) && line.contains("open"));
        (page && state && opened && first).then_some(())
    });

    // What is not judged is never spared: another run of the service is asked at once.
    http.set(|_| Reply::status(200));
    await_health(&daemon, "api", true);
    await_breaker(&daemon, &target, "closed");
    assert!(daemon.log().contains("the target answers again"), "{}", daemon.log());

    // A refusal is an answer: the service is down, and its target is not.
    let port = http.port();
    drop(http);
    await_health(&daemon, "api", false);
    assert_stays(&daemon, "a refused connection opens nothing", || {
        breaker(&daemon, &format!("http:127.0.0.1:{port}")).is_some_and(|breaker| breaker["state"] == "closed")
    });
}

#[test]
fn a_receiver_that_hangs_is_left_alone_and_loses_nothing() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    systemd.start_units(&["web.service"]);
    let receiver = HttpFixture::always(Reply::stall());
    let breakers = "[circuit_breaker]\nfailures = 1\nopen_for = \"8s\"\ntrials = 1\n";
    let config = format!(
        "{}{breakers}{QUICK}{}",
        told_to(&receiver, "group_by = [\"...\"]\ndedupe_window = \"0s\""),
        service("web.service", "")
    );
    let mut daemon = dixmgr(&systemd, "-watch", &config).started();
    await_health(&daemon, "web", true);
    let target = breaker_of_channel(&daemon);
    systemd.kill_unit("web.service");
    // One message hangs for as long as one may.
    let begun = Instant::now();
    eventually("the channel is left alone", Duration::from_secs(40), || {
        (breaker(&daemon, &target)?["state"] == "open").then_some(())
    });
    eprintln!("the breaker opened after {:?}", begun.elapsed());
    let tried = receiver.requests().len();
    assert_stays(&daemon, "it is left alone", || receiver.requests().len() == tried);
    receiver.set(|_| Reply::status(200));
    let description = Description::of(&daemon);
    description.fits("get", "/api/v1/circuit-breakers", &daemon.api("/api/v1/circuit-breakers").expect("an answer").1);

    // By itself the message goes out when the rest is over; it is the one that was held back, and it comes once.
    eventually("the message gets there", SOON, || (receiver.requests().len() > tried).then_some(()));
    await_breaker(&daemon, &target, "closed");
    assert_stays(&daemon, "it comes once", || receiver.requests().len() == tried + 1);
    assert_eq!(messages(&receiver, "web").last().map(|(status, _)| status.as_str()), Some("firing"));
    systemd.start_units(&["web.service"]);
    eventually("the end is told after it", SOON, || (told_of_the_end(&receiver)).then_some(()));

    // By hand.
    receiver.set(|_| Reply::status(500));
    systemd.kill_unit("web.service");
    await_breaker(&daemon, &target, "open");
    receiver.set(|_| Reply::status(200));
    let path = format!("/api/v1/circuit-breakers/{target}/reset");
    let (status, closed) = http_post(daemon.api_port(), &path, "").expect("an answer");
    assert_eq!(status, 200, "{closed}");
    description.fits("post", "/api/v1/circuit-breakers/{target}/reset", &closed);
    assert!(command(&daemon, &["reset", &target]).contains("closed"));
    assert_eq!(http_post(daemon.api_port(), "/api/v1/circuit-breakers/nobody/reset", "").expect("an answer").0, 404);
    daemon.terminate();
}

/// The one channel besides the log.
fn breaker_of_channel(daemon: &Daemon) -> String {
    let (_, body) = daemon.api("/api/v1/circuit-breakers").expect("an answer");
    let all: Value = serde_json::from_str(&body).expect("JSON");
    let targets = all["breakers"].as_array().expect("a list").iter().filter_map(|breaker| breaker["target"].as_str());
    let channels: Vec<&str> = targets.filter(|target| target.starts_with("channel:")).collect();
    assert_eq!(channels.len(), 1, "{channels:?}");
    channels[0].to_owned()
}

/// Whether the receiver heard, after that it fires and each once, that it is over.
fn told_of_the_end(receiver: &HttpFixture) -> bool {
    let told: Vec<String> = messages(receiver, "web").into_iter().map(|(status, _)| status).collect();
    told.last().is_some_and(|last| last == "resolved")
}

#[test]
fn a_node_that_hangs_is_left_alone_and_found_to_be_back() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("node.service")]);
    systemd.start_units(&["node.service"]);
    let rpc = HttpFixture::start(|request| answer(request, true));
    let sync = format!(
        "failure_threshold = 2\nsync = {{ endpoint = \"{}\", interval = \"200ms\", timeout = \"100ms\" }}",
        rpc.url("/")
    );
    let breakers = "[circuit_breaker]\nfailures = 3\nopen_for = \"3s\"\ntrials = 2\n";
    let config = format!("{breakers}{QUICK}{}", service("node.service", &sync));
    let daemon = dixmgr(&systemd, "-watch", &config).started();
    let target = format!("rpc:127.0.0.1:{}", rpc.port());
    await_breaker(&daemon, &target, "closed");
    let is = |state: &str| {
        eventually(&format!("the node is {state}"), SOON, || {
            daemon.api("/api/v1/services/node")?.1.contains(&format!("\"state\":\"{state}\"")).then_some(())
        });
    };
    is("up");

    rpc.set(|_| Reply::stall());
    await_breaker(&daemon, &target, "open");
    // It runs, and what it knows of the chain nobody can tell: it is not ready.
    is("starting");
    // A call or two are under way; of the seven that would be due, none is made.
    let asked = rpc.requests().len();
    assert_stays(&daemon, "it is left alone", || rpc.requests().len() <= asked + 2);

    rpc.set(|request| answer(request, true));
    await_breaker(&daemon, &target, "closed");
    is("up");
}

/// Longest time until a unit manager that stands still is found to: two calls of ten seconds.
const STANDSTILL: Duration = Duration::from_mins(1);

#[test]
fn a_unit_manager_that_stands_still_is_left_alone_and_nothing_is_decided_blindly() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let units = ["dies.service", "lives.service"];
    systemd.install(&units.map(CountedUnit::new));
    let breakers = "[circuit_breaker]\nfailures = 2\nopen_for = \"3s\"\ntrials = 1\n";
    let services = units.map(|unit| service(unit, "")).concat();
    let daemon = exec(&systemd, &format!("{breakers}{QUICK}{services}"), &["dies", "lives"]);
    await_breaker(&daemon, "unit-manager", "closed");
    let victim = systemd.main_pid("dies.service");

    let frozen = Frozen::process(systemd.init_pid());
    systemd.kill_process(victim);
    eventually(&format!("the unit manager is left alone; log:\n{}", daemon.log()), STANDSTILL, || {
        (breaker(&daemon, "unit-manager")?["state"] == "open").then_some(())
    });
    let opened = daemon.metrics().get("dixmgr_circuit_breaker_opened_total", &[("target", "unit-manager")]);
    assert!(opened.is_some_and(|times| times > 0.5), "{opened:?}");
    assert_stays(&daemon, "nothing is done blindly", || units.iter().all(|unit| systemd.starts(unit) == 1));
    eventually("dixmgr says that it is not ready", SOON, || (daemon.get("/readyz")?.0 == 503).then_some(()));

    drop(frozen);
    eventually("the unit manager is found to be back", STANDSTILL, || {
        (breaker(&daemon, "unit-manager")?["state"] == "closed").then_some(())
    });
    assert_starts(&systemd, &daemon, "dies.service", 2);
    assert_eq!(systemd.starts("lives.service"), 1, "who lived is left alone");
    await_health(&daemon, "dies", true);
}

/// A process that stands still for as long as this lives.
struct Frozen(Pid);

impl Frozen {
    fn process(pid: u32) -> Self {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, Signal::STOP).expect("it is there");
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Also when the test fails: a namespace whose first process stands still does not end.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

#[test]
fn switched_off_there_are_none() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    let config = format!("{QUICK}{}", service("web.service", ""));
    let daemon = dixmgr(&systemd, "-watch", &config).arguments(&["-circuit-breaker=false"]).started();
    let (status, body) = daemon.api("/api/v1/circuit-breakers").expect("an answer");
    assert_eq!((status, body.as_str()), (200, "{\"breakers\":[]}"));
}
