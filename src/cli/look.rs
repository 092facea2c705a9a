//! Flags of `dixmgr status`, `dixmgr top`, `dixmgr history` and `dixmgr uptime`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Where the API is.
#[derive(Debug, Args)]
pub struct ApiArgs {
    /// Address of the API of a dixmgr that runs.
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9091",
        env = "DIXMGR_API",
        hide_env_values = true
    )]
    pub address: String,
    /// Reference to the API's token: `env:NAME`, `file:/path` or `credential:NAME`.
    #[arg(long, global = true, value_name = "REFERENCE")]
    pub token: Option<String>,
}

/// Flags of `dixmgr status`.
#[derive(Debug, Args)]
#[command(max_term_width = 120)]
pub struct StatusArgs {
    /// Where the API is.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Only services whose name contains this.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Show it again whenever something has changed, until Ctrl-C.
    #[arg(long)]
    pub watch: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `dixmgr top`.
#[derive(Debug, Args)]
#[command(after_help = TOP_HELP, max_term_width = 120)]
pub struct TopArgs {
    /// Where the API is.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Only services whose name contains this.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Time between two looks; they are further apart where answers take long.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
}

/// What `dixmgr top -help` says after the flags.
const TOP_HELP: &str = "\
Keys:
  q, Ctrl-C              end
  Up, Down, k, j         another service; PgUp, PgDn, Home and End go further
  Enter                  the chosen service in depth: its alerts, and what happened in the last 24 hours; Esc closes it
  /                      type a part of names; Enter keeps the filter, Esc drops it
  t n c m r p            sort by state, name, CPU, memory, restarts, response time; again turns the order round
  Left, Right, s, S      sort by the column beside; s goes on, S turns the order round

NO_COLOR=1 does without colours.";

const IMPORT_HELP: &str = "\
Examples:
  dixmgr import-history -conf /etc/dixmgr/dixmgr.toml -data-dir /var/lib/dixmgr
  dixmgr import-history -health-history-db old.db -health-history-postgres file:/etc/dixmgr/history -host web-2

The file is -health-history-db, or health.db in the data directory, and stays as it is; the database is that of -health-history-postgres or of
the configuration's [history], where the host must not have a history yet. No dixmgr may write either of them meanwhile: stop
it, import, and start it with [history] postgres.";

/// What the history is in.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The file itself [default: health.db in the data directory].
    #[arg(long, value_name = "FILE", env = "DIXMGR_HEALTH_HISTORY_DB", hide_env_values = true)]
    pub health_history_db: Option<PathBuf>,
    /// The database instead: a connection string without a password, or `env:NAME`, `file:/path`, `credential:NAME`.
    #[arg(long, value_name = "REFERENCE", env = "DIXMGR_HEALTH_HISTORY_POSTGRES", hide_env_values = true)]
    pub health_history_postgres: Option<String>,
    /// Whose history, of those in the database [default: this machine's].
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

/// Where the history is.
#[derive(Debug, Args)]
pub struct HistoryPlace {
    /// The daemon's configuration: the history of its `[history]`.
    #[arg(long, value_name = "FILE")]
    pub conf: Option<PathBuf>,
    /// Data directory of the dixmgr that writes it [default: /var/lib/dixmgr, or ./dixmgr-data].
    #[arg(long, value_name = "DIR", env = "DIXMGR_DATA_DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// The file, or the database.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `dixmgr history`.
#[derive(Debug, Args)]
#[command(max_term_width = 120)]
pub struct HistoryArgs {
    /// The service.
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// How far back.
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = window)]
    pub since: Duration,
    /// Where the history is.
    #[command(flatten)]
    pub place: HistoryPlace,
}

/// Flags of `dixmgr uptime`.
#[derive(Debug, Args)]
#[command(max_term_width = 120)]
pub struct UptimeArgs {
    /// How far back.
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = window)]
    pub window: Duration,
    /// Of all hosts that have a history in the database.
    #[arg(long, conflicts_with = "host")]
    pub all_hosts: bool,
    /// Where the history is.
    #[command(flatten)]
    pub place: HistoryPlace,
}

/// Flags of `dixmgr import-history`.
#[derive(Debug, Args)]
#[command(max_term_width = 120, after_help = IMPORT_HELP)]
pub struct ImportHistoryArgs {
    /// Where the history is, and where it is to be.
    #[command(flatten)]
    pub place: HistoryPlace,
}

/// Shortest time between two looks of `dixmgr top`.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

fn interval(text: &str) -> Result<Duration, String> {
    match dixmgr_model::duration::parse(text) {
        Ok(time) if time < MIN_INTERVAL => Err("it is at least 100ms".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

fn window(text: &str) -> Result<Duration, String> {
    match dixmgr_model::duration::parse(text) {
        Ok(Duration::ZERO) => Err("there is nothing in no time".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}
