//! Flags of `dixmgr alerts`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{PlaceArgs, StoreArgs};

/// What `dixmgr alerts -help` says after the flags.
const AFTER_HELP: &str = "\
Examples:
  dixmgr alerts list -conf dixmgr.toml
  dixmgr alerts show 1f6c0a9be3d0427c -address 127.0.0.1:7233
  dixmgr alerts ack 1f6c0a9be3d0427c -by ann -comment 'looking at it'
  dixmgr alerts silence 1f6c0a9be3d0427c -for 2h -comment 'disk is being replaced'
  dixmgr alerts test ops -conf dixmgr.toml
  dixmgr alerts backtest -rules new-rules.toml -since 7d

All but `test` and `backtest` ask a dixmgr that runs. Exit codes: 0 done, 1 it failed, 2 the command line or the configuration is wrong.";

/// Flags of `dixmgr alerts`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, disable_help_subcommand = true, max_term_width = 120)]
pub struct AlertsArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: AlertAction,
    /// Where dixmgr is.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What is done.
#[derive(Debug, Subcommand)]
pub enum AlertAction {
    /// List the alerts that fire, or are not told to be over yet.
    List,
    /// Say all that is known of an alert: what happened, who was told what, and who was not and why.
    Show {
        /// The alert's fingerprint, as `list` and messages have it.
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Take care of an alert: no repetitions and no escalation until it is over.
    Ack {
        /// The alert's fingerprint.
        #[arg(value_name = "ID")]
        id: String,
        /// Who says so, and why.
        #[command(flatten)]
        note: NoteArgs,
    },
    /// Tell nobody for a while that an alert fires.
    Silence {
        /// The alert's fingerprint.
        #[arg(value_name = "ID")]
        id: String,
        /// For how long from now on.
        #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = duration)]
        time: Duration,
        /// Who says so, and why.
        #[command(flatten)]
        note: NoteArgs,
    },
    /// End a silence.
    Unsilence {
        /// The alert's fingerprint.
        #[arg(value_name = "ID")]
        id: String,
        /// Who says so, and why.
        #[command(flatten)]
        note: NoteArgs,
    },
    /// Say when the rules of a configuration would have fired, by the stored health history. No dixmgr has to run.
    Backtest {
        /// A configuration: its services, and the rules that are tried.
        #[arg(long, value_name = "FILE")]
        rules: PathBuf,
        /// How far back.
        #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = duration)]
        since: Duration,
        /// The history; without it that of the configuration's `[history]`, else health.db in the data directory.
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Send a message that is marked as a test over a channel of the configuration (-conf). No dixmgr has to run.
    Test {
        /// Name of the channel.
        #[arg(value_name = "CHANNEL")]
        channel: String,
    },
}

/// Who does something, and why.
#[derive(Debug, Args)]
pub struct NoteArgs {
    /// Who [default: the user who runs the command].
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, default_value = "")]
    pub by: String,
    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub comment: String,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match dixmgr_model::duration::parse(text) {
        Ok(Duration::ZERO) => Err("it would be over at once".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}
