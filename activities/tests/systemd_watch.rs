//! The hub over a real systemd: what it reports, how soon, and at what cost in calls.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::print_stdout, reason = "figures of a run, shown with --no-capture")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dixmgr_activities::http::HttpChecker;
use dixmgr_activities::in_force::InForce;
use dixmgr_activities::manager::{Action, ManagerError, TrackedUnit, UnitManager, Verb};
use dixmgr_activities::metrics::Metrics;
use dixmgr_activities::notify::Notifier;
use dixmgr_activities::sync::SyncChecker;
use dixmgr_activities::systemd::{SystemdManager, SystemdOptions};
use dixmgr_activities::watch::board::Board;
use dixmgr_activities::watch::{Hub, HubOptions};
use dixmgr_model::{
    ActionReport, AlertPolicy, Delivery, Plan, ServiceSpec, ServiceState, Target, UnitPhase, UnitStatus,
};
use dixmgr_testkit::{Namespace, SystemdNamespace, eventually_async, monotonic_now};
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

/// A manager that counts how often it is asked for states.
struct Counting {
    systemd: SystemdManager,
    looks: AtomicUsize,
    units: AtomicUsize,
}

#[async_trait]
impl UnitManager for Counting {
    async fn track(&self, target: &TrackedUnit) -> Result<(), ManagerError> {
        self.systemd.track(target).await
    }

    async fn statuses(&self, units: &[String]) -> Result<Vec<UnitStatus>, ManagerError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.units.fetch_add(units.len(), Ordering::Relaxed);
        self.systemd.statuses(units).await
    }

    fn changes(&self) -> broadcast::Receiver<String> {
        self.systemd.changes()
    }

    async fn processes(&self, unit: &str) -> Result<Vec<u32>, ManagerError> {
        self.systemd.processes(unit).await
    }

    async fn act(&self, action: &Action) -> Result<ActionReport, ManagerError> {
        self.systemd.act(action).await
    }
}

/// A hub and what stands behind it, wherever systemd is.
struct Hands {
    manager: Arc<Counting>,
    metrics: Metrics,
    hub: Hub,
}

impl Hands {
    fn over(bus: String) -> Self {
        let options = SystemdOptions { address: Some(bus) };
        let manager = Arc::new(Counting {
            systemd: SystemdManager::start(options),
            looks: AtomicUsize::new(0),
            units: AtomicUsize::new(0),
        });
        let metrics = Metrics::new("dixmgr").unwrap();
        let http = HttpChecker::new();
        let plan = Arc::new(Plan { revision: String::new(), services: Vec::new() });
        let alerts = AlertPolicy {
            rules: Vec::new(),
            delivery: Delivery::default(),
            routes: Vec::new(),
            maintenance: Vec::new(),
            id_prefix: String::new(),
        };
        let notifier = Arc::new(Notifier::new(Vec::new(), http.clone(), &metrics));
        let in_force = InForce { plan, alerts: Arc::new(alerts), notifier, dead_man: None };
        let hub = Hub::start(HubOptions {
            manager: Arc::clone(&manager) as Arc<dyn UnitManager>,
            metrics: metrics.clone(),
            sync: SyncChecker::new(&http),
            http,
            breakers: dixmgr_activities::breakers::CircuitBreakers::default(),
            in_force: tokio::sync::watch::channel(Arc::new(in_force)).1,
            board: Board::default(),
            history: None,
        });
        Self { manager, metrics, hub }
    }
}

struct Fixture {
    systemd: SystemdNamespace,
    manager: Arc<Counting>,
    metrics: Metrics,
    hub: Hub,
}

impl Fixture {
    fn start() -> Option<Self> {
        let systemd = SystemdNamespace::start()?;
        let Hands { manager, metrics, hub } = Hands::over(systemd.bus_address());
        Some(Self { systemd, manager, metrics, hub })
    }

    fn unit(&self, name: &str) {
        let text = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000000\n";
        self.systemd.write_unit(&format!("{name}.service"), text);
    }

    fn running(&self, name: &str) {
        self.unit(name);
        self.systemd.systemctl(&["start", &format!("{name}.service")]);
    }

    async fn watch(&self, spec: &ServiceSpec, known: Option<&ServiceState>) -> ServiceState {
        let subscription = self.hub.watch(spec.clone(), known.cloned(), None).await.unwrap();
        timeout(PATIENCE, subscription.report).await.expect("a report in time").expect("a report").state
    }

    fn metric(&self, line: &str) -> Option<f64> {
        metric(&self.metrics, line)
    }
}

fn metric(metrics: &Metrics, line: &str) -> Option<f64> {
    let page = metrics.encode().unwrap();
    page.lines().find_map(|text| text.strip_prefix(line)?.trim().parse().ok())
}

fn spec(name: &str) -> ServiceSpec {
    let mut spec: ServiceSpec = serde_json::from_value(serde_json::json!({
        "name": name,
        "workflow_id": format!("wf.svc.{name}"),
        "ready_signal": format!("ready:svc:{name}"),
        "target": { "unit": format!("{name}.service") },
    }))
    .unwrap();
    // Process numbers of the namespace mean nothing outside of it.
    spec.probes.resources = false;
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_is_reported_at_once_and_counted_exactly() {
    let Some(fixture) = Fixture::start() else { return };
    fixture.running("a");
    let spec = spec("a");
    let first = fixture.watch(&spec, None).await;
    assert_eq!(first.unit.phase, UnitPhase::Active);
    assert!(first.is_ready());
    assert_eq!(fixture.metric(r#"dixmgr_service_health{service="a",type="",chain=""}"#), Some(1.0));

    let mut state = first;
    let mut latencies = Vec::new();
    for _ in 0..20 {
        let watch = fixture.hub.watch(spec.clone(), Some(state.clone()), None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
        fixture.systemd.kill_unit("a.service");
        let died = timeout(PATIENCE, watch.report).await.expect("reported").unwrap().state;
        let seen = monotonic_now();
        assert_eq!(died.unit.phase, UnitPhase::Failed);
        let stamp = fixture.systemd.property("a.service", "StateChangeTimestampMonotonic");
        latencies.push(seen.saturating_sub(Duration::from_micros(stamp.parse().unwrap())));

        let action = Action {
            unit: TrackedUnit { unit: "a.service".into(), target: Target::Unit("a.service".into()) },
            verb: Verb::Restart,
            replaces: died.unit.invocation_id.clone(),
            timeout: PATIENCE,
        };
        fixture.manager.act(&action).await.unwrap();
        state = fixture.watch(&spec, Some(&died)).await;
        assert!(state.is_ready(), "{state:?}");
    }
    latencies.sort();
    println!("from the death of a unit to its report: median {:?}, longest {:?}", latencies[10], latencies[19]);
    // By its interval alone it would have been seen after 30 s.
    assert!(latencies[19] < Duration::from_secs(2), "{latencies:?}");
    let downtime = fixture.metric(r#"dixmgr_service_downtime_seconds_total{service="a",type=""}"#).unwrap();
    assert!(downtime > 0.0 && downtime < 20.0, "{downtime}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_reported_while_nothing_changes() {
    let Some(fixture) = Fixture::start() else { return };
    fixture.running("a");
    let mut spec = spec("a");
    spec.probes.interval = Duration::from_millis(100);
    let known = fixture.watch(&spec, None).await;
    let mut watch = fixture.hub.watch(spec.clone(), Some(known), None).await.unwrap();
    let looks = fixture.manager.looks.load(Ordering::Relaxed);
    eventually_async("ten more looks", PATIENCE, || async {
        (fixture.manager.looks.load(Ordering::Relaxed) > looks + 10).then_some(())
    })
    .await;
    assert!(watch.report.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_away_is_no_change_and_what_it_hid_is_seen() {
    let Some(fixture) = Fixture::start() else { return };
    fixture.running("a");
    fixture.running("b");
    let (a, b) = (spec("a"), spec("b"));
    let (known_a, known_b) = (fixture.watch(&a, None).await, fixture.watch(&b, None).await);
    let watch_a = fixture.hub.watch(a, Some(known_a), None).await.unwrap();
    let mut watch_b = fixture.hub.watch(b, Some(known_b), None).await.unwrap();
    fixture.systemd.stop_dbus();
    eventually_async("the bus is away", PATIENCE, || async {
        fixture.manager.statuses(&["a.service".to_owned()]).await.err()
    })
    .await;
    fixture.systemd.kill_unit("a.service");
    fixture.systemd.restore_dbus();
    let state = timeout(PATIENCE, watch_a.report).await.expect("reported").unwrap().state;
    assert_eq!(state.unit.phase, UnitPhase::Failed);
    assert!(watch_b.report.try_recv().is_err(), "the other one lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_watches_take_few_calls() {
    let Some(fixture) = Fixture::start() else { return };
    let units = fixture.systemd.write_instances("w", 1_000);
    fixture.systemd.start_units(&units.iter().map(String::as_str).collect::<Vec<_>>());
    let begun = Instant::now();
    let watches = (0..1_000).map(|index| {
        let spec = spec(&format!("w@{index}"));
        let fixture = &fixture;
        async move { fixture.watch(&spec, None).await }
    });
    let states = futures_util::future::join_all(watches).await;
    assert!(states.iter().all(|state| state.unit.phase == UnitPhase::Active));
    let looks = fixture.manager.looks.load(Ordering::Relaxed);
    println!("1,000 services looked at in {:?} with {looks} calls", begun.elapsed());
    assert!(looks <= 20, "{looks} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_talks_without_changing_is_not_asked_each_time() {
    let Some(fixture) = Fixture::start() else { return };
    // Each notification makes systemd announce a change of properties.
    let script = fixture.systemd.write_file(
        "talk.sh",
        "systemd-notify --ready\nwhile :; do i=$((i+1)); systemd-notify --status=$i; sleep 0.005; done\n",
    );
    let text = format!(
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh {}\n",
        script.display()
    );
    fixture.systemd.write_unit("a.service", &text);
    fixture.systemd.systemctl(&["start", "a.service"]);
    let spec = spec("a");
    let known = fixture.watch(&spec, None).await;
    let mut changes = fixture.manager.changes();
    let _watch = fixture.hub.watch(spec, Some(known), None).await.unwrap();
    let (mut heard, begun) = (0, Instant::now());
    let before = fixture.manager.looks.load(Ordering::Relaxed);
    while begun.elapsed() < Duration::from_secs(1) {
        if timeout(Duration::from_millis(100), changes.recv()).await.is_ok() {
            heard += 1;
        }
    }
    let looks = fixture.manager.looks.load(Ordering::Relaxed) - before;
    println!("{heard} announcements, {looks} looks");
    assert!(heard > 40, "it talks: {heard}");
    // A handful at once, then some ten a second, on a busy machine up to twice that; it is announced a hundred times.
    assert!(looks <= 30, "{looks} looks for {heard} announcements");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_dropped_is_over_and_the_service_is_still_recorded() {
    let Some(fixture) = Fixture::start() else { return };
    fixture.running("a");
    let spec = spec("a");
    let known = fixture.watch(&spec, None).await;
    drop(fixture.hub.watch(spec, Some(known), None).await.unwrap());
    fixture.systemd.kill_unit("a.service");
    eventually_async("the death in the metrics", PATIENCE, || async {
        let line = r#"dixmgr_service_unit_state{service="a",type="",state="failed"}"#;
        (fixture.metric(line) == Some(1.0)).then_some(())
    })
    .await;
    assert_eq!(fixture.metric(r#"dixmgr_service_health{service="a",type="",chain=""}"#), Some(0.0));
}

/// Set where this test runs itself again, inside of the namespaces.
const INSIDE: &str = "DIXMGR_TEST_INSIDE";

/// Process numbers are those of systemd's own namespace, so this one runs its second half in there.
#[tokio::test(flavor = "multi_thread")]
async fn resources_of_all_processes_of_a_unit_are_measured() {
    if std::env::var_os(INSIDE).is_some() {
        return measure_from_inside().await;
    }
    let Some(systemd) = SystemdNamespace::start() else { return };
    // Two that work, of which neither is the main process.
    let body = "ExecStart=/bin/sh -c '(while :; do :; done) & (while :; do :; done) & sleep 1000000'";
    systemd.write_unit("busy.service", &format!("[Unit]\nDefaultDependencies=no\n[Service]\n{body}\n"));
    systemd.systemctl(&["start", "busy.service"]);
    let test = std::env::current_exe().unwrap();
    let mut again = systemd.command_inside(test.as_os_str());
    again.args(["--exact", "resources_of_all_processes_of_a_unit_are_measured", "--nocapture"]).env(INSIDE, "1");
    let output = again.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("measured inside"), "{printed}");
}

async fn measure_from_inside() {
    let hands = Hands::over("unix:path=/run/dbus/system_bus_socket".to_owned());
    let mut spec = spec("busy");
    spec.probes.resources = true;
    spec.probes.interval = Duration::from_millis(500);
    let subscription = hands.hub.watch(spec, None, None).await.unwrap();
    let state = timeout(PATIENCE, subscription.report).await.unwrap().unwrap().state;
    assert_eq!(state.unit.phase, UnitPhase::Active);
    let processes = hands.manager.processes("busy.service").await.unwrap();
    assert!(processes.len() >= 4 && processes.contains(&state.unit.main_pid), "{processes:?}");
    let tree = dixmgr_activities::proc::cgroup::CgroupTree::discover().expect("a hierarchy of systemd's");
    let mut from_files = tree.processes("/system.slice/busy.service").expect("the unit's group");
    from_files.sort_unstable();
    let mut told = processes;
    told.sort_unstable();
    assert_eq!(from_files, told);
    let labels = r#"{service="busy",type=""}"#;
    let value = |name: &str| metric(&hands.metrics, &format!("dixmgr_{name}{labels}"));
    // The first window is 100 ms long; nothing of this waits for the interval.
    let cpu = eventually_async("the work of its children", PATIENCE, || async {
        value("service_cpu_percent").filter(|percent| *percent > 5.0)
    })
    .await;
    assert!(cpu < 100.0 * std::thread::available_parallelism().unwrap().get() as f64 + 50.0, "{cpu} %");
    assert!(value("service_memory_bytes").unwrap() > 100_000.0);
    let total = value("service_cpu_seconds_total").unwrap();
    eventually_async("totals that grow", PATIENCE, || async {
        value("service_cpu_seconds_total").filter(|later| *later > total)
    })
    .await;
    println!("measured inside: {cpu:.0} % of a core");
}
