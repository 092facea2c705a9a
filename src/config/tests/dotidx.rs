//! dotidx's own file, as its operators have it.

use std::time::Duration;

use super::*;

const FILE: &str = r#"
target_dir = "/dotidx/etc"
name = "example"
[dotidx_db]
type = "postgres"
whitelisted_ip = ["10.0.0.1"]
[parachains.polkadot.polkadot]
name = "polkadot"
bin = "/dotidx/bin/polkadot"
relay_ip = "10.0.0.2"
port_rpc = 9944
[parachains.polkadot.assethub]
port_rpc = 9946
sidecar_ip = "10.0.0.3"
sidecar_port = 10900
sidecar_count = 2
some_future_key = { a = 1 }
[filesystem]
zfs = true
[watcher]
watch_interval = "15s"
max_restarts = 4
restart_backoff = 20000000000
[monitoring]
user = "prometheus"
[temporal]
hostport = "10.0.0.4:7233"
namespace = "dotidx"
taskqueue = ""
"#;

#[test]
fn services_are_derived_exactly_as_the_table_says() {
    let config = parse(FILE).unwrap();
    let row = |name: &str| {
        let spec = service(&config, name);
        let needs: Vec<&str> = spec.needs.iter().map(|need| need.service.as_str()).collect();
        format!("{} {} {} {}", spec.unit_name(), spec.workflow_id, spec.ready_signal, needs.join(","))
    };
    assert_eq!(row("polkadot"), "relay-node-archive@polkadot.service wf.node.relay.polkadot ready:relay:polkadot ");
    assert_eq!(
        row("polkadot-assethub"),
        "chain-node-archive@polkadot-assethub.service wf.node.para.polkadot.assethub ready:para:polkadot:assethub polkadot"
    );
    assert_eq!(
        row("sidecar-polkadot-assethub-1"),
        "sidecar@polkadot-assethub-1.service wf.sidecar.polkadot.assethub.1 ready:sidecar:polkadot:assethub:1 \
         polkadot-assethub"
    );
    assert_eq!(
        row("dix-nginx"),
        "dix-nginx.service wf.svc.dix-nginx ready:svc:dix-nginx sidecar-polkadot-assethub-0,sidecar-polkadot-assethub-1"
    );
    for name in ["dixlive", "dixfe", "dixbatch", "dixcron"] {
        assert_eq!(row(name), format!("{name}.service wf.svc.{name} ready:svc:{name} dix-nginx"));
    }
    assert_eq!(config.plan.services.len(), 9);
}

#[test]
fn nodes_are_ready_when_synced_and_sidecars_when_they_answer() {
    let config = parse(FILE).unwrap();
    let endpoint = |name| service(&config, name).probes.sync.clone().map(|sync| sync.endpoint);
    assert_eq!(endpoint("polkadot").as_deref(), Some("http://10.0.0.2:9944"));
    assert_eq!(endpoint("polkadot-assethub").as_deref(), Some("http://localhost:9946"));
    assert_eq!(endpoint("dixlive"), None);
    let sidecar = service(&config, "sidecar-polkadot-assethub-1");
    assert_eq!(sidecar.probes.http[0].url, "http://10.0.0.3:10902/");
    assert_eq!((sidecar.labels.kind.as_str(), sidecar.labels.chain.as_str()), ("sidecar", "assethub"));
}

#[test]
fn the_watcher_table_and_temporal_count() {
    let config = parse(FILE).unwrap();
    let spec = service(&config, "dixlive");
    assert_eq!(spec.probes.interval, Duration::from_secs(15));
    assert_eq!((spec.restart.max_restarts, spec.restart.initial_backoff), (4, Duration::from_secs(20)));
    assert_eq!(config.settings.temporal_host.as_deref(), Some("10.0.0.4:7233"));
    assert_eq!(config.settings.task_queue, None, "an empty text counts as absent");
}

#[test]
fn own_services_may_stand_beside_the_derived_ones() {
    let text = format!("{FILE}\n[[service]]\nname='grafana'\nunit='grafana.service'\nneeds=['dixfe']\n");
    let config = parse(&text).unwrap();
    assert_eq!(service(&config, "grafana").needs[0].workflow_id, "wf.svc.dixfe");
}

#[test]
fn faults_of_the_keys_that_matter_are_reported_together() {
    let text = "[parachains.a.a]\nport_rpc = 70000\n[parachains.a.b]\nsidecar_count = 2\nsidecar_port = 65534\n\
                [watcher]\nwatch_interval = 30\n";
    let faults = parse(text).unwrap_err().faults;
    let problems: Vec<String> = faults.iter().map(|f| format!("{} {}", f.path, f.problem)).collect();
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert!(problems[0].starts_with("parachains.a.a.port_rpc 70000 is out of range"));
    assert!(problems[1].starts_with("parachains.a.b has no port_rpc"));
    assert!(problems[2].starts_with("parachains.a.b.sidecar_port 65534 is out of range"));
    assert!(problems[3].contains("nanoseconds"));
}

#[test]
fn direct_mode_cannot_run_units() {
    let faults = super::super::parse("x", FILE, &DIRECT).unwrap_err().faults;
    assert!(faults.len() == 1 && faults[0].advice.contains("-process-manager systemd"), "{faults:?}");
}
