//! A real Temporal server, the oracle that the embedded engine is measured against.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, io};

use tempfile::TempDir;

use crate::component::{Component, require, temporal_program};
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
    guardian: Option<Child>,
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
        if !require(Component::Temporal) {
            return None;
        }
        let directory = tempfile::Builder::new().prefix("dixmgr-temporal-").tempdir().expect("a temporary directory");
        let mut this = Self { directory, port: free_port(), guardian: None };
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

    /// Kills the server with SIGKILL; what it has made durable stays.
    pub fn kill(&mut self) {
        if let Some(mut guardian) = self.guardian.take() {
            let _ = guardian.wait(); // closes its standard input first
        }
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
        let mut command = Command::new(temporal_program());
        command.args(arguments).args(["--address", &self.address(), "--namespace", NAMESPACE]).stdin(Stdio::null());
        command
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
        self.guardian = Some(self.spawn().expect("start the temporal server"));
        let up = wait_until(START_TIMEOUT, || self.answers());
        assert!(up, "the temporal server did not answer within {START_TIMEOUT:?}; its log:\n{}", self.log());
    }

    /// `sh` stands between, so that the server ends with the test however the test ends: it waits for its standard input
    /// to close.
    fn spawn(&self) -> io::Result<Child> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let script = "\"$@\" </dev/null & server=$!; read -r _; kill -KILL $server; wait $server";
        Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(temporal_program())
            .args(["server", "start-dev", "--headless", "--log-level", "error", "--namespace", NAMESPACE])
            .args(["--port", &self.port.to_string(), "--db-filename"])
            .arg(self.directory.path().join("temporal.db"))
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
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

impl Drop for TemporalServer {
    fn drop(&mut self) {
        self.kill();
    }
}
