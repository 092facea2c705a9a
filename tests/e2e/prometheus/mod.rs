//! What a Prometheus makes of dixmgr: its rules, its dashboards, and what it scrapes while services are in trouble.

mod dashboards;
mod incident;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dixmgr_testkit::{Component, package_directory, require};

const RULES: [&str; 2] = ["availability.yml", "dixmgr.yml"];
const TESTS: [&str; 3] = ["availability.yml", "availability-days.yml", "dixmgr.yml"];

/// A path in `conf/prometheus`.
fn conf(path: &str) -> PathBuf {
    package_directory().join("conf/prometheus").join(path)
}

#[track_caller]
fn promtool(arguments: &[&str], file: &Path) {
    let output = Command::new("promtool").args(arguments).arg(file).output().expect("promtool can be run");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?} {}:\n{said}", file.display());
}

#[test]
fn the_rules_do_what_their_tests_say() {
    if !require(Component::Promtool) {
        return;
    }
    promtool(&["check", "config"], &conf("prometheus.yml"));
    for name in RULES {
        promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &conf("rules").join(name));
    }
    for name in TESTS {
        promtool(&["test", "rules"], &conf("tests").join(name));
    }
}

#[test]
fn every_alert_is_seen_to_fire_in_a_test() {
    let read = |directory: &str, names: &[&str]| -> String {
        names.iter().map(|name| fs::read_to_string(conf(directory).join(name)).unwrap()).collect()
    };
    let (rules, tests) = (read("rules", &RULES), read("tests", &TESTS));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    for alert in alerts {
        // The line after a test's `alertname` says what is expected; `[]` is nothing.
        let expected = format!("alertname: {alert}\n        exp_alerts:\n");
        assert!(tests.contains(&expected), "no test sees {alert} fire");
    }
}
