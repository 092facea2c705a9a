//! A document as it may be shown: whatever could be a secret, or lead to one, is masked.
//!
//! What is shown is listed, and nothing else is: a key that is new, or one of dotidx's own file that dixmgr does not read (its database's
//! password is there), is masked until somebody says that it is harmless. References to secrets are no secrets.

use dixmgr_activities::secret::is_reference;
use toml::{Table, Value};

/// Stands for what is not shown.
const MASK: &str = "<masked>";

/// Tables of the document that are dixmgr's, or that it reads.
const TABLES: [&str; 12] = [
    "service",
    "defaults",
    "temporal",
    "metrics",
    "api",
    "status",
    "history",
    "engine",
    "log",
    "alerts",
    "watcher",
    "parachains",
];

/// Tables whose keys are the author's own: their values are for everyone who gets an alert.
const TOLD: [&str; 2] = ["labels", "annotations"];

/// The same, where values may well be secrets.
const SECRET: [&str; 2] = ["headers", "environment"];

/// Keys that hold no secret.
const SHOWN: [&str; 62] = [
    "after",
    "backoff_coefficient",
    "channel",
    "channels",
    "clear_threshold",
    "comparison",
    "dedupe_window",
    "dependency_timeout",
    "directory",
    "duration",
    "events",
    "filter",
    "for",
    "format",
    "from",
    "group_by",
    "group_interval",
    "group_wait",
    "hosts",
    "hostport",
    "initial_backoff",
    "interval",
    "jitter",
    "json_path",
    "keep_firing_for",
    "listen",
    "matchers",
    "max_backoff",
    "max_response_time",
    "method",
    "name",
    "names",
    "namespace",
    "needs",
    "node_ip",
    "operation_timeout",
    "quarantine_retry",
    "relay_ip",
    "repeat_interval",
    "schedule",
    "server",
    "services",
    "severity",
    "sidecar_ip",
    "signal",
    "stable_after",
    "synchronous",
    "taskqueue",
    "threshold",
    "time_zone",
    "timeout",
    "tls",
    "tls_certificate",
    "tls_client_ca",
    "to",
    "type",
    "types",
    "unit",
    "watch_interval",
    "window",
    "restart_backoff",
    "chain",
];

/// The document, fit to be shown.
///
/// # Errors
/// It is not TOML, for the reason that is said.
pub fn masked(text: &str) -> Result<Table, String> {
    let mut document: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    for (name, value) in &mut document {
        if TABLES.contains(&name.as_str()) { mask(name, value) } else { hide(value) }
    }
    Ok(document)
}

/// Masks what stands under a key of ours.
fn mask(key: &str, value: &mut Value) {
    match value {
        Value::Table(table) if TOLD.contains(&key) => table.iter_mut().for_each(|(_, value)| show_scalar(value)),
        Value::Table(table) if SECRET.contains(&key) => table.iter_mut().for_each(|(_, value)| hide(value)),
        Value::Table(table) => table.iter_mut().for_each(|(key, value)| mask(key, value)),
        Value::Array(list) if key == "command" => list.iter_mut().skip(1).for_each(hide),
        Value::Array(list) => list.iter_mut().for_each(|value| mask(key, value)),
        Value::String(text) if matches!(key, "url" | "endpoint") => *text = without_path(text),
        Value::String(text) if !SHOWN.contains(&key) && !is_reference(text) => MASK.clone_into(text),
        Value::Datetime(_) => hide(value),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {}
    }
}

/// What is no text is not for a label.
fn show_scalar(value: &mut Value) {
    if !value.is_str() {
        hide(value);
    }
}

/// Masks all of it, but references.
fn hide(value: &mut Value) {
    match value {
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| hide(value)),
        Value::Array(list) => list.iter_mut().for_each(hide),
        Value::String(text) if is_reference(text) => {}
        other => *other = Value::String(MASK.to_owned()),
    }
}

/// A URL's path and query are what many services take for the secret.
fn without_path(text: &str) -> String {
    if is_reference(text) {
        return text.to_owned();
    }
    let Ok(url) = url::Url::parse(text) else { return MASK.to_owned() };
    let origin = url.origin().ascii_serialization();
    let bare = url.path().trim_matches('/').is_empty() && url.query().is_none() && url.fragment().is_none();
    if bare { origin } else { format!("{origin}/{MASK}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_shown() {
        let text = r#"
[api]
token = "file:/etc/dixmgr/token"
listen = "127.0.0.1:9091"
[[service]]
name = "db"
command = ["/usr/bin/db", "--password=s3cret"]
environment = { PASSWORD = "s3cret", KEY = "env:KEY" }
http = [{ url = "http://localhost:80/s3cret?key=s3cret", headers = { Authorization = "s3cret" }, body = "s3cret" }]
[alerts]
rule = [{ name = "down", labels = { team = "web" } }]
[[alerts.channel]]
name = "ops"
type = "webhook"
url = "https://hooks.example/services/s3cret"
topic = "s3cret"
unheard_of = "s3cret"
[database]
name = "s3cret"
port = 5432
since = 2026-01-01
list = ["s3cret", { deep = "s3cret" }]
"#;
        let shown = toml::to_string(&masked(text).unwrap()).unwrap();
        assert!(!shown.contains("s3cret") && !shown.contains("5432") && !shown.contains("2026"), "{shown}");
        for part in [
            "file:/etc/dixmgr/token",
            "127.0.0.1:9091",
            "/usr/bin/db",
            "env:KEY",
            "http://localhost/<masked>",
            "web",
            "https://hooks.example/<masked>",
        ] {
            assert!(shown.contains(part), "{part} is missing from {shown}");
        }
    }

    #[test]
    fn a_file_of_dotidx_shows_what_dixmgr_reads() {
        let text = "[parachains.polkadot.polkadot]\nport_rpc = 9944\nnode_ip = \"10.0.0.1\"\nbasepath = \"/s3cret\"\n[dotidx_db]\npassword = \"s3cret\"\n";
        let shown = toml::to_string(&masked(text).unwrap()).unwrap();
        assert!(shown.contains("9944") && shown.contains("10.0.0.1") && !shown.contains("s3cret"), "{shown}");
    }
}
