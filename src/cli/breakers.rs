//! Flags of `dixmgr breakers`.

use clap::{Args, Subcommand};

use super::ApiArgs;

/// What `dixmgr breakers -help` says after the flags.
const AFTER_HELP: &str = "\
Examples:
  dixmgr breakers list
  dixmgr breakers reset channel:ops";

/// Flags of `dixmgr breakers`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, disable_help_subcommand = true, max_term_width = 120)]
pub struct BreakersArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: BreakerAction,
    /// Where dixmgr is.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What is done.
#[derive(Debug, Subcommand)]
pub enum BreakerAction {
    /// List the targets that are called, those that are left alone for a while first.
    List,
    /// Close a breaker by hand: the target is called again at once.
    Reset {
        /// The target, as `list` has it.
        #[arg(value_name = "TARGET")]
        target: String,
    },
}
