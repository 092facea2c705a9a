//! What was written: the tables of our own format as their author left them, before defaults and cross references.
//!
//! Reading checks every single value. What a service *means* beside the others is decided in [`super::resolve`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use dixmgr_activities::history::Retention;
use dixmgr_alerting::circuit_breaker::Settings as BreakerSettings;
use dixmgr_model::{HttpCheck, SyncCheck};

use crate::listen::{ListenSettings, TlsFiles};
use crate::settings::StatusSettings;

use super::check;
use super::fault::{Located, Place};
use super::reader::TableReader;
use super::split::{self, SplitError};

/// A value, if the key was there and readable.
type Found<T> = Option<Located<T>>;

/// One `[[service]]` table.
#[derive(Debug)]
pub(super) struct WrittenService {
    pub(super) place: Place,
    pub(super) name: Located<String>,
    pub(super) unit: Found<String>,
    pub(super) command: Found<Vec<String>>,
    pub(super) directory: Found<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) die_with_parent: Found<bool>,
    pub(super) kind: Found<String>,
    pub(super) chain: Found<String>,
    pub(super) needs: Vec<Located<String>>,
    pub(super) common: WrittenCommon,
    pub(super) http: Vec<HttpCheck>,
    pub(super) sync: Option<SyncCheck>,
    pub(super) replicas: Found<u32>,
    pub(super) quorum: Found<u32>,
    /// Whether something of `unit` or `command` was there at all, readable or not.
    pub(super) has_target: bool,
}

/// Keys that `[defaults]` may give for all services.
#[derive(Debug, Default)]
pub(super) struct WrittenCommon {
    pub(super) interval: Found<Duration>,
    pub(super) resources: Found<bool>,
    pub(super) failure_threshold: Found<u32>,
    pub(super) operation_timeout: Found<Duration>,
    pub(super) dependency_timeout: Found<Duration>,
    pub(super) restart: WrittenRestart,
}

/// A `restart` table.
#[derive(Debug, Default)]
pub(super) struct WrittenRestart {
    pub(super) max_restarts: Found<u32>,
    pub(super) window: Found<Duration>,
    pub(super) initial_backoff: Found<Duration>,
    pub(super) max_backoff: Found<Duration>,
    pub(super) backoff_coefficient: Found<f64>,
    pub(super) jitter: Found<f64>,
    pub(super) stable_after: Found<Duration>,
    pub(super) quarantine_retry: Found<Duration>,
    pub(super) on_unhealthy: Found<bool>,
}

/// What a file says about the daemon itself. A flag or an environment variable wins over each of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSettings {
    /// Temporal cluster, `host:port`.
    pub temporal_host: Option<String>,
    /// Temporal namespace.
    pub temporal_namespace: Option<String>,
    /// Task queue.
    pub task_queue: Option<String>,
    /// Address of `/metrics`.
    pub metrics_listen: Option<SocketAddr>,
    /// First word of every metric's name.
    pub metrics_namespace: Option<String>,
    /// Address of the API and the status page.
    pub api_listen: Option<SocketAddr>,
    /// Reference to the API's token.
    pub api_token: Option<String>,
    /// Names under which browsers may reach the API on loopback.
    pub api_hosts: Vec<String>,
    /// The public form of the status page.
    pub public_status: Option<StatusSettings>,
    /// What leads to a database of health histories, instead of a file.
    pub history_postgres: Option<String>,
    /// Under which name this host is in it.
    pub history_host: Option<String>,
    /// How long the health history is kept.
    pub retention: Retention,
    /// Whether circuit breakers are on.
    pub circuit_breaker: Option<bool>,
    /// When they open and close.
    pub breaker: BreakerSettings,
    /// SQLite's `synchronous` of the embedded engine.
    pub synchronous: Option<Synchronous>,
    /// Where others reach the embedded engine.
    pub engine_listen: Option<ListenSettings>,
    /// Form of the log.
    pub log_format: Option<LogFormat>,
    /// Filter of the log.
    pub log_filter: Option<String>,
}

/// How much the embedded engine trusts the machine not to lose power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Synchronous {
    /// Every transition is on disk before it is acted on.
    Full,
    /// The last transitions may be lost with the machine's power, not with the process.
    Normal,
    /// For tests.
    Off,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One readable line an event.
    Human,
    /// One JSON object a line.
    Json,
}

impl WrittenService {
    /// Reads one table. `None` when it has no usable name; everything else about it is checked all the same.
    pub(super) fn read(mut table: TableReader<'_>) -> Option<Self> {
        let has_name = table.has("name");
        let name = table.parsed("name", check::service_name);
        match &name {
            Some(name) => table.rename(format!("service[{}]", name.value)),
            None if has_name => {}
            None => table.faults().report(table.place(), "has no name", "write name = \"…\""),
        }
        let has_target = table.has("unit") | table.has("command");
        let service = Self {
            place: table.place().clone(),
            name: name.clone().unwrap_or(Located { value: String::new(), place: table.place().clone() }),
            unit: table.parsed("unit", check::unit),
            command: command(&table),
            directory: table.parsed("directory", check::not_empty),
            environment: checked_map(&table, "environment", check::variable, |_| Ok(())),
            die_with_parent: table.boolean("die_with_parent"),
            kind: table.parsed("type", check::label),
            chain: table.parsed("chain", check::label),
            needs: table.strings("needs").map(|needs| needs.value).unwrap_or_default(),
            common: WrittenCommon::read(&table),
            http: table.tables("http").iter().filter_map(http_check).collect(),
            sync: table.table("sync").as_ref().and_then(sync_check),
            replicas: table.integer("replicas", 1..=1000),
            quorum: table.integer("quorum", 1..=1000),
            has_target,
        };
        table.finish();
        name.map(|_| service)
    }
}

impl WrittenCommon {
    /// Reads the keys that a service and `[defaults]` share.
    pub(super) fn read(table: &TableReader<'_>) -> Self {
        Self {
            interval: table.duration("interval"),
            resources: table.boolean("resources"),
            failure_threshold: table.integer("failure_threshold", 1..=1000),
            operation_timeout: table.duration("operation_timeout"),
            dependency_timeout: table.duration("dependency_timeout"),
            restart: table.table("restart").map(|table| WrittenRestart::read(&table)).unwrap_or_default(),
        }
    }
}

impl WrittenRestart {
    fn read(table: &TableReader<'_>) -> Self {
        let restart = Self {
            max_restarts: table.integer("max_restarts", 0..=10_000),
            window: table.duration("window"),
            initial_backoff: table.duration("initial_backoff"),
            max_backoff: table.duration("max_backoff"),
            backoff_coefficient: table.number("backoff_coefficient", 1.0..=100.0),
            jitter: table.number("jitter", 0.0..=1.0),
            stable_after: table.duration("stable_after"),
            quarantine_retry: table.duration("quarantine_retry"),
            on_unhealthy: table.boolean("on_unhealthy"),
        };
        table.finish();
        restart
    }
}

impl FileSettings {
    /// Reads the tables about the daemon. `strict` makes unknown keys faults; dotidx's own file may hold anything.
    pub(super) fn read(root: &TableReader<'_>, strict: bool) -> Self {
        let mut settings = Self::default();
        let finish = |table: TableReader<'_>| {
            if strict {
                table.finish();
            }
        };
        if let Some(table) = root.table("temporal") {
            settings.temporal_host = value(optional(&table, "hostport", check::host_port));
            settings.temporal_namespace = value(optional(&table, "namespace", check::not_empty));
            settings.task_queue = value(optional(&table, "taskqueue", check::not_empty));
            finish(table);
        }
        if let Some(table) = root.table("metrics") {
            settings.metrics_listen = value(table.parsed("listen", check::socket));
            settings.metrics_namespace = value(table.parsed("namespace", check::metric_namespace));
            finish(table);
        }
        if let Some(table) = root.table("api") {
            settings.read_api(&table);
            finish(table);
        }
        if let Some(table) = root.table("status") {
            let public = value(table.boolean("public")).unwrap_or(false);
            let services = table.strings("services").map(|list| list.value).unwrap_or_default();
            let services = services.into_iter().map(|service| service.value).collect();
            settings.public_status = public.then_some(StatusSettings { services });
            finish(table);
        }
        if let Some(table) = root.table("history") {
            settings.retention = retention(&table);
            settings.history_postgres = value(table.parsed("postgres", check::postgres));
            settings.history_host = value(table.parsed("host", check::host));
            if settings.history_host.is_some() && !table.has("postgres") {
                lacks(&table, "postgres", "a file is the history of one host; name a database, or leave `host` out");
            }
            finish(table);
        }
        if let Some(table) = root.table("circuit_breaker") {
            settings.read_breaker(&table);
            finish(table);
        }
        if let Some(table) = root.table("engine") {
            settings.synchronous = value(table.parsed("synchronous", synchronous));
            settings.engine_listen = listen(&table);
            finish(table);
        }
        if let Some(table) = root.table("log") {
            settings.log_format = value(table.parsed("format", log_format));
            settings.log_filter = value(table.parsed("filter", check::not_empty));
            finish(table);
        }
        settings
    }
}

/// `[history]`: how long the rows of each table are kept. Longer periods are made from the shorter ones, which have to be there for that.
fn retention(table: &TableReader<'_>) -> Retention {
    let mut retention = Retention::default();
    let hours = Duration::from_hours;
    for (key, kept, least) in [
        ("events", &mut retention.events, hours(1)),
        ("minutes", &mut retention.minutes, hours(3)),
        ("hours", &mut retention.hours, hours(48)),
        ("days", &mut retention.days, hours(48)),
        ("incidents", &mut retention.incidents, hours(1)),
        ("actions", &mut retention.actions, hours(1)),
        ("alerts", &mut retention.alerts, hours(1)),
    ] {
        let Some(found) = table.duration(key) else { continue };
        if found.value < least {
            let advice = format!("write \"{}\" or more", dixmgr_model::duration::format(least));
            table.faults().report(&found.place, "is too short", advice);
        }
        *kept = found.value;
    }
    retention
}

impl FileSettings {
    /// `[circuit_breaker]`.
    fn read_breaker(&mut self, table: &TableReader<'_>) {
        self.circuit_breaker = value(table.boolean("enabled"));
        let usual = BreakerSettings::DEFAULT;
        self.breaker = BreakerSettings {
            failures: value(table.integer("failures", 1..=1000)).unwrap_or(usual.failures),
            open_for: value(table.duration("open_for")).unwrap_or(usual.open_for),
            trials: value(table.integer("trials", 1..=1000)).unwrap_or(usual.trials),
        };
    }

    /// `[api]`: what other machines can reach needs a token.
    fn read_api(&mut self, table: &TableReader<'_>) {
        let listen = table.parsed("listen", check::socket);
        self.api_token = value(table.parsed("token", check::secret_reference));
        let hosts = table.strings("hosts").map(|list| list.value).unwrap_or_default();
        self.api_hosts = hosts.into_iter().map(|host| host.value).collect();
        if let Some(listen) = listen {
            if !listen.value.ip().is_loopback() && !table.has("token") {
                let advice = "write token = \"file:/path\", or listen on 127.0.0.1";
                table.faults().report(
                    &listen.place,
                    "other machines can reach this address, and no token is set",
                    advice,
                );
            }
            self.api_listen = Some(listen.value);
        }
    }
}

/// `[engine]`'s keys about listening; what belongs together and is not whole is a fault.
fn listen(table: &TableReader<'_>) -> Option<ListenSettings> {
    let listen = table.parsed("listen", check::socket);
    let certificate = table.parsed("tls_certificate", check::not_empty);
    let key = table.parsed("tls_key", check::not_empty);
    let client_ca = table.parsed("tls_client_ca", check::not_empty);
    let api_key = table.parsed("api_key", check::secret_reference);
    let whole = match (&certificate, &key, &client_ca) {
        (Some(_), Some(_), _) | (None, None, None) => true,
        (Some(_), None, _) => lacks(table, "tls_key", "a certificate is of no use without its key"),
        (None, _, _) => lacks(table, "tls_certificate", "without a certificate there is no TLS"),
    };
    let only_with_listen = [&certificate, &key, &client_ca, &api_key].iter().any(|found| found.is_some());
    if listen.is_none() && only_with_listen && !table.has("listen") {
        lacks(table, "listen", "say where the engine listens, like \"127.0.0.1:7233\"");
    }
    let tls = certificate.zip(key).map(|(certificate, key)| TlsFiles {
        certificate: certificate.value.into(),
        key: key.value,
        client_ca: client_ca.map(|found| found.value.into()),
    });
    let listen = listen.filter(|_| whole)?;
    Some(ListenSettings { listen: listen.value, tls, api_key: value(api_key) })
}

/// Reports a key that has to be there because of another one. Always false.
fn lacks(table: &TableReader<'_>, key: &str, advice: &str) -> bool {
    table.faults().report(table.place(), format!("has no `{key}`"), advice);
    false
}

/// Like [`TableReader::parsed`], but an empty text counts as absent, as it did in the Go program.
fn optional(
    table: &TableReader<'_>,
    key: &'static str,
    parse: fn(&str) -> Result<String, check::Wrong>,
) -> Found<String> {
    let found = table.parsed(key, |text| if text.is_empty() { Ok(String::new()) } else { parse(text) });
    found.filter(|found| !found.value.is_empty())
}

fn value<T>(found: Found<T>) -> Option<T> {
    found.map(|found| found.value)
}

fn synchronous(text: &str) -> Result<Synchronous, check::Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "full" => Ok(Synchronous::Full),
        "normal" => Ok(Synchronous::Normal),
        "off" => Ok(Synchronous::Off),
        _ => Err((format!("{text:?} is not known"), "write \"full\", \"normal\" or \"off\"".to_owned())),
    }
}

fn log_format(text: &str) -> Result<LogFormat, check::Wrong> {
    match text {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err((format!("{text:?} is not known"), "write \"human\" or \"json\"".to_owned())),
    }
}

/// `command`, as a list or as one string.
fn command(table: &TableReader<'_>) -> Found<Vec<String>> {
    let found = if table.is_string("command") {
        table.parsed("command", |text| split::split(text).map_err(|error| (error.to_string(), split_advice(&error))))?
    } else {
        let list = table.strings("command")?;
        Located { value: list.value.into_iter().map(|word| word.value).collect(), place: list.place }
    };
    if found.value.first().is_none_or(String::is_empty) {
        table.faults().report(&found.place, "names no program", "write command = [\"/usr/bin/program\", \"argument\"]");
        return None;
    }
    Some(found)
}

fn split_advice(error: &SplitError) -> String {
    match error {
        SplitError::NeedsShell(_) => "quote it with '…', or write command = [\"/bin/sh\", \"-c\", \"…\"]".to_owned(),
        SplitError::OpenQuote | SplitError::OpenEscape => "write command = [\"program\", \"argument\"]".to_owned(),
    }
}

/// A table of strings whose names and values each have a rule.
pub(super) fn checked_map(
    table: &TableReader<'_>,
    key: &'static str,
    name_rule: fn(&str) -> Result<(), check::Wrong>,
    value_rule: fn(&str) -> Result<(), check::Wrong>,
) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for (name, found) in table.map(key).unwrap_or_default() {
        match name_rule(&name).and_then(|()| value_rule(&found.value)) {
            Ok(()) => drop(map.insert(name, found.value)),
            Err((problem, advice)) => table.faults().report(&found.place, problem, advice),
        }
    }
    map
}

fn http_check(table: &TableReader<'_>) -> Option<HttpCheck> {
    let has_url = table.has("url");
    let url = table.parsed("url", check::http_url);
    if !has_url {
        table.faults().report(table.place(), "has no url", "write url = \"http://127.0.0.1:8080/healthz\"");
    }
    let check = HttpCheck {
        url: value(url.clone()).unwrap_or_default(),
        method: value(table.parsed("method", check::method)).unwrap_or_else(|| "GET".to_owned()),
        headers: checked_map(table, "headers", check::header_name, check::header_value),
        body: value(table.string("body")),
        interval: value(table.duration("interval")),
        timeout: value(table.duration("timeout")).unwrap_or(super::resolve::PROBE_TIMEOUT),
        expected_status: value(table.integer("expected_status", 100..=599)),
        expected_body: value(table.parsed("expected_body", check::not_empty)),
        json_path: value(table.parsed("json_path", check::json_path)),
        max_response_time: value(table.duration("max_response_time")),
    };
    table.finish();
    url.map(|_| check)
}

fn sync_check(table: &TableReader<'_>) -> Option<SyncCheck> {
    let has_endpoint = table.has("endpoint");
    let endpoint = table.parsed("endpoint", check::http_url);
    if !has_endpoint {
        table.faults().report(table.place(), "has no endpoint", "write endpoint = \"http://localhost:9944\"");
    }
    let interval = value(table.duration("interval"));
    let timeout = value(table.duration("timeout")).unwrap_or(super::resolve::PROBE_TIMEOUT);
    table.finish();
    Some(SyncCheck { endpoint: endpoint?.value, interval, timeout })
}
