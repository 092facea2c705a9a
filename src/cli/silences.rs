//! Flags of `dixmgr silences`.

use std::time::Duration;

use clap::{Args, Subcommand};
use dixmgr_alerting::silence::text;
use dixmgr_model::Matcher;

use super::alerts::duration;
use super::{NoteArgs, PlaceArgs};

/// What `dixmgr silences -help` says after the flags.
const AFTER_HELP: &str = "\
Examples:
  dixmgr silences list -conf dixmgr.toml
  dixmgr silences add service=db severity=~'warning|info' -for 2h -by ann -comment 'disk is being replaced'
  dixmgr silences expire 0a51cb9e-3d04-4a7c-9c0e-3f6a1d5a0b11

All matchers of a silence have to fit: name=value, name!=value, name=~expression, name!~expression. A dixmgr that runs is asked.
Alertmanager's amtool does the same over the HTTP API. Exit codes: 0 done, 1 it failed, 2 the command line is wrong.";

/// Flags of `dixmgr silences`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, disable_help_subcommand = true, max_term_width = 120)]
pub struct SilencesArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: SilenceAction,
    /// Where dixmgr is.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What is done.
#[derive(Debug, Subcommand)]
pub enum SilenceAction {
    /// List the silences that are in force or will be.
    List {
        /// Those too that are over; they are kept for five days.
        #[arg(long)]
        expired: bool,
    },
    /// Tell nobody for a while that alerts fire which fit all matchers.
    Add {
        /// What a label has to be, such as service=db.
        #[arg(value_name = "MATCHER", required = true, value_parser = matcher)]
        matchers: Vec<Matcher>,
        /// For how long.
        #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = duration)]
        time: Duration,
        /// When it begins, RFC 3339 [default: now].
        #[arg(long, value_name = "TIME", value_parser = instant)]
        start: Option<u64>,
        /// Who says so, and why.
        #[command(flatten)]
        note: NoteArgs,
    },
    /// End a silence.
    Expire {
        /// Its id, as `list` has it.
        #[arg(value_name = "ID")]
        id: String,
    },
}

fn matcher(text: &str) -> Result<Matcher, String> {
    text::matcher(text).map_err(|error| error.to_string())
}

/// A time, in milliseconds since the epoch.
fn instant(text: &str) -> Result<u64, String> {
    let time: jiff::Timestamp = text.parse().map_err(|error| format!("{error}; write it like 2026-03-01T22:00:00Z"))?;
    u64::try_from(time.as_millisecond()).map_err(|_| "it lies before 1970".to_owned())
}
