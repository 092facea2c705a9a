//! Looking at services: the page that Prometheus gets, the status page in a browser, and how fast the history writes.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use dixmgr_activities::history::{Act, History, HistoryOptions, Place, Retention};
use dixmgr_activities::metrics::Metrics;
use dixmgr_testkit::usage::{Usage, quantile};
use dixmgr_testkit::{Browser, Daemon, HttpFixture, Reply, SystemdNamespace, eventually};

use crate::BINARY;

/// How often the page is scraped, and opened.
const SCRAPES: usize = 20;
const VISITS: usize = 10;

/// Share of a core that a daemon of many services uses at most once it has started.
const SETTLED: f64 = 0.2;

/// For how long the history is written.
const WRITE: Duration = Duration::from_secs(5);

/// Services that rows are of.
const NAMES: usize = 1_000;

/// Pause of a writer that finds the queue full.
const FULL: Duration = Duration::from_millis(1);

/// What scrapes of many services took.
pub(crate) struct Scraped {
    pub(crate) bytes: u64,
    pub(crate) slowest: Duration,
    /// The bound of the bucket that holds the most delayed check of the time in which pages were made.
    pub(crate) delay: Duration,
}

/// Scrapes a dixmgr that watches so many services, one of which is checked ten times a second meanwhile.
pub(crate) fn scrape(systemd: &SystemdNamespace, services: usize) -> Scraped {
    let checked = HttpFixture::always(Reply::status(200));
    let mut config = format!(
        "[defaults]\ninterval = \"30s\"\n[[service]]\nname = \"checked\"\nunit = \"checked.service\"\n\
         http = [{{ url = \"{}\", interval = \"100ms\" }}]\n",
        checked.url("/")
    );
    for index in 1..services {
        let _ = write!(config, "[[service]]\nname = \"service-{index}\"\nunit = \"service-{index}.service\"\n");
    }
    let daemon = Daemon::new(systemd, BINARY, "-watch", &config).started();
    settled(&daemon);
    let before = delays(&daemon);
    let (mut slowest, mut bytes) = (Duration::ZERO, 0);
    for _ in 0..SCRAPES {
        let asked = Instant::now();
        bytes = download(daemon.port(), "/metrics").expect("a page");
        slowest = slowest.max(asked.elapsed());
        thread::sleep(Duration::from_millis(250));
    }
    let after = delays(&daemon);
    let moved = before.iter().zip(&after).find(|((_, before), (_, after))| after.1 - before.1 >= after.0 - before.0);
    let bound = moved.map_or(f64::INFINITY, |((bound, _), _)| *bound);
    Scraped { bytes, slowest, delay: Duration::try_from_secs_f64(bound).unwrap_or(Duration::MAX) }
}

/// Waits until all services are known and what that takes is done.
fn settled(daemon: &Daemon) {
    let pid = daemon.pid().expect("dixmgr runs");
    eventually("the start's work is done", Duration::from_mins(5), || {
        let before = Usage::of(pid);
        thread::sleep(Duration::from_secs(2));
        (Usage::of(pid).share_since(&before) < SETTLED).then_some(())
    });
}

/// Bytes of an answer, which nobody looks at.
fn download(port: u16, path: &str) -> io::Result<u64> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    io::copy(&mut stream, &mut io::sink())
}

/// Buckets of the checks' delay: bound, and how many checks there were in all and within it.
fn delays(daemon: &Daemon) -> Vec<(f64, (f64, f64))> {
    const BOUNDS: [&str; 9] = ["0.001", "0.01", "0.1", "0.5", "1", "5", "10", "30", "60"];
    let metrics = daemon.metrics();
    let value = |name: &str, labels: &[(&str, &str)]| metrics.get(name, labels).unwrap_or_default();
    let all = value("dixmgr_watch_check_delay_seconds_count", &[]);
    let within = |bound: &str| value("dixmgr_watch_check_delay_seconds_bucket", &[("le", bound)]);
    BOUNDS.iter().map(|bound| (bound.parse().expect("a number"), (all, within(bound)))).collect()
}

/// The median time from asking for the status page until a browser takes input on it. `None` without a browser.
pub(crate) fn page(daemon: &Daemon) -> Option<Duration> {
    let browser = Browser::start()?;
    let times = (0..VISITS).map(|_| {
        browser.open(daemon.api_port(), "/");
        let took = browser.run("return performance.getEntriesByType('navigation')[0].domInteractive");
        Duration::from_secs_f64(took.as_f64().expect("milliseconds") / 1e3)
    });
    Some(quantile(&times.collect::<Vec<_>>(), 0.5))
}

/// Rows that the history writes in a second.
pub(crate) fn rows_written() -> f64 {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("health.db");
    let metrics = Metrics::new("bench").expect("metrics");
    let options = HistoryOptions { place: Place::File(path), retention: Retention::default() };
    let history = History::start(options, &metrics).expect("a history");
    let names: Vec<String> = (0..NAMES).map(|index| format!("service-{index}")).collect();
    let begun = Instant::now();
    for name in names.iter().cycle() {
        if begun.elapsed() > WRITE {
            break;
        }
        let act = || Act {
            verb: "restart",
            reason: "unit_failed".to_owned(),
            outcome: "done",
            detail: "the unit is active".to_owned(),
        };
        while !history.acted(name, act()) {
            thread::sleep(FULL);
        }
    }
    written(&metrics) / begun.elapsed().as_secs_f64()
}

/// What has been committed.
fn written(metrics: &Metrics) -> f64 {
    let page = metrics.encode().expect("a page");
    let line =
        page.lines().find(|line| line.starts_with("bench_history_rows_written_total")).expect("a counter of rows");
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}
