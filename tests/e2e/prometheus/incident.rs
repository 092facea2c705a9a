//! A real incident, scraped by a real Prometheus: every query of every dashboard must have an answer, and the right one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use dixmgr_testkit::http::Request;
use dixmgr_testkit::{
    Component, CountedUnit, Daemon, HttpFixture, Metrics, Namespace, Prometheus, Reply, SystemdNamespace, eventually,
    require,
};
use serde_json::{Value, json};

use super::dashboards::{self, Dashboard, Query};
use super::{RULES, conf};
use crate::support::{QUICK, SOON, await_health, await_state, exec, service};

/// What a dashboard's window of rates is here: fifteen scrapes, of which a busy machine may lose some.
const RATE_INTERVAL: &str = "15s";

/// Families that services and executions have: their series are there before anything happens.
const FROM_THE_START: [&str; 7] =
    ["service_", "node_", "workflow_", "activity_", "dependency_", "alerts_", "notifications_"];

/// Three services, a webhook, and what they depend on outside.
struct World {
    systemd: SystemdNamespace,
    daemon: Daemon,
    backend: HttpFixture,
    synced: Arc<AtomicBool>,
    _node: HttpFixture,
    _receiver: HttpFixture,
}

impl World {
    fn start() -> Option<Self> {
        let systemd = SystemdNamespace::start()?;
        let units = ["web.service", "api.service", "node.service"];
        systemd.install(&units.map(CountedUnit::new));
        let (backend, receiver) = (HttpFixture::always(Reply::status(200)), HttpFixture::always(Reply::status(200)));
        let synced = Arc::new(AtomicBool::new(true));
        let state = Arc::clone(&synced);
        let node = HttpFixture::start(move |request| answer(request, state.load(Ordering::SeqCst)));
        let config = format!(
            "{QUICK}{}{}{}[alerts]\ngroup_wait = \"0s\"\n\
             [[alerts.channel]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{}\"\n",
            service("web.service", ""),
            service(
                "api.service",
                &format!(
                    "needs = [\"web\"]\nfailure_threshold = 2\nhttp = [{{ url = \"{}\", interval = \"300ms\" }}]",
                    backend.url("/")
                )
            ),
            service(
                "node.service",
                &format!("chain = \"polkadot\"\nsync = {{ endpoint = \"{}\", interval = \"300ms\" }}", node.url("/"))
            ),
            receiver.url("/"),
        );
        let daemon = exec(&systemd, &config, &[]);
        Some(Self { systemd, daemon, backend, synced, _node: node, _receiver: receiver })
    }

    fn await_synced(&self, synced: f64) {
        eventually("the node's synchronisation is seen", SOON, || {
            let value = self.daemon.metrics().get("dixmgr_node_sync_status", &[("node", "node")])?;
            (value.to_bits() == synced.to_bits()).then_some(())
        });
    }

    fn await_all_well(&self) {
        for name in ["web", "api", "node"] {
            await_health(&self.daemon, name, true);
        }
        self.await_synced(1.0);
    }

    /// A unit is killed twice (the second restart waits for a timer), an endpoint fails, a node falls behind; then all is
    /// well again.
    fn live_through_trouble(&self) {
        for starts in [2, 3] {
            self.systemd.kill_unit("web.service");
            eventually("web is started again", SOON, || (self.systemd.starts("web.service") >= starts).then_some(()));
            await_state(&self.systemd, "web.service", "active");
        }
        self.backend.set(|_| Reply::status(500));
        self.synced.store(false, Ordering::SeqCst);
        await_health(&self.daemon, "api", false);
        self.await_synced(0.0);
        // Felt by a few scrapes.
        std::thread::sleep(Duration::from_secs(2));
        self.backend.set(|_| Reply::status(200));
        self.synced.store(true, Ordering::SeqCst);
        self.await_all_well();
    }
}

/// A node's JSON-RPC: twelve peers, a hundred blocks behind while it is not synced.
fn answer(request: &Request, synced: bool) -> Reply {
    let call: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let best = if synced { 1000 } else { 900 };
    let result = match call["method"].as_str() {
        Some("system_health") => json!({ "isSyncing": !synced, "peers": 12, "shouldHavePeers": true }),
        Some("system_syncState") => json!({ "startingBlock": 0, "currentBlock": best, "highestBlock": 1000 }),
        Some("chain_getFinalizedHead") => json!(format!("0x{:064x}", 1)),
        Some("chain_getHeader") if call["params"] == json!([]) => json!({ "number": format!("{best:#x}") }),
        _ => json!({ "number": "0x380" }),
    };
    Reply::json(&json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }))
}

#[test]
fn every_query_of_every_dashboard_has_an_answer() {
    if !require(Component::Prometheus) {
        return;
    }
    let Some(world) = World::start() else { return };
    let rules = RULES.map(|name| conf("rules").join(name));
    let rules: Vec<_> = rules.iter().map(std::path::PathBuf::as_path).collect();
    let Some(prometheus) = Prometheus::scraping(world.daemon.port(), &rules) else { return };
    let begun = SystemTime::now();
    world.await_all_well();
    let before = world.daemon.metrics();
    std::thread::sleep(Duration::from_secs(2));
    world.live_through_trouble();
    std::thread::sleep(Duration::from_secs(1));

    for dashboard in dashboards::all() {
        let variables = variables(&prometheus, &dashboard);
        for query in dashboard.queries() {
            let mut empty = String::new();
            let answered = dixmgr_testkit::wait_until(Duration::from_secs(10), || {
                let expression = substituted(&query.expression, &variables, begun);
                let results = ask(&prometheus, &query, &expression, begun);
                empty = format!("{}\n{expression}\n{results:?}", query.place);
                results.iter().any(has_number)
            });
            let scrapes = prometheus.query("sum_over_time(up[2m]) / count_over_time(up[2m])");
            assert!(answered, "no data: {empty}\nscrapes that worked: {scrapes:?}\n{}", world.daemon.log());
        }
    }
    what_happened_is_what_it_shows(&prometheus, begun);
    nothing_appeared_late(&before, &world.daemon.metrics());
}

/// Each variable with all of its values, as Grafana's `All` puts them into a query; each must have some.
fn variables(prometheus: &Prometheus, dashboard: &Dashboard) -> Vec<(String, String)> {
    let mut known: Vec<(String, String)> = Vec::new();
    for (name, query) in dashboard.label_variables() {
        let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) =
            inside.and_then(|inside| inside.rsplit_once(", ")).expect("label_values(series, label)");
        let values = prometheus.label_values(label, &substituted(selector, &known, SystemTime::now()));
        assert!(!values.is_empty(), "${name} has no values: {query}");
        // A label that is empty is absent; the variable's `All` is `.*` where that happens.
        let all = if name == "chain" { ".*".to_owned() } else { format!("({})", values.join("|")) };
        known.push((name, all));
    }
    known
}

fn substituted(expression: &str, variables: &[(String, String)], begun: SystemTime) -> String {
    let range = begun.elapsed().unwrap_or_default().as_secs().max(1);
    let text = expression.replace("$__rate_interval", RATE_INTERVAL).replace("$__range", &format!("{range}s"));
    let text = variables.iter().fold(text, |text, (name, value)| text.replace(&format!("${name}"), value));
    assert!(!text.contains("\"$") && !text.contains("[$"), "an unknown variable: {text}");
    text
}

fn ask(prometheus: &Prometheus, query: &Query, expression: &str, begun: SystemTime) -> Vec<Value> {
    if query.instant { prometheus.query(expression) } else { prometheus.query_range(expression, begun) }
}

/// Whether a series has a value that can be drawn.
fn has_number(series: &Value) -> bool {
    numbers(series).iter().any(|value| value.is_finite())
}

fn numbers(series: &Value) -> Vec<f64> {
    let samples = series["values"].as_array().cloned().unwrap_or_else(|| vec![series["value"].clone()]);
    samples.iter().filter_map(|sample| sample[1].as_str()?.parse().ok()).collect()
}

/// The trouble and its end, as Prometheus has them.
fn what_happened_is_what_it_shows(prometheus: &Prometheus, begun: SystemTime) {
    let values =
        |expression: &str| -> Vec<f64> { prometheus.query_range(expression, begun).iter().flat_map(numbers).collect() };
    let last = |expression: &str| values(expression).last().copied();
    for (expression, bad, good) in [
        ("dixmgr_service_health{service=\"api\"}", 0.0, 1.0),
        ("dixmgr_service_check_success{service=\"api\",check=\"http-1\"}", 0.0, 1.0),
        ("dixmgr_node_sync_status{node=\"node\"}", 0.0, 1.0),
        ("dixmgr_node_block_height{node=\"node\",status=\"best\"}", 900.0, 1000.0),
    ] {
        let values = values(expression);
        assert!(values.contains(&bad) && values.last() == Some(&good), "{expression}: {values:?}");
    }
    assert_eq!(last("dixmgr_service_restarts_total{service=\"web\"}"), Some(2.0));
    assert_eq!(last("dixmgr_node_peer_count{node=\"node\"}"), Some(12.0));
    assert_eq!(last("dixmgr_node_block_height{node=\"node\",status=\"finalized\"}"), Some(896.0));
    let (down, observed) = (
        last("dixmgr_service_downtime_seconds_total{service=\"api\"}").unwrap(),
        last("dixmgr_service_observed_seconds_total{service=\"api\"}").unwrap(),
    );
    assert!(down > 1.0 && down < observed, "down for {down} s of {observed} s");
    // Only OpenMetrics has them: Prometheus asked for it, and could read the page.
    let created = last("dixmgr_service_restarts_created{service=\"web\"}").expect("a time of creation");
    let age = begun.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64() - created;
    assert!((0.0..120.0).contains(&age), "made {age} s before the test began");
}

/// Series of services and executions were there before anything happened: what is absent looks like what never fails.
fn nothing_appeared_late(before: &Metrics, after: &Metrics) {
    let names = |metrics: &Metrics| -> BTreeSet<String> {
        let own = metrics.series().filter(|(name, _)| {
            let name = name.strip_prefix("dixmgr_").unwrap_or_default();
            FROM_THE_START.iter().any(|family| name.starts_with(family))
        });
        own.map(|(name, labels)| format!("{name}{labels:?}")).collect()
    };
    let late: Vec<String> = names(after).difference(&names(before)).cloned().collect();
    assert!(late.is_empty(), "these appeared only when they were needed: {late:#?}");
}
