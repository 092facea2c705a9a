//! A real Prometheus that scrapes one target every second, and answers queries.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;
use url::form_urlencoded::byte_serialize;

use crate::component::{Component, require};
use crate::guard::Guarded;
use crate::http;
use crate::port::free_port;
use crate::wait::wait_until;

/// It answers within a second; a machine that is busy with other tests may take far longer.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Prometheus on a free port, its data in a directory of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Prometheus {
    directory: TempDir,
    port: u16,
    _server: Guarded,
}

impl Prometheus {
    /// Starts one that scrapes `127.0.0.1:port` as the job `dixmgr`, with these files of rules, and waits until it has
    /// done so once.
    ///
    /// `None` when this machine lacks the component (see [`require`]): the test then returns.
    ///
    /// # Panics
    /// When it does not come up; the message holds its log.
    #[must_use]
    pub fn scraping(target: u16, rules: &[&Path]) -> Option<Self> {
        if !require(Component::Prometheus) {
            return None;
        }
        let directory = tempfile::Builder::new().prefix("dixmgr-prometheus-").tempdir().expect("a temporary directory");
        let port = free_port();
        let rules = rules.iter().fold(String::new(), |list, path| list + &format!("  - {}\n", path.display()));
        let config = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\nrule_files:\n{rules}\
             scrape_configs:\n  - job_name: dixmgr\n    static_configs:\n      - targets: [\"127.0.0.1:{target}\"]\n"
        );
        let path = |name: &str| directory.path().join(name);
        fs::write(path("prometheus.yml"), config).expect("write a configuration");
        let log = fs::File::create(path("log")).expect("make a log");
        let arguments = [
            "prometheus".to_owned(),
            format!("--config.file={}", path("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", path("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let server = Guarded::spawn(&arguments, log).expect("start prometheus");
        let this = Self { directory, port, _server: server };
        let ready = || http::get(this.port, "/-/ready").is_ok_and(|(status, _)| status == 200);
        assert!(wait_until(START_TIMEOUT, ready), "Prometheus is not ready; its log:\n{}", this.log());
        // It begins to scrape some seconds after it is ready.
        let scraped = wait_until(START_TIMEOUT, || !this.query("up == 1").is_empty());
        assert!(scraped, "Prometheus has not scraped its target; its log:\n{}", this.log());
        Some(this)
    }

    /// The series that an expression gives now.
    ///
    /// # Panics
    /// When Prometheus refuses it.
    #[must_use]
    pub fn query(&self, expression: &str) -> Vec<Value> {
        self.results(&format!("/api/v1/query?query={}", encoded(expression)))
    }

    /// The series that an expression gives from `start` until now, second by second.
    ///
    /// # Panics
    /// When Prometheus refuses it.
    #[must_use]
    pub fn query_range(&self, expression: &str, start: SystemTime) -> Vec<Value> {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let (start, end) = (seconds(start), seconds(SystemTime::now()));
        self.results(&format!("/api/v1/query_range?query={}&start={start}&end={end}&step=1", encoded(expression)))
    }

    /// Values of a label over all series that match.
    ///
    /// # Panics
    /// When Prometheus refuses the selector.
    #[must_use]
    pub fn label_values(&self, label: &str, selector: &str) -> Vec<String> {
        let data = self.data(&format!("/api/v1/label/{label}/values?match[]={}", encoded(selector)));
        serde_json::from_value(data).expect("a list of texts")
    }

    /// What it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn results(&self, path: &str) -> Vec<Value> {
        match self.data(path)["result"].take() {
            Value::Array(results) => results,
            other => panic!("Prometheus answered {other} to {path}"),
        }
    }

    fn data(&self, path: &str) -> Value {
        let (status, body) = http::get(self.port, path).expect("Prometheus answers");
        let mut answer: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}"));
        assert_eq!(status, 200, "{path}: {}", answer["error"]);
        answer["data"].take()
    }
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
