//! What a good file means.

use std::time::Duration;

use dixmgr_model::{Command, Replicas, Target};

use super::super::{LogFormat, Synchronous};
use super::*;

#[test]
fn a_small_file_gets_all_defaults() {
    let config = parse("[[service]]\nname = 'api'\nunit = 'api.service'\n").unwrap();
    let spec = service(&config, "api");
    assert_eq!((spec.workflow_id.as_str(), spec.ready_signal.as_str()), ("wf.svc.api", "ready:svc:api"));
    assert_eq!(spec.target, Target::Unit("api.service".to_owned()));
    assert_eq!(spec.probes, dixmgr_model::Probes::default());
    assert_eq!(spec.restart, dixmgr_model::RestartPolicy::default());
    assert_eq!(spec.operation_timeout, Duration::from_secs(90));
    assert_eq!(spec.dependency_timeout, Duration::from_hours(24));
}

#[test]
fn everything_that_can_be_written_is_understood() {
    let text = r#"
[defaults]
interval = "10s"
restart = { max_restarts = 7, max_backoff = "1m" }
[temporal]
hostport = "localhost:7233"
namespace = "ns"
taskqueue = "q"
[metrics]
listen = "127.0.0.1:9100"
namespace = "mine"
[engine]
synchronous = "normal"
[log]
format = "json"
filter = "debug"

[[service]]
name = "api"
type = "web"
chain = "polkadot"
unit = "api@{i}.service"
needs = ["db"]
interval = "5s"
resources = false
failure_threshold = 2
operation_timeout = "30s"
dependency_timeout = "1h"
replicas = 3
restart = { jitter = 0, on_unhealthy = true, initial_backoff = "2s", backoff_coefficient = 3 }
sync = { endpoint = "http://localhost:9944", interval = "6s", timeout = "3s" }
[[service.http]]
url = "https://example.org/healthz"
method = "post"
headers = { Authorization = "env:TOKEN" }
body = "{}"
interval = "20s"
timeout = "4s"
expected_status = 201
expected_body = "fine"
json_path = "checks.0.ok"
max_response_time = "500ms"

[[service]]
name = "db"
unit = "db.service"
"#;
    let config = parse(text).unwrap();
    assert_eq!(names(&config), ["db", "api"], "a service stands after what it needs");
    let (api, db) = (service(&config, "api"), service(&config, "db"));
    assert_eq!(api.needs[0].workflow_id, "wf.svc.db");
    assert_eq!(db.dependents, ["wf.svc.api"]);
    assert_eq!((db.probes.interval, api.probes.interval), (Duration::from_secs(10), Duration::from_secs(5)));
    assert_eq!((api.labels.kind.as_str(), api.labels.chain.as_str()), ("web", "polkadot"));
    assert_eq!(api.replicas, Some(Replicas { count: 3, quorum: 2 }), "the quorum is a majority");
    assert_eq!((api.restart.max_restarts, api.restart.max_backoff), (7, Duration::from_mins(1)));
    assert_eq!((api.restart.initial_backoff, api.restart.jitter), (Duration::from_secs(2), 0.0));
    assert!(api.restart.on_unhealthy && !api.probes.resources);
    assert_eq!(api.probes.sync.as_ref().unwrap().timeout, Duration::from_secs(3));
    let http = &api.probes.http[0];
    assert_eq!((http.method.as_str(), http.expected_status), ("POST", Some(201)));
    assert_eq!(http.headers["Authorization"], "env:TOKEN");
    assert_eq!(http.max_response_time, Some(Duration::from_millis(500)));
    let settings = &config.settings;
    assert_eq!(settings.temporal_host.as_deref(), Some("localhost:7233"));
    assert_eq!((settings.task_queue.as_deref(), settings.temporal_namespace.as_deref()), (Some("q"), Some("ns")));
    assert_eq!(settings.metrics_listen, Some("127.0.0.1:9100".parse().unwrap()));
    assert_eq!(settings.synchronous, Some(Synchronous::Normal));
    assert_eq!((settings.log_format, settings.log_filter.as_deref()), (Some(LogFormat::Json), Some("debug")));
}

#[test]
fn commands_are_lists_or_simple_strings() {
    let text = "[[service]]\nname='a'\ncommand='sh -c \"echo hi\"'\n[[service]]\nname='b'\ncommand=['sh','-c','echo']\n\
                directory='/'\nenvironment={A='1'}\ndie_with_parent=true\n";
    let config = super::super::parse("x", text, &DIRECT).unwrap();
    let command = |name| match &service(&config, name).target {
        Target::Command(command) => command.clone(),
        Target::Unit(unit) => panic!("{unit}"),
    };
    assert_eq!(command("a"), Command { argv: vec!["sh".into(), "-c".into(), "echo hi".into()], ..Command::default() });
    let b = command("b");
    assert_eq!((b.directory.as_deref(), b.environment["A"].as_str(), b.die_with_parent), (Some("/"), "1", true));
}

#[test]
fn one_written_backoff_bound_moves_the_other() {
    let with = |restart: &str| {
        let text = format!("[[service]]\nname='a'\nunit='a.service'\nrestart={{{restart}}}\n");
        let restart = parse(&text).unwrap().plan.services.remove(0).restart;
        (restart.initial_backoff.as_secs(), restart.max_backoff.as_secs())
    };
    assert_eq!(with("max_backoff='5s'"), (5, 5));
    assert_eq!(with("initial_backoff='10m'"), (600, 600));
}

#[test]
fn watch_mode_keeps_its_workflows_apart() {
    let text = "[[service]]\nname='a'\nunit='a.service'\n[[service]]\nname='b'\nunit='b.service'\nneeds=['a']\n";
    let watch = LoadOptions { mode: Mode::Watch, ..SYSTEMD };
    let config = super::super::parse("x", text, &watch).unwrap();
    assert_eq!(service(&config, "a").workflow_id, "watch.wf.svc.a");
    assert_eq!(service(&config, "a").dependents, ["watch.wf.svc.b"]);
    assert_eq!(service(&config, "b").needs[0].workflow_id, "watch.wf.svc.a");
}

#[test]
fn the_revision_changes_with_the_plan_and_only_then() {
    let revision = |text: &str| parse(text).unwrap().plan.revision;
    let text = "[[service]]\nname='a'\nunit='a.service'\n";
    assert_eq!(revision(text), revision(&format!("# a comment\n{text}[log]\nformat='json'\n")));
    assert_ne!(revision(text), revision(&format!("{text}interval='31s'\n")));
    assert_eq!(revision(text).len(), 32);
}

#[test]
fn the_command_line_switches_sampling_off_and_bounds_restarts() {
    let options = LoadOptions { resources: false, max_restarts: Some(2), ..SYSTEMD };
    let text = "[[service]]\nname='a'\nunit='a.service'\nresources=true\nrestart={max_restarts=9}\n";
    let config = super::super::parse("x", text, &options).unwrap();
    let spec = service(&config, "a");
    assert_eq!((spec.probes.resources, spec.restart.max_restarts), (false, 2));
}

#[test]
fn ten_thousand_services_in_a_chain_are_no_trouble() {
    let one = |i: u32| format!("[[service]]\nname='s{i}'\nunit='s{i}.service'\nneeds=['s{}']\n", i + 1);
    let text: String = (0..10_000).map(one).collect::<String>() + "[[service]]\nname='s10000'\nunit='s10000.service'\n";
    let config = parse(&text).unwrap();
    assert_eq!((config.plan.services[0].name.as_str(), config.plan.services.len()), ("s10000", 10_001));
}

#[test]
fn the_engine_may_be_reached_by_others() {
    let text = "[[service]]\nname='a'\nunit='a.service'\n[engine]\nlisten='0.0.0.0:7233'\ntls_certificate='/c.pem'\n\
                tls_key='credential:key'\napi_key='env:KEY'\n";
    let listen = super::super::parse("x", text, &SYSTEMD).unwrap().settings.engine_listen.unwrap();
    assert_eq!((listen.listen.port(), listen.api_key.as_deref()), (7233, Some("env:KEY")));
    let tls = listen.tls.unwrap();
    assert_eq!((tls.certificate.to_str(), tls.key.as_str(), tls.client_ca), (Some("/c.pem"), "credential:key", None));
    let closed = "[[service]]\nname='a'\nunit='a.service'\n[engine]\nsynchronous='full'\n";
    assert_eq!(super::super::parse("x", closed, &SYSTEMD).unwrap().settings.engine_listen, None);
}
