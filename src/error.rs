//! Why the daemon ends before its time, each with what an operator does about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Something that ends the daemon with exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another dixmgr keeps this data directory.
    #[error(
        "the data directory {directory} is in use by another dixmgr, process {holder}; stop it, or give this one a -data-dir of its own"
    )]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// The other's process id, as it wrote it down, or `unknown`.
        holder: String,
    },
    /// A directory cannot be made or written.
    #[error("cannot use the directory {directory}: {detail}; give another one with {flag}")]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The flag that names it.
        flag: &'static str,
        /// What the system said.
        detail: io::Error,
    },
    /// The metrics port cannot be had.
    #[error(
        "cannot listen on {address} for /metrics: {detail}; choose another port with -metrics-port, or switch it off with -metrics=false"
    )]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// What the system said.
        detail: io::Error,
    },
    /// The API's port cannot be had.
    #[error(
        "cannot listen on {address} for the API and the status page: {detail}; choose another port with -config-port, or switch them off with -dynamic-config=false"
    )]
    ListenApi {
        /// Address and port.
        address: SocketAddr,
        /// What the system said.
        detail: io::Error,
    },
    /// The health history's file is not one for this dixmgr.
    #[error(transparent)]
    History(dixmgr_activities::history::HistoryError),
    /// The log filter cannot be read.
    #[error(
        "the log filter {filter:?} is not valid: {detail}; write it like \"info\" or \"warn,dixmgr=debug\" ({origin})"
    )]
    LogFilter {
        /// The filter.
        filter: String,
        /// Where it was given.
        origin: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// An engine whose time clients move would be open to others.
    #[error(
        "-time-skipping is for tests on this machine, and {listen} can be reached from others; listen on 127.0.0.1"
    )]
    SkippingExposed {
        /// Where it was to listen.
        listen: SocketAddr,
    },
    /// The embedded engine cannot be opened.
    #[error("cannot open the embedded engine: {0}")]
    Engine(String),
    /// The engine's file, or a copy of it, cannot be used.
    #[error("{0}")]
    EngineFile(String),
    /// The engine's file is damaged.
    #[error(
        "{} is not sound ({faults} findings); restore it from a backup, or save what can be read with \
         `dixmgr engine export`", file.display()
    )]
    Unsound {
        /// The file.
        file: PathBuf,
        /// What was found.
        faults: u64,
    },
    /// The embedded engine cannot be reached from outside as it was asked to be.
    #[error("cannot serve the engine: {0}")]
    Wire(#[from] dixmgr_engine::wire::WireError),
    /// A file that was named cannot be read.
    #[error("cannot read {path}: {detail}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: io::Error,
    },
    /// A secret that was referred to is not there.
    #[error(transparent)]
    Secret(dixmgr_activities::secret::SecretError),
    /// The unit manager cannot be set up.
    #[error("cannot set up direct process management: {0}")]
    Manager(String),
    /// Durable execution cannot be reached and waiting does not help.
    #[error("cannot use {what}: {detail}")]
    Temporal {
        /// The embedded engine, or the cluster's address.
        what: String,
        /// What is wrong, and what to do.
        detail: String,
    },
    /// The worker ended by itself.
    #[error("the worker ended: {0}")]
    Worker(String),
    /// Metrics or the SDK's runtime could not be set up.
    #[error("cannot set up {what}: {detail}")]
    Setup {
        /// What it was.
        what: &'static str,
        /// Why not.
        detail: String,
    },
}
