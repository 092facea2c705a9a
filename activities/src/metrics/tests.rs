//! The page is what Prometheus and operators expect: names, zeros, labels, and a clean bill from promtool.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use dixmgr_model::{ServiceSpec, UnitPhase};

use super::*;

fn spec(json: &serde_json::Value) -> ServiceSpec {
    let mut full = serde_json::json!({
        "workflow_id": "wf", "ready_signal": "ready", "target": {"unit": "x.service"},
    });
    full.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
    serde_json::from_value(full).unwrap()
}

fn node() -> ServiceSpec {
    spec(&serde_json::json!({
        "name": "node", "labels": {"type": "relay", "chain": "polkadot"},
        "needs": [{"service": "db", "workflow_id": "wf.db"}],
        "probes": {"interval": "30s", "resources": true, "http": [{"url": "http://localhost/"}], "sync": {"endpoint": "http://localhost:9944"}},
    }))
}

#[test]
fn every_series_of_a_service_exists_at_zero() {
    let metrics = Metrics::new("dixmgr").unwrap();
    metrics.service(&node());
    let page = metrics.encode().unwrap();
    for line in [
        r#"dixmgr_service_health{service="node",type="relay",chain="polkadot"} 0"#,
        r#"dixmgr_service_restarts_total{service="node",type="relay"} 0"#,
        r#"dixmgr_service_downtime_seconds_total{service="node",type="relay"} 0"#,
        r#"dixmgr_service_cpu_percent{service="node",type="relay"} 0"#,
        r#"dixmgr_service_cpu_seconds_total{service="node",type="relay"} 0"#,
        r#"dixmgr_service_memory_bytes{service="node",type="relay"} 0"#,
        r#"dixmgr_service_disk_io_bytes_per_second{service="node",type="relay",direction="read"} 0"#,
        r#"dixmgr_service_disk_io_bytes_per_second{service="node",type="relay",direction="write"} 0"#,
        r#"dixmgr_service_read_bytes_total{service="node",type="relay"} 0"#,
        r#"dixmgr_service_written_bytes_total{service="node",type="relay"} 0"#,
        r#"dixmgr_service_unit_state{service="node",type="relay",state="unknown"} 1"#,
        r#"dixmgr_service_unit_state{service="node",type="relay",state="active"} 0"#,
        r#"dixmgr_node_sync_status{node="node",chain="polkadot"} 0"#,
        r#"dixmgr_node_peer_count{node="node",chain="polkadot"} 0"#,
        r#"dixmgr_node_block_height{node="node",chain="polkadot",status="best"} 0"#,
        r#"dixmgr_service_observed_seconds_total{service="node",type="relay"} 0"#,
        r#"dixmgr_service_check_success{service="node",type="relay",check="http-1"} 0"#,
        r#"dixmgr_service_check_failures_total{service="node",type="relay",check="sync"} 0"#,
        r#"dixmgr_service_check_duration_seconds{service="node",type="relay",check="http-1"} 0"#,
        "dixmgr_watch_manager_reachable 0",
        r#"dixmgr_dependency_timeouts_total{service="node",dependency="db"} 0"#,
        r#"dixmgr_dependency_wait_time_seconds_bucket{service="node",dependency="db",le="2048"} 0"#,
        r#"dixmgr_dependency_wait_time_seconds_count{service="node",dependency="db"} 0"#,
        "dixmgr_config_last_reload_successful 0",
    ] {
        assert!(page.lines().any(|have| have == line), "missing {line} in\n{page}");
    }
    assert!(page.contains("dixmgr_build_info{version=\""));
}

#[test]
fn values_reach_the_page_and_leave_it() {
    let metrics = Metrics::new("dixmgr").unwrap();
    let service = metrics.service(&node());
    service.set_health(true);
    service.set_phase(UnitPhase::Active);
    service.add_restart();
    service.add_downtime(Duration::from_millis(1500));
    service.add_downtime(Duration::from_secs(1));
    service.add_cpu_seconds(0.5);
    service.add_cpu_seconds(f64::NAN);
    service.add_cpu_seconds(-3.0);
    service.set_peers(7);
    service.set_blocks([Some(90), Some(80), None]);
    service.check_ran(0, true, Some(Duration::from_millis(250)));
    service.check_ran(1, false, None);
    service.check_ran(2, false, None);
    assert!(metrics.dependency_wait("node", "db", Duration::from_secs(3), false));
    assert!(metrics.dependency_wait("node", "db", Duration::from_secs(5000), true));
    assert!(!metrics.dependency_wait("node", "cache", Duration::from_secs(1), false));
    metrics.config_loaded(Duration::from_millis(1_700_000_000_250));

    let page = metrics.encode().unwrap();
    for line in [
        r#"dixmgr_service_health{service="node",type="relay",chain="polkadot"} 1"#,
        r#"dixmgr_service_unit_state{service="node",type="relay",state="active"} 1"#,
        r#"dixmgr_service_unit_state{service="node",type="relay",state="unknown"} 0"#,
        r#"dixmgr_service_restarts_total{service="node",type="relay"} 1"#,
        r#"dixmgr_service_downtime_seconds_total{service="node",type="relay"} 2.5"#,
        r#"dixmgr_service_cpu_seconds_total{service="node",type="relay"} 0.5"#,
        r#"dixmgr_node_peer_count{node="node",chain="polkadot"} 7"#,
        r#"dixmgr_node_block_height{node="node",chain="polkadot",status="finalized"} 80"#,
        r#"dixmgr_node_block_height{node="node",chain="polkadot",status="sync_target"} 0"#,
        r#"dixmgr_service_check_success{service="node",type="relay",check="http-1"} 1"#,
        r#"dixmgr_service_check_duration_seconds{service="node",type="relay",check="http-1"} 0.25"#,
        r#"dixmgr_service_check_failures_total{service="node",type="relay",check="sync"} 1"#,
        r#"dixmgr_dependency_wait_time_seconds_bucket{service="node",dependency="db",le="2"} 0"#,
        r#"dixmgr_dependency_wait_time_seconds_bucket{service="node",dependency="db",le="4"} 1"#,
        r#"dixmgr_dependency_wait_time_seconds_bucket{service="node",dependency="db",le="+Inf"} 2"#,
        r#"dixmgr_dependency_wait_time_seconds_sum{service="node",dependency="db"} 5003"#,
        r#"dixmgr_dependency_timeouts_total{service="node",dependency="db"} 1"#,
        "dixmgr_config_last_reload_success_timestamp_seconds 1700000000.25",
    ] {
        assert!(page.lines().any(|have| have == line), "missing {line} in\n{page}");
    }
    metrics.forget_service("node");
    assert!(!metrics.encode().unwrap().contains("service=\"node\""));
}

#[test]
fn a_changed_spec_keeps_the_handle_and_its_counts() {
    let metrics = Metrics::new("dixmgr").unwrap();
    let before = metrics.service(&node());
    before.add_restart();
    metrics.dependency_wait("node", "db", Duration::from_secs(3), true);
    let mut changed = node();
    changed.labels.kind = "archive".to_owned();
    changed.probes.sync = None;
    before.check_ran(0, false, None);
    changed.needs.push(dixmgr_model::Dependency { service: "cache".to_owned(), workflow_id: "wf.c".to_owned() });
    let after = metrics.service(&changed);
    assert!(Arc::ptr_eq(&before, &after));
    let page = metrics.encode().unwrap();
    assert!(page.contains(r#"service_restarts_total{service="node",type="archive"} 1"#));
    assert!(page.contains(r#"dependency_timeouts_total{service="node",dependency="db"} 1"#));
    assert!(page.contains(r#"dependency_timeouts_total{service="node",dependency="cache"} 0"#));
    assert!(page.contains(r#"check_failures_total{service="node",type="archive",check="http-1"} 1"#));
    assert!(!page.contains("check=\"sync\""));
    assert!(!page.contains("node_peer_count{") && !page.contains(r#"type="relay""#));
}

#[test]
fn services_whose_labels_run_together_stay_apart() {
    let metrics = Metrics::new("dixmgr").unwrap();
    for (name, kind) in [("app", "1db"), ("app1", "db")] {
        let service = metrics.service(&spec(&serde_json::json!({"name": name, "labels": {"type": kind}})));
        service.set_memory_bytes(name.len() as u64);
    }
    let page = metrics.encode().unwrap();
    assert!(page.contains(r#"service_memory_bytes{service="app",type="1db"} 3"#));
    assert!(page.contains(r#"service_memory_bytes{service="app1",type="db"} 4"#));
}

#[test]
fn statuses_of_one_family_never_end_alike() {
    fn check(names: &[&str]) {
        for (i, one) in names.iter().enumerate() {
            assert!(names.iter().enumerate().all(|(j, other)| i == j || !one.ends_with(other)), "{names:?}");
        }
    }
    check(&WorkflowStatus::ALL.map(WorkflowStatus::name));
    check(&ActivityStatus::ALL.map(ActivityStatus::name));
    check(&ErrorType::ALL.map(ErrorType::name));
    assert!(WorkflowStatus::ALL.iter().enumerate().all(|(i, status)| *status as usize == i));
    assert!(ActivityStatus::ALL.iter().enumerate().all(|(i, status)| *status as usize == i));
    assert!(ErrorType::ALL.iter().enumerate().all(|(i, error)| *error as usize == i));
}

#[test]
fn executions_are_counted_by_type_and_names_are_bounded() {
    let metrics = Metrics::new("dixmgr").unwrap();
    metrics.activity("restart_unit").record(ActivityStatus::Completed, Duration::from_millis(3));
    metrics.activity("restart_unit").error(ErrorType::Timeout);
    metrics.workflow("NodeWorkflow").record(WorkflowStatus::ContinuedAsNew, Duration::from_secs(3));
    for i in 0..1000 {
        metrics.activity(&format!("made-up-{i}")).record(ActivityStatus::Failed, Duration::ZERO);
    }
    let page = metrics.encode().unwrap();
    for line in [
        r#"dixmgr_activity_executions_total{activity="restart_unit",status="completed"} 1"#,
        r#"dixmgr_activity_executions_total{activity="restart_unit",status="failed"} 0"#,
        r#"dixmgr_activity_errors_total{activity="restart_unit",error_type="timeout"} 1"#,
        r#"dixmgr_activity_duration_seconds_bucket{activity="restart_unit",le="0.005"} 1"#,
        r#"dixmgr_activity_duration_seconds_bucket{activity="restart_unit",le="12.8"} 1"#,
        r#"dixmgr_workflow_executions_total{status="continued_as_new",workflow="NodeWorkflow"} 1"#,
        r#"dixmgr_workflow_duration_seconds_bucket{workflow="NodeWorkflow",le="512"} 1"#,
    ] {
        assert!(page.lines().any(|have| have == line), "missing {line} in\n{page}");
    }
    let names = page.lines().filter(|line| line.starts_with("dixmgr_activity_duration_seconds_count")).count();
    assert_eq!(names, MAX_NAMES + 1);
}

#[test]
fn long_and_hostile_label_values_are_bounded_and_escaped() {
    let metrics = Metrics::new("dixmgr").unwrap();
    let long = "ä".repeat(5000);
    for name in [format!("{long}1"), format!("{long}2"), "a\"b\\c\nd".to_owned()] {
        metrics.service(&spec(&serde_json::json!({ "name": name })));
    }
    let page = metrics.encode().unwrap();
    assert!(page.contains(r#"service="a\"b\\c\nd""#));
    let restarts: Vec<_> = page.lines().filter(|line| line.starts_with("dixmgr_service_restarts_total{")).collect();
    assert_eq!(restarts.len(), 3);
    assert!(restarts.iter().all(|line| line.chars().count() < label::MAX_CHARS + 60));
    assert_ne!(restarts[1], restarts[2]);
}

#[test]
fn a_namespace_that_cannot_be_is_refused() {
    for bad in ["", "9lives", "a-b", "ä", "a b"] {
        assert!(matches!(Metrics::new(bad), Err(MetricsError::Namespace(_))), "{bad:?}");
    }
}

/// What promtool may say: a name that operators have known for years, and that we therefore keep.
const HISTORICAL: [&str; 1] = ["dixmgr_node_peer_count"];

#[test]
fn openmetrics_says_what_the_text_says_by_its_own_rules() {
    let metrics = Metrics::new("dixmgr").unwrap();
    metrics.began(Duration::from_millis(1_700_000_000_500));
    let service = metrics.service(&node());
    service.add_restart();
    metrics.dependency_wait("node", "db", Duration::from_secs(3), false);
    metrics.activity("notify").record(ActivityStatus::Completed, Duration::from_millis(3));
    let page = metrics.page(Format::OpenMetrics).unwrap();
    for lines in [
        "# TYPE dixmgr_service_restarts counter\n\
         dixmgr_service_restarts_total{service=\"node\",type=\"relay\"} 1\n\
         dixmgr_service_restarts_created{service=\"node\",type=\"relay\"} 1700000000.5\n",
        "# TYPE dixmgr_service_downtime_seconds counter\n# UNIT dixmgr_service_downtime_seconds seconds\n",
        "# TYPE dixmgr_service_memory_bytes gauge\n# UNIT dixmgr_service_memory_bytes bytes\n",
        "dixmgr_dependency_wait_time_seconds_bucket{service=\"node\",dependency=\"db\",le=\"4.0\"} 1\n",
        "dixmgr_dependency_wait_time_seconds_count{service=\"node\",dependency=\"db\"} 1\n\
         dixmgr_dependency_wait_time_seconds_created{service=\"node\",dependency=\"db\"} 1700000000.5\n",
        "# TYPE dixmgr_activity_executions counter\n",
        "dixmgr_activity_executions_total{activity=\"notify\",status=\"completed\"} 1\n\
         dixmgr_activity_executions_created{activity=\"notify\",status=\"completed\"} 1700000000.5\n",
        "dixmgr_activity_duration_seconds_bucket{activity=\"notify\",le=\"0.005\"} 1\n",
        "dixmgr_config_last_reload_successful 0\n",
    ] {
        assert!(page.contains(lines), "missing {lines} in\n{page}");
    }
    assert!(page.ends_with("\n# EOF\n"));
    assert_eq!(page.matches("# EOF").count(), 1);
    assert!(!metrics.encode().unwrap().contains("_created"));
}

#[test]
fn both_forms_have_the_same_samples() {
    let metrics = Metrics::new("dixmgr").unwrap();
    let service = metrics.service(&node());
    service.set_cpu_percent(12.5);
    metrics.workflow("NodeWorkflow").record(WorkflowStatus::Failed, Duration::from_secs(9));
    let samples = |format| {
        let page = metrics.page(format).unwrap();
        let own = |line: &&str| !line.starts_with('#') && line.starts_with("dixmgr");
        let mut lines: Vec<String> = page.lines().filter(own).map(|line| line.replace(".0\"", "\"")).collect();
        lines.sort();
        lines
    };
    assert_eq!(samples(Format::Text), samples(Format::OpenMetrics));
}

#[test]
fn the_process_and_its_disk_are_on_the_page() {
    let metrics = Metrics::new("dixmgr").unwrap();
    metrics.watch_disk(std::env::temp_dir());
    let page = metrics.encode().unwrap();
    let value = |name: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {page}"));
        line.trim().parse::<f64>().unwrap()
    };
    assert!(value("process_resident_memory_bytes ") > 1e6);
    assert!(value("process_open_fds ") >= 3.0);
    assert!(value("process_start_time_seconds ") > 1.7e9);
    let (size, free) = (value("dixmgr_data_directory_size_bytes "), value("dixmgr_data_directory_free_bytes "));
    assert!(free > 0.0 && free < size, "{free} of {size}");
}

#[test]
fn promtool_has_no_complaint() {
    let metrics = Metrics::new("dixmgr").unwrap();
    let service = metrics.service(&node());
    service.set_cpu_percent(12.5);
    metrics.activity("watch_service").record(ActivityStatus::Canceled, Duration::from_secs(9));
    metrics.workflow("NodeWorkflow").record(WorkflowStatus::Failed, Duration::from_secs(9));
    let mut promtool = match Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(error) => panic!("promtool cannot be run ({error}); install Debian's package prometheus"),
    };
    promtool.stdin.take().unwrap().write_all(metrics.encode().unwrap().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let complaints: Vec<_> =
        said.lines().filter(|line| !HISTORICAL.iter().any(|name| line.starts_with(name))).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}
