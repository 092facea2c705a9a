//! `dixmgr engine`: the embedded engine alone, as a server that any Temporal SDK talks to.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::guard::Guarded;
use crate::port::free_port;
use crate::wait::wait_until;

/// It listens within milliseconds; a machine that is busy with other tests is slow.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running `dixmgr engine` with a data directory of its own. Dropping it kills it.
#[derive(Debug)]
pub struct EngineServer {
    directory: TempDir,
    wrapper: Vec<String>,
    binary: PathBuf,
    arguments: Vec<String>,
    address: SocketAddr,
    server: Option<Guarded>,
}

impl EngineServer {
    /// Starts `binary engine` with these arguments more, and waits until it listens on a loopback port.
    ///
    /// # Panics
    /// When it does not; the message holds its log.
    #[must_use]
    pub fn start(binary: &str, arguments: &[&str]) -> Self {
        Self::start_with(binary, arguments, |_| {})
    }

    /// The same, on a data directory that `prepare` puts something into.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_with(binary: &str, arguments: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        Self::launched(&[], binary, arguments, prepare)
    }

    /// [`Self::start`], with a program and its arguments before the binary, such as `env` with variables.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_under(wrapper: &[String], binary: &str, arguments: &[&str]) -> Self {
        Self::launched(wrapper, binary, arguments, |_| {})
    }

    fn launched(wrapper: &[String], binary: &str, arguments: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::Builder::new().prefix("dixmgr-engine-").tempdir().expect("a temporary directory");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (wrapper, arguments) = (wrapper.to_vec(), arguments.iter().map(ToString::to_string).collect());
        prepare(directory.path());
        let mut this = Self { directory, wrapper, binary: binary.into(), arguments, address, server: None };
        this.launch();
        this
    }

    /// `host:port` of its gRPC service.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Kills it with SIGKILL and starts it again on the same port and data.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn kill_and_restart(&mut self) {
        self.server = None;
        self.launch();
    }

    /// Its process.
    ///
    /// # Panics
    /// When it was not started, which [`Self::start`] excludes.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.as_ref().expect("it runs").pid()
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("engine.log")
    }

    fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_path()).expect("open the log");
        let mut command = self.wrapper.clone();
        command.extend([self.binary.display().to_string(), "engine".to_owned()]);
        command.extend(["-listen".to_owned(), self.address()]);
        command.extend(["-data-dir".to_owned(), self.directory.path().display().to_string()]);
        command.extend(self.arguments.iter().cloned());
        self.server = Some(Guarded::spawn(&command, log).expect("start dixmgr engine"));
        let up = wait_until(START_TIMEOUT, || TcpStream::connect(self.address).is_ok());
        assert!(up, "dixmgr engine does not listen; its log:\n{}", self.log());
    }
}
