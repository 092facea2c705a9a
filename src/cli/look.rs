//! Flags of `dixmgr status`, `dixmgr history` and `dixmgr uptime`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Flags of `dixmgr status`.
#[derive(Debug, Args)]
#[command(max_term_width = 120)]
pub struct StatusArgs {
    /// Address of the API of a dixmgr that runs.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9091",
        env = "DIXMGR_API",
        hide_env_values = true
    )]
    pub address: String,
    /// Reference to the API's token: `env:NAME`, `file:/path` or `credential:NAME`.
    #[arg(long, value_name = "REFERENCE")]
    pub token: Option<String>,
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

/// Where the history is.
#[derive(Debug, Args)]
pub struct HistoryPlace {
    /// Data directory of the dixmgr that writes it [default: /var/lib/dixmgr, or ./dixmgr-data].
    #[arg(long, value_name = "DIR", env = "DIXMGR_DATA_DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// The file itself [default: health.db in the data directory].
    #[arg(long, value_name = "FILE", env = "DIXMGR_HEALTH_HISTORY_DB", hide_env_values = true)]
    pub health_history_db: Option<PathBuf>,
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
    /// Where the history is.
    #[command(flatten)]
    pub place: HistoryPlace,
}

fn window(text: &str) -> Result<Duration, String> {
    match dixmgr_model::duration::parse(text) {
        Ok(Duration::ZERO) => Err("there is nothing in no time".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}
