//! A real Temporal server, the oracle that the embedded engine is measured against.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, io};

use tempfile::TempDir;

use crate::component::{Component, require, temporal_program};
use crate::guard::Guarded;
use crate::port::free_port;
use crate::wait::wait_until;

/// It answers in some three seconds; a machine that is busy with other tests may take far longer.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// The namespace that the server is started with.
pub const NAMESPACE: &str = "dotidx";

/// `temporal server start-dev` on a free port, its database in a directory of its own. Dropping it kills it.
#[derive(Debug)]
pub struct TemporalServer {
    directory: TempDir,
    port: u16,
    options: Vec<String>,
    server: Option<Guarded>,
}

/// A `temporal` command that talks to the server at `address`, such as `["workflow", "list"]`. A namespace among the
/// arguments wins over `namespace`.
#[must_use]
pub fn temporal_command(address: &str, namespace: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(temporal_program());
    command.args(arguments).args(["--address", address]).stdin(Stdio::null());
    if !arguments.contains(&"--namespace") {
        command.args(["--namespace", namespace]);
    }
    command
}

impl TemporalServer {
    /// Starts one with an empty database and waits until its namespace answers.
    ///
    /// `None` when this machine lacks the component (see [`require`]): the test then returns.
    ///
    /// # Panics
    /// When the server does not come up; the message holds its log.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same, with these options more, such as `["--dynamic-config-value", "frontend.WorkflowPauseEnabled=true"]`.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_with(options: &[&str]) -> Option<Self> {
        if !require(Component::Temporal) {
            return None;
        }
        let directory = tempfile::Builder::new().prefix("dixmgr-temporal-").tempdir().expect("a temporary directory");
        let options = options.iter().map(ToString::to_string).collect();
        let mut this = Self { directory, port: free_port(), options, server: None };
        this.launch();
        Some(this)
    }

    /// `host:port` of the front end.
    #[must_use]
    pub fn address(&self) -> String {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).to_string()
    }

    /// URL of the front end, as clients want it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The server's process, unless it was killed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Guarded::pid)
    }

    /// Kills the server with SIGKILL; what it has made durable stays.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts the server again on the same port and database, killing it first if it runs.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
    }

    /// A `temporal` command that talks to this server, such as `["workflow", "list"]`.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        temporal_command(&self.address(), NAMESPACE, arguments)
    }

    /// What the server has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    fn launch(&mut self) {
        self.server = Some(self.spawn().expect("start the temporal server"));
        let up = wait_until(START_TIMEOUT, || self.answers());
        assert!(up, "the temporal server did not answer within {START_TIMEOUT:?}; its log:\n{}", self.log());
    }

    fn spawn(&self) -> io::Result<Guarded> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let program = temporal_program();
        let port = self.port.to_string();
        let database = self.directory.path().join("temporal.db");
        let mut arguments: Vec<&OsStr> = vec![program.as_ref()];
        let options = ["server", "start-dev", "--headless", "--log-level", "error", "--namespace", NAMESPACE];
        arguments.extend(options.map(OsStr::new));
        arguments.extend([OsStr::new("--port"), port.as_ref(), OsStr::new("--db-filename"), database.as_ref()]);
        arguments.extend(self.options.iter().map(OsStr::new));
        Guarded::spawn(&arguments, log)
    }

    fn answers(&self) -> bool {
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
            && self
                .command(&["operator", "namespace", "describe"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
    }
}
