//! Flags of `dixmgr config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ApiArgs;

/// What `dixmgr config -help` says after the flags.
const AFTER_HELP: &str = "\
Examples:
  dixmgr config show
  dixmgr config diff new.toml -token file:/etc/dixmgr/token
  dixmgr config update new.toml -token file:/etc/dixmgr/token
  dixmgr config update patch.json -if-revision 7 -token env:DIXMGR_TOKEN
  dixmgr config rollback -token env:DIXMGR_TOKEN

FILE is a whole document, or a JSON merge patch if it ends in .json; - reads a document from standard input. Whatever changes
the configuration needs the API's token, on loopback too. Exit codes: 0 done, 1 it failed, 2 the command line or the file is wrong.";

/// Flags of `dixmgr config`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, disable_help_subcommand = true, max_term_width = 120)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: ConfigAction,
    /// Where dixmgr is.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What is done.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Print the configuration in force as TOML, secrets masked.
    Show,
    /// Say what would be otherwise with this file; nothing is changed.
    Diff {
        /// The document, or patch.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Put this file in force, and write it to dixmgr's own.
    Update {
        /// The document, or patch.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Only if this revision is in force.
        #[arg(long, value_name = "REVISION")]
        if_revision: Option<u64>,
    },
    /// Read dixmgr's own file again.
    Reload {
        /// Only say what would be otherwise.
        #[arg(long)]
        dry_run: bool,
    },
    /// Go back to an earlier revision.
    Rollback {
        /// Which, as `history` has it; the one before when none is named.
        #[arg(value_name = "REVISION")]
        revision: Option<u64>,
        /// Only say what would be otherwise.
        #[arg(long)]
        dry_run: bool,
    },
    /// List who changed what, the newest first.
    History {
        /// How many changes.
        #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
}
