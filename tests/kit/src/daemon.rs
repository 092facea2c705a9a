//! dixmgr itself: the binary, started inside a namespace, looked at through what everyone can see.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::http;
use crate::metrics::Metrics;
use crate::namespace::{Namespace, child_of};
use crate::port::free_port;
use crate::temporal::TemporalServer;
use crate::wait::{eventually, wait_until};

/// Longest time until `/readyz` says yes; a machine that is busy with other tests is slow.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

/// A dixmgr with its configuration and data directory, running or not. It ends with its namespace.
#[derive(Debug)]
pub struct Daemon {
    enter: Vec<OsString>,
    directory: PathBuf,
    port: u16,
    api_port: u16,
    arguments: Vec<String>,
    running: Option<Running>,
    temporal: Option<TemporalServer>,
}

/// `nsenter` forks when it enters a process namespace: it is our child, and dixmgr is its.
#[derive(Debug)]
struct Running {
    nsenter: Child,
    dixmgr: Pid,
}

impl Daemon {
    /// One that will run `binary -exec` (or `-watch`, see `mode`) with this configuration. Nothing is started yet.
    #[must_use]
    pub fn new(namespace: &impl Namespace, binary: &str, mode: &str, config: &str) -> Self {
        let inside = namespace.command_inside(binary.as_ref());
        let enter = std::iter::once(inside.get_program()).chain(inside.get_args()).map(ToOwned::to_owned).collect();
        let directory = namespace.directory().to_owned();
        let (port, api_port) = (free_port(), free_port());
        let config = namespace.write_file(&format!("dixmgr-{port}.toml"), config);
        let path = |path: &Path| path.display().to_string();
        let arguments = vec![
            mode.to_owned(),
            "-conf".to_owned(),
            path(&config),
            "-data-dir".to_owned(),
            path(&directory.join(format!("data-{port}"))),
            "-metrics-port".to_owned(),
            port.to_string(),
            "-config-port".to_owned(),
            api_port.to_string(),
            "-log-format".to_owned(),
            "json".to_owned(),
        ];
        Self { enter, directory, port, api_port, arguments, running: None, temporal: None }
    }

    /// With these arguments more.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Run by these words: a wrapper that becomes the program which follows it.
    #[must_use]
    pub fn under(mut self, wrapper: &[String]) -> Self {
        let binary = self.enter.len() - 1;
        self.enter.splice(binary..binary, wrapper.iter().map(OsString::from));
        self
    }

    /// On this Temporal server instead of the embedded engine. The server ends with the value.
    #[must_use]
    pub fn on(mut self, temporal: TemporalServer) -> Self {
        self.arguments.extend(["-temporal-host".to_owned(), temporal.address()]);
        self.temporal = Some(temporal);
        self
    }

    /// The Temporal server that it runs on.
    ///
    /// # Panics
    /// When it runs on the embedded engine.
    pub fn temporal(&mut self) -> &mut TemporalServer {
        self.temporal.as_mut().expect("dixmgr runs on a Temporal server")
    }

    /// Started, and ready.
    ///
    /// # Panics
    /// When it ends, or is not ready in time; the message holds its log.
    #[must_use]
    pub fn started(mut self) -> Self {
        self.start();
        self.await_ready();
        self
    }

    /// The command line as it would be run, for tests that want another outcome than a running daemon.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.enter[0]);
        command.args(&self.enter[1..]).args(&self.arguments).stdin(Stdio::null());
        command
    }

    /// Starts it and returns as soon as the process is there.
    ///
    /// # Panics
    /// When it runs already, or when it cannot be started.
    pub fn start(&mut self) {
        assert!(self.running.is_none(), "dixmgr runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).expect("open the log");
        let errors = log.try_clone().expect("clone a file handle");
        let mut nsenter = self.command().stdout(log).stderr(errors).spawn().expect("start nsenter");
        let dixmgr = eventually("nsenter forks", Duration::from_secs(10), || {
            if let Ok(Some(status)) = nsenter.try_wait() {
                panic!("dixmgr ended at once, {status}; its log:\n{}", self.log());
            }
            child_of(nsenter.id())
        });
        let dixmgr = i32::try_from(dixmgr).ok().and_then(Pid::from_raw).expect("a pid");
        self.running = Some(Running { nsenter, dixmgr });
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Panics
    /// When it ends, or is not ready in time; the message holds its log.
    pub fn await_ready(&mut self) {
        let ready = wait_until(READY_TIMEOUT, || {
            assert!(self.is_running(), "dixmgr ended instead of getting ready; its log:\n{}", self.log());
            self.get("/readyz").is_some_and(|(status, _)| status == 200)
        });
        assert!(ready, "dixmgr was not ready within {READY_TIMEOUT:?}; its log:\n{}", self.log());
    }

    /// Whether the process is there.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| matches!(running.nsenter.try_wait(), Ok(None)))
    }

    /// Process id, as numbered outside.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.dixmgr.as_raw_nonzero().get().unsigned_abs())
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("dixmgr runs");
        kill_process(running.dixmgr, signal).expect("the process is there");
    }

    /// `kill -9`, and its end awaited.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.await_exit(Duration::from_secs(10));
    }

    /// SIGTERM, and its end awaited: how it ended, and how long that took.
    ///
    /// # Panics
    /// When it does not run, or has not ended after 30 s.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        self.signal(Signal::TERM);
        let status = self.await_exit(Duration::from_secs(30));
        (status, begun.elapsed())
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not run, or has not ended in time.
    pub fn await_exit(&mut self, timeout: Duration) -> ExitStatus {
        let mut running = self.running.take().expect("dixmgr runs");
        let mut status = None;
        let ended = wait_until(timeout, || {
            status = running.nsenter.try_wait().expect("wait for a child");
            status.is_some()
        });
        assert!(ended, "dixmgr did not end within {timeout:?}; its log:\n{}", self.log());
        status.expect("it has ended")
    }

    /// Status and body of a GET from its HTTP port; `None` when it does not answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        http::get(self.port, path).ok()
    }

    /// Its metrics, now.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let (status, page) = self.get("/metrics").unwrap_or_else(|| panic!("no /metrics; the log:\n{}", self.log()));
        assert_eq!(status, 200, "{page}");
        Metrics::parse(&page)
    }

    /// Port of its HTTP surfaces.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Port of its API and status page.
    #[must_use]
    pub fn api_port(&self) -> u16 {
        self.api_port
    }

    /// Status and body of a GET from its API; `None` when it does not answer.
    #[must_use]
    pub fn api(&self, path: &str) -> Option<(u16, String)> {
        http::get(self.api_port, path).ok()
    }

    /// Its configuration file.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.directory.join(format!("dixmgr-{}.toml", self.port))
    }

    /// Its data directory.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.directory.join(format!("data-{}", self.port))
    }

    /// Everything that it has logged over all its lives, one JSON object a line.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Its log's lines that are JSON objects.
    #[must_use]
    pub fn log_entries(&self) -> Vec<serde_json::Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join(format!("dixmgr-{}.log", self.port))
    }
}
