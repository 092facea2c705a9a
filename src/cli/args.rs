//! The flags, declared once: `-help`, the README's table and the parser all come from here.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};

use crate::config::{LogFormat, ManagerKind};

/// What `-help` says after the flags.
const AFTER_HELP: &str = "\
Long flags are written with one dash or two, values as `-flag value` or `-flag=value`, switches as `-flag` or `-flag=false`.
A flag wins over its environment variable, which wins over the file, which wins over the default.

Exit codes: 0 stopped as asked, 1 something failed while running, 2 the command line or the configuration is wrong.";

/// Keeps services running and tells people the truth about them.
///
/// dixmgr watches systemd units, or processes that it runs itself, restarts what dies, and goes on where it was after
/// `kill -9` or a reboot.
#[derive(Debug, Parser)]
#[command(
    name = "dixmgr",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 120
)]
pub struct CommandLine {
    /// What to do other than run.
    #[command(subcommand)]
    pub command: Option<Sub>,
    /// How to run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What dixmgr can do besides running.
#[derive(Debug, Subcommand)]
pub enum Sub {
    /// Read the configuration, and print what it means as a tree: exit code 0, or 2 with all its faults.
    Check(CheckArgs),
    /// Serve Temporal's API from the embedded engine alone: durable workflows for workers and clients of any Temporal SDK,
    /// and nothing to watch. Its commands look after the engine's file.
    Engine(Box<super::EngineArgs>),
    /// Look into workflows, on the embedded engine or on any Temporal cluster, and act on one.
    Workflow(Box<super::WorkflowArgs>),
    /// How services are now, as a table that fits the terminal.
    Status(Box<super::StatusArgs>),
    /// Services live, as htop shows processes: sorted, filtered, and one in depth.
    Top(Box<super::TopArgs>),
    /// What happened to a service: how long it was up, its incidents, what dixmgr did.
    History(Box<super::HistoryArgs>),
    /// How long services were up.
    Uptime(Box<super::UptimeArgs>),
    /// Copy the history in a file (health.db) into PostgreSQL, once.
    ImportHistory(Box<super::ImportHistoryArgs>),
    /// Look at alerts, take care of one, silence one, or try a channel.
    Alerts(Box<super::AlertsArgs>),
    /// Look at silences, add one by what labels have to be, or end one.
    Silences(Box<super::SilencesArgs>),
    /// Look at circuit breakers, or close one by hand.
    Breakers(Box<super::BreakersArgs>),
    /// Show the configuration in force, or change it.
    Config(Box<super::ConfigArgs>),
    /// Print what bash, zsh or fish needs to complete this command line.
    Completion(super::CompletionArgs),
    /// Write these pages as manual pages into a directory; packages and `make install` do.
    Man(super::ManArgs),
    /// Serve /healthz for the demonstration configuration.
    #[command(hide = true)]
    DemoServer(DemoServerArgs),
}

/// Flags of `dixmgr check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// TOML configuration to read.
    #[arg(long, value_name = "FILE", env = "DIXMGR_CONF", hide_env_values = true)]
    pub conf: PathBuf,
    /// Who runs the services: systemd, or dixmgr itself.
    #[arg(long, value_name = "WHO", value_enum, default_value_t = ManagerKind::Systemd, env = "DIXMGR_PROCESS_MANAGER")]
    pub process_manager: ManagerKind,
}

/// Flags of the demonstration server.
#[derive(Debug, Args)]
pub struct DemoServerArgs {
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
}

/// Flags of a run. `Option` where the file has a say before the default.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "they are switches of a command line, one by one")]
pub struct RunArgs {
    /// TOML configuration (required).
    #[arg(long, value_name = "FILE", env = "DIXMGR_CONF", hide_env_values = true)]
    pub conf: Option<PathBuf>,
    /// Dry run: observe, and say what would be done. Exactly one of -watch and -exec is required.
    #[arg(long, env = "DIXMGR_WATCH", default_value = "false", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_name = "BOOL", value_parser = BoolishValueParser::new(), hide_default_value = true, hide_env_values = true)]
    pub watch: bool,
    /// Observe, and act.
    #[arg(long, env = "DIXMGR_EXEC", default_value = "false", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_name = "BOOL", value_parser = BoolishValueParser::new(), hide_default_value = true, hide_env_values = true)]
    pub exec: bool,
    /// Use this Temporal cluster instead of the embedded engine; an empty text means the embedded engine.
    #[arg(long, value_name = "HOST:PORT", env = "DIXMGR_TEMPORAL_HOST", hide_env_values = true)]
    pub temporal_host: Option<String>,
    /// Temporal namespace [default: dotidx].
    #[arg(long, value_name = "NAME", env = "DIXMGR_TEMPORAL_NAMESPACE", hide_env_values = true)]
    pub temporal_namespace: Option<String>,
    /// Serve /metrics, /healthz and /readyz.
    #[arg(long, env = "DIXMGR_METRICS", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_name = "BOOL", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub metrics: bool,
    /// Port of /metrics, on all addresses unless the file says otherwise [default: 9090].
    #[arg(long, value_name = "PORT", env = "DIXMGR_METRICS_PORT", hide_env_values = true,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub metrics_port: Option<u16>,
    /// Keep a history of services, incidents and alerts.
    #[arg(long, env = "DIXMGR_HEALTH_HISTORY", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_name = "BOOL", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub health_history: bool,
    /// File of that history [default: health.db in the data directory].
    #[arg(long, value_name = "FILE", env = "DIXMGR_HEALTH_HISTORY_DB", hide_env_values = true)]
    pub health_history_db: Option<PathBuf>,
    /// Keep it in PostgreSQL instead, for many hosts: a connection string, or `env:NAME`, `file:/path`, `credential:NAME`.
    #[arg(long, value_name = "REFERENCE", env = "DIXMGR_HEALTH_HISTORY_POSTGRES", hide_env_values = true)]
    pub health_history_postgres: Option<String>,
    /// Serve the API and the status page, and follow changes of the configuration file.
    #[arg(long, env = "DIXMGR_DYNAMIC_CONFIG", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_name = "BOOL", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub dynamic_config: bool,
    /// Port of the API and the status page, on loopback unless the file says otherwise [default: 9091].
    #[arg(long, value_name = "PORT", env = "DIXMGR_CONFIG_PORT", hide_env_values = true,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub config_port: Option<u16>,
    /// Alerting: rules, and messages about what they find.
    #[arg(long, env = "DIXMGR_ALERTS", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_name = "BOOL", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub alerts: bool,
    /// Tell alerts to this incoming webhook of Slack too: its URL, or `env:NAME`, `file:/path`, `credential:NAME`.
    #[arg(long, value_name = "URL", env = "DIXMGR_SLACK_WEBHOOK", hide_env_values = true)]
    pub slack_webhook: Option<String>,
    /// Tell alerts to this webhook too, in Alertmanager's JSON: its URL, or a reference as above.
    #[arg(long, value_name = "URL", env = "DIXMGR_WEBHOOK_URL", hide_env_values = true)]
    pub webhook_url: Option<String>,
    /// Sample CPU, memory and disk of every service.
    #[arg(long, env = "DIXMGR_RESOURCE_MONITORING", default_value = "true", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, value_name = "BOOL", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub resource_monitoring: bool,
    /// Who runs the services: systemd, or dixmgr itself (machines without systemd).
    #[arg(long, value_name = "WHO", value_enum, default_value_t = ManagerKind::Systemd, env = "DIXMGR_PROCESS_MANAGER", hide_env_values = true)]
    pub process_manager: ManagerKind,
    /// Direct mode: where the output of the processes is kept [default: /var/log/dixmgr, or log in the data directory].
    #[arg(long, value_name = "DIR", env = "DIXMGR_PROCESS_LOG_DIR", hide_env_values = true)]
    pub process_log_dir: Option<PathBuf>,
    /// Direct mode: where PID files are kept [default: /run/dixmgr, or run in the data directory].
    #[arg(long, value_name = "DIR", env = "DIXMGR_PROCESS_PID_DIR", hide_env_values = true)]
    pub process_pid_dir: Option<PathBuf>,
    /// Direct mode: restarts allowed within a policy's window; wins over the file [default: 5].
    #[arg(long, value_name = "COUNT", env = "DIXMGR_PROCESS_MAX_RESTARTS", hide_env_values = true,
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub process_max_restarts: Option<u32>,
    /// Where durable state is kept [default: /var/lib/dixmgr, or ./dixmgr-data where that cannot be written].
    #[arg(long, value_name = "DIR", env = "DIXMGR_DATA_DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// Form of the log [default: human; journald fields under systemd].
    #[arg(long, value_name = "FORM", value_enum, env = "DIXMGR_LOG_FORMAT", hide_env_values = true)]
    pub log_format: Option<LogFormat>,
    /// Leave outside targets (checks, channels, the unit manager) alone for a while after failures in a row [default: true].
    #[arg(long, env = "DIXMGR_CIRCUIT_BREAKER", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, value_name = "BOOL", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub circuit_breaker: Option<bool>,
}
