//! Flags of `dixmgr workflow`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

/// What `dixmgr workflow -help` says after the flags.
const AFTER_HELP: &str = "\
Examples:
  dixmgr workflow list -address 127.0.0.1:7233 -query 'ExecutionStatus = \"Running\"'
  dixmgr workflow show wf.infra -conf dixmgr.toml -follow
  dixmgr workflow signal wf.svc.api pause -address 127.0.0.1:7233
  dixmgr workflow reset wf.svc.api -event 4 -reason 'a faulty release'
  dixmgr workflow list -data-dir /var/lib/dixmgr      (when no dixmgr runs there)

Exit codes: 0 done, 1 it failed, 2 the command line, the filter or the configuration is wrong.";

/// Flags of `dixmgr workflow`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, disable_help_subcommand = true, max_term_width = 120)]
pub struct WorkflowArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
    /// Where the workflows are.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Print JSON: messages as Temporal writes them, histories in the form that its SDKs replay.
    #[arg(long, global = true)]
    pub json: bool,
}

/// Where the workflows are: one of `-address`, `-conf` and `-data-dir`; the first one's default when none is given.
#[derive(Debug, Default, Args)]
pub struct PlaceArgs {
    /// An engine that listens, or a Temporal cluster [default: 127.0.0.1:7233].
    #[arg(long, value_name = "HOST:PORT", global = true)]
    pub address: Option<String>,
    /// The daemon's configuration: its Temporal cluster, or where its engine listens.
    #[arg(long, value_name = "FILE", global = true)]
    pub conf: Option<PathBuf>,
    /// The data directory of an engine that does not run: its file is opened for as long as the command takes.
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// Temporal namespace [default: the configuration's, or dotidx].
    #[arg(long, value_name = "NAME", global = true)]
    pub namespace: Option<String>,
    /// Use TLS, with the authorities that this machine trusts. The other -tls flags imply it.
    #[arg(long, global = true)]
    pub tls: bool,
    /// Authority of the server's certificate, in PEM form, instead of those that this machine trusts.
    #[arg(long, value_name = "FILE", global = true)]
    pub tls_ca: Option<PathBuf>,
    /// Name in the server's certificate, where it is not that of the address.
    #[arg(long, value_name = "NAME", global = true)]
    pub tls_server_name: Option<String>,
    /// Our own certificate, in PEM form, for servers that ask for one.
    #[arg(long, value_name = "FILE", global = true, requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Its private key: a file, env:NAME or credential:NAME.
    #[arg(long, value_name = "FILE", global = true, requires = "tls_certificate")]
    pub tls_key: Option<String>,
    /// Key that is sent as `authorization: Bearer KEY`: `env:NAME`, `file:/path` or `credential:NAME`.
    #[arg(long, value_name = "REFERENCE", global = true)]
    pub api_key: Option<String>,
}

/// What is done.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List workflows, those that started last first.
    List {
        /// Temporal's list filter, such as `WorkflowType = "NodeWorkflow" AND ExecutionStatus = "Running"`.
        #[arg(long, value_name = "FILTER", default_value = "")]
        query: String,
        /// Most workflows to list.
        #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
    /// Count workflows; with `GROUP BY ExecutionStatus` in the filter, by status.
    Count {
        /// Temporal's list filter.
        #[arg(long, value_name = "FILTER", default_value = "")]
        query: String,
    },
    /// Say how a workflow is: status, times, and what it waits for.
    Describe(Target),
    /// Describe a workflow and print its history, one line an event. With -json, the history alone.
    Show {
        /// The workflow.
        #[command(flatten)]
        target: Target,
        /// Go on until the run ends.
        #[arg(long)]
        follow: bool,
    },
    /// Ask a running workflow, or one that a worker can replay.
    Query {
        /// The workflow.
        #[command(flatten)]
        target: Target,
        /// Name of the query.
        #[arg(value_name = "TYPE")]
        name: String,
        /// Its argument.
        #[arg(long, value_name = "JSON", value_parser = json, allow_negative_numbers = true)]
        input: Option<Value>,
    },
    /// Send a signal.
    Signal {
        /// The workflow.
        #[command(flatten)]
        target: Target,
        /// Name of the signal.
        #[arg(value_name = "NAME")]
        name: String,
        /// Its argument.
        #[arg(long, value_name = "JSON", value_parser = json, allow_negative_numbers = true)]
        input: Option<Value>,
    },
    /// Ask a workflow to end: it may clean up first.
    Cancel(ChangeArgs),
    /// End a workflow at once; it does not notice.
    Terminate(ChangeArgs),
    /// Go back to an event, and on from there in a new run.
    Reset {
        /// The workflow, and why.
        #[command(flatten)]
        change: ChangeArgs,
        /// Number of the completed, failed or timed out workflow task to go back to.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
        event: i64,
    },
    /// Delete a workflow with its history.
    Delete(Target),
}

/// Which workflow.
#[derive(Debug, Args)]
pub struct Target {
    /// The workflow's id.
    #[arg(value_name = "ID")]
    pub id: String,
    /// One of its runs [default: the latest].
    #[arg(long, value_name = "RUN")]
    pub run_id: Option<String>,
}

/// Which workflow, and why.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// The workflow.
    #[command(flatten)]
    pub target: Target,
    /// Why; it stands in the history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}; a text is written '\"like this\"'"))
}
