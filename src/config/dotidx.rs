//! dotidx's own configuration file, accepted as it is: services are derived from its `[parachains.<relay>.<chain>]` tables.
//!
//! The names of units, workflows and signals are those that operators of dotidx already know; the table stands in
//! docs/CONFIGURATION.md. Keys that are not about services are not looked at, whatever they hold.

use dixmgr_model::{HttpCheck, Labels, ServiceSpec, SyncCheck, Target};

use super::ManagerKind;
use super::check;
use super::fault::{FaultSink, Located, Place};
use super::reader::TableReader;
use super::resolve::{Draft, PROBE_TIMEOUT, common_spec};
use super::written::WrittenCommon;

/// Services that stand behind nginx.
const AFTER_NGINX: [&str; 4] = ["dixlive", "dixfe", "dixbatch", "dixcron"];
/// More sidecars than that on one chain are a slip of the finger.
const MAX_SIDECARS: u32 = 1000;

/// Whether a file is dotidx's own.
pub(super) fn recognised(root: &TableReader<'_>) -> bool {
    root.has("parachains")
}

/// What `[watcher]` says for all services.
pub(super) fn watcher(root: &TableReader<'_>) -> WrittenCommon {
    let mut common = WrittenCommon::default();
    if let Some(table) = root.table("watcher") {
        common.interval = table.go_duration("watch_interval");
        common.operation_timeout = table.go_duration("operation_timeout");
        common.restart.max_restarts = table.integer("max_restarts", 0..=10_000);
        common.restart.initial_backoff = table.go_duration("restart_backoff");
    }
    common
}

/// All derived services.
pub(super) fn services(root: &TableReader<'_>, manager: ManagerKind, faults: &FaultSink<'_>) -> Vec<Draft> {
    let derivation = Derivation { common: watcher(root), faults };
    let Some(relays) = root.table("parachains") else { return Vec::new() };
    if manager == ManagerKind::Direct {
        let advice = "start dixmgr with -process-manager systemd";
        faults.report(relays.place(), "dotidx's services are systemd units", advice);
    }
    let mut drafts = Vec::new();
    for (relay, value) in relays.entries() {
        let Some(relay) = derivation.chain_name(relay) else { continue };
        let Some(chains) = relays.as_table(value.get_ref(), relay.place.clone()) else { continue };
        drafts.extend(derivation.relay(&relay, &chains));
    }
    let sidecars = drafts.iter().filter(|draft| draft.spec.labels.kind == "sidecar");
    let sidecars: Vec<Located<String>> = sidecars.map(Located::name_of).collect();
    let nginx = derivation.plain("dix-nginx", "proxy", sidecars, relays.place());
    let behind = Located::name_of(&nginx);
    drafts.push(nginx);
    drafts.extend(AFTER_NGINX.map(|name| derivation.plain(name, "dotidx", vec![behind.clone()], relays.place())));
    drafts
}

impl Located<String> {
    fn name_of(draft: &Draft) -> Self {
        Self { value: draft.spec.name.clone(), place: draft.name_place.clone() }
    }
}

/// What is the same for all services of one file.
struct Derivation<'a> {
    common: WrittenCommon,
    faults: &'a FaultSink<'a>,
}

/// What differs from one derived service to the next.
struct Derived<'n> {
    name: String,
    kind: &'static str,
    chain: &'n str,
    unit: String,
    workflow_id: String,
    ready_signal: String,
}

impl Derivation<'_> {
    /// A relay's or chain's name, which must be fit for a unit name.
    fn chain_name(&self, name: Located<String>) -> Option<Located<String>> {
        match check::service_name(&name.value) {
            Ok(_) => Some(name),
            Err((problem, advice)) => {
                self.faults.report(&name.place, problem, advice);
                None
            }
        }
    }

    /// The nodes and sidecars of one relay chain and its parachains.
    fn relay(&self, relay: &Located<String>, chains: &TableReader<'_>) -> Vec<Draft> {
        let mut nodes = Vec::new();
        let mut sidecars = Vec::new();
        let mut tables = Vec::new();
        for (chain, value) in chains.entries() {
            let Some(chain) = self.chain_name(chain) else { continue };
            if let Some(table) = chains.as_table(value.get_ref(), chain.place.clone()) {
                tables.push((chain, table));
            }
        }
        let own = tables.iter().any(|(chain, _)| chain.value == relay.value).then(|| relay.clone());
        for (chain, table) in &tables {
            let node = if chain.value == relay.value {
                self.relay_node(relay, table)
            } else {
                self.para_node(relay, chain, own.as_ref(), table)
            };
            sidecars.extend(self.sidecars(relay, chain, &Located::name_of(&node), table));
            nodes.push(node);
        }
        nodes.append(&mut sidecars);
        nodes
    }

    fn relay_node(&self, relay: &Located<String>, table: &TableReader<'_>) -> Draft {
        let name = &relay.value;
        let derived = Derived {
            name: name.clone(),
            kind: "relay",
            chain: name,
            unit: format!("relay-node-archive@{name}.service"),
            workflow_id: format!("wf.node.relay.{name}"),
            ready_signal: format!("ready:relay:{name}"),
        };
        let mut draft = self.draft(derived, Vec::new(), table.place());
        draft.spec.probes.sync = Some(self.sync_check(table, ["relay_ip", "node_ip"]));
        draft
    }

    fn para_node(
        &self,
        relay: &Located<String>,
        chain: &Located<String>,
        need: Option<&Located<String>>,
        table: &TableReader<'_>,
    ) -> Draft {
        let (r, c) = (&relay.value, &chain.value);
        let derived = Derived {
            name: format!("{r}-{c}"),
            kind: "parachain",
            chain: c,
            unit: format!("chain-node-archive@{r}-{c}.service"),
            workflow_id: format!("wf.node.para.{r}.{c}"),
            ready_signal: format!("ready:para:{r}:{c}"),
        };
        let mut draft = self.draft(derived, need.into_iter().cloned().collect(), table.place());
        draft.spec.probes.sync = Some(self.sync_check(table, ["node_ip", "computer_ip"]));
        draft
    }

    /// The node's JSON-RPC endpoint: at the first of `ip_keys` that is set, else on this machine.
    fn sync_check(&self, table: &TableReader<'_>, ip_keys: [&'static str; 2]) -> SyncCheck {
        let written = table.has("port_rpc");
        let port = table.integer("port_rpc", 1..=u16::MAX);
        if !written {
            self.faults.report(table.place(), "has no port_rpc", "write port_rpc = …, the node's JSON-RPC port");
        }
        let endpoint = format!("http://{}:{}", host(table, &ip_keys), port.map_or(0, |port| port.value));
        if let Err((problem, advice)) = check::http_url(&endpoint.replace(":0", ":1")) {
            self.faults.report(table.place(), format!("{endpoint:?} {problem}"), advice);
        }
        SyncCheck { endpoint, interval: None, timeout: PROBE_TIMEOUT }
    }

    fn sidecars(
        &self,
        relay: &Located<String>,
        chain: &Located<String>,
        node: &Located<String>,
        table: &TableReader<'_>,
    ) -> Vec<Draft> {
        let count = table.integer("sidecar_count", 0..=MAX_SIDECARS).map_or(0, |count| count.value);
        let room = u16::MAX - u16::try_from(count).unwrap_or(u16::MAX);
        let base = if count > 0 { table.integer("sidecar_port", 0..=room) } else { None };
        let host = host(table, &["sidecar_ip"]);
        let (r, c) = (&relay.value, &chain.value);
        let sidecar = |i: u32| {
            let derived = Derived {
                name: format!("sidecar-{r}-{c}-{i}"),
                kind: "sidecar",
                chain: c,
                unit: format!("sidecar@{r}-{c}-{i}.service"),
                workflow_id: format!("wf.sidecar.{r}.{c}.{i}"),
                ready_signal: format!("ready:sidecar:{r}:{c}:{i}"),
            };
            let mut draft = self.draft(derived, vec![node.clone()], table.place());
            draft.spec.probes.http =
                base.iter().map(|base| sidecar_check(&host, u32::from(base.value) + i + 1)).collect();
            draft
        };
        (0..count).map(sidecar).collect()
    }

    fn plain(&self, name: &str, kind: &'static str, needs: Vec<Located<String>>, place: &Place) -> Draft {
        let derived = Derived {
            name: name.to_owned(),
            kind,
            chain: "",
            unit: format!("{name}.service"),
            workflow_id: format!("wf.svc.{name}"),
            ready_signal: format!("ready:svc:{name}"),
        };
        self.draft(derived, needs, place)
    }

    fn draft(&self, derived: Derived<'_>, needs: Vec<Located<String>>, place: &Place) -> Draft {
        let (probes, restart, operation_timeout, dependency_timeout) = common_spec(&self.common);
        let spec = ServiceSpec {
            name: derived.name,
            workflow_id: derived.workflow_id,
            ready_signal: derived.ready_signal,
            labels: Labels { kind: derived.kind.to_owned(), chain: derived.chain.to_owned() },
            target: Target::Unit(derived.unit),
            needs: Vec::new(),
            dependents: Vec::new(),
            dependency_timeout,
            probes,
            restart,
            operation_timeout,
            replicas: None,
        };
        Draft { spec, name_place: place.clone(), target_place: place.clone(), needs }
    }
}

/// The first of `keys` that names a host; this machine when none does.
fn host(table: &TableReader<'_>, keys: &[&'static str]) -> String {
    let set = keys.iter().filter_map(|key| table.string(key)).map(|found| found.value).find(|text| !text.is_empty());
    match set {
        Some(address) if address.contains(':') && !address.starts_with('[') => format!("[{address}]"),
        Some(address) => address,
        None => "localhost".to_owned(),
    }
}

/// substrate-api-sidecar answers its root with its own description, without asking the node.
fn sidecar_check(host: &str, port: u32) -> HttpCheck {
    HttpCheck {
        url: format!("http://{host}:{port}/"),
        method: "GET".to_owned(),
        headers: std::collections::BTreeMap::new(),
        body: None,
        interval: None,
        timeout: PROBE_TIMEOUT,
        expected_status: None,
        expected_body: None,
        json_path: None,
        max_response_time: None,
    }
}
