//! How the daemon itself runs: flags and environment over the file over the defaults, resolved once at start-up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use dixmgr_activities::history::{Place, Postgres, Retention};
use dixmgr_alerting::circuit_breaker::Settings as BreakerSettings;
use dixmgr_model::Mode;

use crate::cli::RunRequest;
use crate::config::{AlertFlags, FileSettings, LogFormat, ManagerKind, Synchronous};
use crate::home::{EXEC_DATABASE, WATCH_DATABASE};
use crate::listen::ListenSettings;

/// Temporal namespace unless something else is asked for, as operators' clusters have it.
pub(crate) const NAMESPACE: &str = "dotidx";
/// Task queue unless the file names another.
const TASK_QUEUE: &str = "dotidx-watcher";
/// Added to the task queue of a dry run, so that it never answers for a real one.
const WATCH_SUFFIX: &str = "-watch";
/// Where `/metrics` listens.
const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9090);
/// Where the API and the status page listen.
const API: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9091);
/// Name of the health history in the data directory.
pub(crate) const HISTORY: &str = "health.db";
/// First word of every metric's name.
pub(crate) const METRICS_NAMESPACE: &str = "dixmgr";

/// How the daemon runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Watch or exec.
    pub mode: Mode,
    /// Who runs the services.
    pub manager: ManagerKind,
    /// The Temporal cluster, `host:port`; the embedded engine when absent.
    pub temporal_host: Option<String>,
    /// Temporal namespace.
    pub namespace: String,
    /// Task queue of workflows and activities.
    pub task_queue: String,
    /// Where `/metrics`, `/healthz` and `/readyz` listen; nowhere when absent.
    pub metrics: Option<SocketAddr>,
    /// The API and the status page; absent when they are switched off.
    pub api: Option<ApiSettings>,
    /// Whether changes of the file are followed by themselves (`-dynamic-config`).
    pub dynamic_config: bool,
    /// The health history; absent when it is switched off.
    pub history: Option<HistorySettings>,
    /// First word of every metric's name.
    pub metrics_namespace: String,
    /// How the embedded engine writes.
    pub synchronous: Synchronous,
    /// Where others reach the embedded engine; nowhere when absent.
    pub listen: Option<ListenSettings>,
    /// The data directory that was asked for; the default rule decides when absent.
    pub data_dir: Option<PathBuf>,
    /// Direct mode's log directory, if asked for.
    pub process_log_dir: Option<PathBuf>,
    /// Direct mode's PID directory, if asked for.
    pub process_pid_dir: Option<PathBuf>,
    /// Form of the log, if asked for.
    pub log_format: Option<LogFormat>,
    /// Filter of the log that the file asks for; `DIXMGR_LOG` wins over it.
    pub log_filter: Option<String>,
    /// What the flags say about alerts.
    pub alerts: AlertFlags,
    /// When outside targets are left alone for a while; never when absent.
    pub circuit_breaker: Option<BreakerSettings>,
}

/// Where the API and the status page are served, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiSettings {
    /// Address and port.
    pub listen: SocketAddr,
    /// Reference to the token that changes need, and everything from other machines.
    pub token: Option<String>,
    /// Names under which browsers may reach a loopback address, besides its own: those of a proxy before it.
    pub hosts: Vec<String>,
    /// What anyone may see under `/public`; nothing when absent.
    pub public: Option<StatusSettings>,
}

/// The public form of the status page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusSettings {
    /// The services that are shown; all when none is named.
    pub services: Vec<String>,
}

/// Where the health history is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistorySettings {
    /// The file that was asked for; one in the data directory when absent.
    pub path: Option<PathBuf>,
    /// The database instead of a file.
    pub postgres: Option<Postgres>,
    /// How long what is kept.
    pub retention: Retention,
}

impl Settings {
    /// Puts the layers over each other.
    pub fn resolve(request: &RunRequest, file: &FileSettings) -> Self {
        let args = &request.args;
        // An empty text on the command line takes back what the file says.
        let host = args.temporal_host.clone().or_else(|| file.temporal_host.clone());
        let suffix = if request.mode == Mode::Watch { WATCH_SUFFIX } else { "" };
        let task_queue = file.task_queue.as_deref().unwrap_or(TASK_QUEUE);
        let mut listen = file.metrics_listen.unwrap_or(METRICS);
        if let Some(port) = args.metrics_port {
            listen.set_port(port);
        }
        let mut api = file.api_listen.unwrap_or(API);
        if let Some(port) = args.config_port {
            api.set_port(port);
        }
        let api = ApiSettings {
            listen: api,
            token: file.api_token.clone(),
            hosts: file.api_hosts.clone(),
            public: file.public_status.clone(),
        };
        Self {
            mode: request.mode,
            manager: args.process_manager,
            temporal_host: host.filter(|host| !host.is_empty()),
            namespace: pick(args.temporal_namespace.as_ref(), file.temporal_namespace.as_ref(), NAMESPACE),
            task_queue: format!("{task_queue}{suffix}"),
            metrics: args.metrics.then_some(listen),
            api: args.dynamic_config.then_some(api),
            dynamic_config: args.dynamic_config,
            history: args.health_history.then(|| {
                HistorySettings::of(args.health_history_db.as_ref(), args.health_history_postgres.as_ref(), file)
            }),
            metrics_namespace: pick(None, file.metrics_namespace.as_ref(), METRICS_NAMESPACE),
            synchronous: file.synchronous.unwrap_or(Synchronous::Full),
            listen: file.engine_listen.clone(),
            data_dir: args.data_dir.clone(),
            process_log_dir: args.process_log_dir.clone(),
            process_pid_dir: args.process_pid_dir.clone(),
            log_format: args.log_format.or(file.log_format),
            log_filter: file.log_filter.clone(),
            alerts: AlertFlags {
                enabled: args.alerts,
                slack_webhook: args.slack_webhook.clone().filter(|url| !url.is_empty()),
                webhook_url: args.webhook_url.clone().filter(|url| !url.is_empty()),
            },
            circuit_breaker: args.circuit_breaker.or(file.circuit_breaker).unwrap_or(true).then_some(file.breaker),
        }
    }

    /// Name of the embedded engine's database in the data directory.
    pub fn database(&self) -> &'static str {
        match self.mode {
            Mode::Exec => EXEC_DATABASE,
            Mode::Watch => WATCH_DATABASE,
        }
    }
}

impl HistorySettings {
    /// A file or a database that a flag names wins over the database that the file names.
    pub(crate) fn of(path: Option<&PathBuf>, postgres: Option<&String>, file: &FileSettings) -> Self {
        let address = postgres.or(file.history_postgres.as_ref()).filter(|_| path.is_none());
        // Both were checked where they were read.
        let postgres = address.and_then(|address| Postgres::new(address, file.history_host.as_deref()).ok());
        Self { path: path.cloned(), postgres, retention: file.retention }
    }

    /// Where it is, for a data directory.
    pub(crate) fn place(&self, data: &Path) -> Place {
        match &self.postgres {
            Some(postgres) => Place::Postgres(postgres.clone()),
            None => Place::File(self.path.clone().unwrap_or_else(|| data.join(HISTORY))),
        }
    }
}

fn pick(flag: Option<&String>, file: Option<&String>, default: &str) -> String {
    flag.or(file).cloned().unwrap_or_else(|| default.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::ffi::OsString;

    use super::*;
    use crate::cli::{Invocation, parse};

    fn settings(args: &[&str], file: &FileSettings) -> Settings {
        let line = ["dixmgr", "-conf", "f"].iter().chain(args).map(OsString::from);
        match parse(line).unwrap() {
            Invocation::Run(request) => Settings::resolve(&request, file),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_those_operators_know() {
        let settings = settings(&["-exec"], &FileSettings::default());
        assert_eq!((settings.namespace.as_str(), settings.task_queue.as_str()), ("dotidx", "dotidx-watcher"));
        assert_eq!(settings.metrics, Some("0.0.0.0:9090".parse().unwrap()));
        assert_eq!((settings.temporal_host, settings.metrics_namespace.as_str()), (None, "dixmgr"));
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let file = FileSettings {
            temporal_host: Some("file:7233".to_owned()),
            temporal_namespace: Some("file".to_owned()),
            metrics_listen: Some("127.0.0.1:9100".parse().unwrap()),
            ..FileSettings::default()
        };
        let from_file = settings(&["-exec"], &file);
        assert_eq!((from_file.temporal_host.as_deref(), from_file.namespace.as_str()), (Some("file:7233"), "file"));
        let args = ["-exec", "-temporal-host", "flag:1", "-temporal-namespace=flag", "-metrics-port", "9200"];
        let from_flags = settings(&args, &file);
        assert_eq!((from_flags.temporal_host.as_deref(), from_flags.namespace.as_str()), (Some("flag:1"), "flag"));
        assert_eq!(from_flags.metrics, Some("127.0.0.1:9200".parse().unwrap()), "the address stays the file's");
        assert_eq!(settings(&["-exec", "-temporal-host="], &file).temporal_host, None);
        assert_eq!(settings(&["-exec", "-metrics=false"], &file).metrics, None);
    }

    #[test]
    fn a_history_is_in_a_file_unless_a_database_is_named() {
        let place = |args: &[&str], file: &FileSettings| settings(args, file).history.unwrap().place(Path::new("/d"));
        let of = |address: &str, host| Place::Postgres(Postgres::new(address, host).unwrap());
        let none = FileSettings::default();
        assert_eq!(place(&["-exec"], &none), Place::File("/d/health.db".into()));
        assert_eq!(place(&["-exec", "-health-history-postgres", "env:H"], &none), of("env:H", None));
        let file = FileSettings {
            history_postgres: Some("file:/h".to_owned()),
            history_host: Some("web-1".to_owned()),
            ..FileSettings::default()
        };
        assert_eq!(place(&["-exec"], &file), of("file:/h", Some("web-1")));
        assert_eq!(place(&["-exec", "-health-history-postgres=env:H"], &file), of("env:H", Some("web-1")));
        assert_eq!(place(&["-exec", "-health-history-db", "/h.db"], &file), Place::File("/h.db".into()));
    }

    #[test]
    fn the_api_listens_on_loopback() {
        let api = |args: &[&str], file: &FileSettings| settings(args, file).api.map(|api| api.listen.to_string());
        let none = FileSettings::default();
        assert_eq!(api(&["-exec"], &none).as_deref(), Some("127.0.0.1:9091"));
        assert_eq!(api(&["-exec", "-config-port", "9191"], &none).as_deref(), Some("127.0.0.1:9191"));
        assert_eq!(api(&["-exec", "-dynamic-config=false"], &none), None);
        let file = FileSettings { api_listen: Some("10.0.0.1:1".parse().unwrap()), ..none };
        assert_eq!(api(&["-exec", "-config-port=2"], &file).as_deref(), Some("10.0.0.1:2"));
    }

    #[test]
    fn circuit_breakers_are_on_unless_switched_off() {
        let on = |args: &[&str], file: &FileSettings| settings(args, file).circuit_breaker.is_some();
        let file = FileSettings { circuit_breaker: Some(false), ..FileSettings::default() };
        assert!(on(&["-exec"], &FileSettings::default()) && on(&["-exec", "-circuit-breaker"], &file));
        assert!(!on(&["-exec"], &file) && !on(&["-exec", "-circuit-breaker=false"], &FileSettings::default()));
    }

    #[test]
    fn a_dry_run_keeps_to_itself() {
        let watch = settings(&["-watch"], &FileSettings::default());
        assert_eq!((watch.task_queue.as_str(), watch.database()), ("dotidx-watcher-watch", "watch.db"));
        assert_eq!(settings(&["-exec"], &FileSettings::default()).database(), "engine.db");
    }
}
