//! Many real units, each a process that sleeps, and a dixmgr that keeps them.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use dixmgr_testkit::{Daemon, SystemdNamespace};

use crate::BINARY;

/// Units named in one `systemctl` call.
const BATCH: usize = 500;

/// Time between two looks at `/metrics`, which with many services is itself work: a page of megabytes for each.
const LOOK: Duration = Duration::from_millis(100);

/// Longest wait for all services to be watched.
const PATIENCE: Duration = Duration::from_mins(5);

/// Running units in a namespace.
pub(crate) struct Field<'a> {
    systemd: &'a SystemdNamespace,
    units: Vec<String>,
}

impl<'a> Field<'a> {
    /// Starts `count` units.
    pub(crate) fn start(systemd: &'a SystemdNamespace, count: usize) -> Self {
        let units = systemd.write_instances("bench", count);
        for batch in units.chunks(BATCH) {
            let names: Vec<&str> = batch.iter().map(String::as_str).collect();
            systemd.start_units(&names);
        }
        Self { systemd, units }
    }

    /// How many units there are.
    pub(crate) fn count(&self) -> usize {
        self.units.len()
    }

    /// Their names.
    pub(crate) fn units(&self) -> &[String] {
        &self.units
    }

    /// Where they run.
    pub(crate) fn systemd(&self) -> &'a SystemdNamespace {
        self.systemd
    }

    /// A fresh dixmgr that watches all of them every 30 s, and how long it took until it did.
    pub(crate) fn dixmgr_started(&self) -> (Daemon, Duration) {
        self.dixmgr_started_with("")
    }

    /// The same, with more in its configuration.
    pub(crate) fn dixmgr_started_with(&self, more: &str) -> (Daemon, Duration) {
        let mut config = format!("{more}[defaults]\ninterval = \"30s\"\nresources = true\n");
        for (index, unit) in self.units.iter().enumerate() {
            let _ = write!(config, "[[service]]\nname = \"bench-{index}\"\nunit = \"{unit}\"\n");
        }
        let mut daemon = Daemon::new(self.systemd, BINARY, "-exec", &config);
        let took = self.start_and_await(&mut daemon);
        (daemon, took)
    }

    /// Starts dixmgr and waits until every service has been seen healthy.
    pub(crate) fn start_and_await(&self, daemon: &mut Daemon) -> Duration {
        let begun = Instant::now();
        daemon.start();
        loop {
            if daemon.get("/metrics").is_some_and(|(_, page)| self.all_healthy(&page)) {
                return begun.elapsed();
            }
            assert!(daemon.is_running() && begun.elapsed() < PATIENCE, "not all are watched; log:\n{}", daemon.log());
            thread::sleep(LOOK);
        }
    }

    /// Whether the page has all of them healthy. It is searched and not parsed: whoever looks has the same cores.
    fn all_healthy(&self, page: &str) -> bool {
        let healthy = page.lines().filter(|line| line.starts_with("dixmgr_service_health{") && line.ends_with(" 1"));
        healthy.count() >= self.units.len()
    }
}
