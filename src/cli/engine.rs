//! The flags of `dixmgr engine` and of its commands.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{LogFormat, Synchronous};
use crate::engine::{EngineSettings, TimeSkipping};
use crate::listen::{ListenSettings, TlsFiles};

/// Flags of `dixmgr engine`.
#[derive(Debug, Args)]
#[command(max_term_width = 120, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct EngineArgs {
    /// What to do other than serve.
    #[command(subcommand)]
    pub command: Option<EngineCommand>,
    /// Address and port of the gRPC service. One that other machines can reach needs TLS, and -api-key or -tls-client-ca.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:7233",
        env = "DIXMGR_ENGINE_LISTEN",
        hide_env_values = true
    )]
    pub listen: SocketAddr,
    /// Where the database is kept [default: /var/lib/dixmgr, or ./dixmgr-data where that cannot be written].
    #[arg(long, value_name = "DIR", env = "DIXMGR_DATA_DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// What a commit waits for: full (nothing acknowledged is lost with the machine's power), normal, or off (for tests).
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Synchronous::Full)]
    pub synchronous: Synchronous,
    /// For tests of workflows: skip the time in which nothing happens, as Temporal's test server does, once a client has
    /// unlocked it; =unlocked begins that way. Without -data-dir, everything is kept in memory.
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "locked"
    )]
    pub time_skipping: Option<TimeSkipping>,
    /// Certificate in PEM form, with those between it and the authority.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        env = "DIXMGR_ENGINE_TLS_CERTIFICATE",
        hide_env_values = true
    )]
    pub tls_certificate: Option<PathBuf>,
    /// Its private key: a file, env:NAME or credential:NAME.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_certificate",
        env = "DIXMGR_ENGINE_TLS_KEY",
        hide_env_values = true
    )]
    pub tls_key: Option<String>,
    /// Authority of the clients' certificates; a client without one is then refused.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_certificate",
        env = "DIXMGR_ENGINE_TLS_CLIENT_CA",
        hide_env_values = true
    )]
    pub tls_client_ca: Option<PathBuf>,
    /// Key that clients send as `authorization: Bearer KEY`: `env:NAME`, `file:/path` or `credential:NAME`.
    #[arg(long, value_name = "REFERENCE", env = "DIXMGR_ENGINE_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// Where /metrics and /healthz are served; nowhere unless given.
    #[arg(long, value_name = "ADDRESS:PORT", env = "DIXMGR_ENGINE_METRICS", hide_env_values = true)]
    pub metrics: Option<SocketAddr>,
    /// Form of the log [default: human; journald fields under systemd].
    #[arg(long, value_name = "FORM", value_enum, env = "DIXMGR_LOG_FORMAT", hide_env_values = true)]
    pub log_format: Option<LogFormat>,
}

impl EngineArgs {
    /// How the engine is to run.
    pub fn settings(self) -> EngineSettings {
        let tls = self.tls_certificate.zip(self.tls_key);
        let tls = tls.map(|(certificate, key)| TlsFiles { certificate, key, client_ca: self.tls_client_ca });
        EngineSettings {
            data_dir: self.data_dir,
            synchronous: self.synchronous,
            metrics: self.metrics,
            time_skipping: self.time_skipping,
            listen: ListenSettings { listen: self.listen, tls, api_key: self.api_key },
        }
    }
}

/// What looks after the engine's file.
#[derive(Debug, Subcommand)]
pub enum EngineCommand {
    /// Read a whole file and say whether it is sound: the database, and every history in it. Exit code 0, or 1 with what is
    /// wrong. Nothing is changed.
    Check(FileArgs),
    /// Write all histories as JSON, in the form that SDKs replay and `temporal workflow show` prints. What a damaged file still
    /// holds is written, and what is lost is said. Nothing is changed.
    Export(ExportArgs),
    /// Write a copy of the file that can be put in its place, also while dixmgr is running.
    Backup(BackupArgs),
}

/// Which file.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// Directory of the database [default: /var/lib/dixmgr, or ./dixmgr-data where that cannot be written].
    #[arg(long, value_name = "DIR", env = "DIXMGR_DATA_DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// The database itself, such as a backup.
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    pub file: Option<PathBuf>,
}

/// Flags of `dixmgr engine export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which file.
    #[command(flatten)]
    pub from: FileArgs,
    /// New directory to write to.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Only this namespace.
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
}

/// Flags of `dixmgr engine backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Directory of the database [default: /var/lib/dixmgr, or ./dixmgr-data where that cannot be written].
    #[arg(long, value_name = "DIR", env = "DIXMGR_DATA_DIR", hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// New file to write to. It appears when it is complete.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}
