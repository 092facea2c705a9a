//! A real Chromium, driven over `WebDriver`.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::component::{Component, require};
use crate::guard::Guarded;
use crate::http;
use crate::port::free_port;
use crate::wait::wait_until;

/// Longest time until the driver answers; a machine that is busy with other tests is slow.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A headless browser with one window and a profile of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    port: u16,
    session: String,
    _driver: Guarded,
    _directory: TempDir,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// Width in CSS pixels.
    pub width: u32,
    /// Height of the window.
    pub height: u32,
    /// Whether the reader prefers dark colours.
    pub dark: bool,
}

impl Browser {
    /// Starts one. `None` when this machine lacks the component (see [`require`]): the test then returns.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start() -> Option<Self> {
        if !require(Component::Chromium) {
            return None;
        }
        let directory = TempDir::new().expect("a temporary directory");
        let port = free_port();
        let log = File::create(directory.path().join("log")).expect("a log");
        let driver = Guarded::spawn(&["chromedriver".to_owned(), format!("--port={port}")], log).expect("chromedriver");
        let up = wait_until(START_TIMEOUT, || {
            http::request(port, "GET", "/status", "").is_ok_and(|(status, _)| status == 200)
        });
        assert!(up, "chromedriver does not answer");
        let profile = format!("--user-data-dir={}", directory.path().join("profile").display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &profile,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let mut browser = Self { port, session: String::new(), _driver: driver, _directory: directory };
        let session = browser.call("POST", "", &wanted);
        session["sessionId"].as_str().expect("a session").clone_into(&mut browser.session);
        Some(browser)
    }

    /// Opens a page and waits until it is loaded.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub fn open(&self, port: u16, path: &str) {
        self.call("POST", "/url", &json!({ "url": format!("http://{}:{port}{path}", Ipv4Addr::LOCALHOST) }));
    }

    /// What a function's body returns in the page.
    ///
    /// # Panics
    /// When it throws.
    #[must_use]
    pub fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Looks at pages like this from now on.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub fn looks(&self, looks: Looks) {
        let Looks { width, height, dark } = looks;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    /// Loads pages without running their scripts from now on.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    }

    /// Keeps a picture of the page, all of it, as `<name>.png` among the screenshots of this test run, and answers where that is.
    ///
    /// # Panics
    /// When it cannot be taken or written.
    pub fn screenshot(&self, name: &str) -> PathBuf {
        let taken = self.devtools("Page.captureScreenshot", &json!({ "format": "png", "captureBeyondViewport": true }));
        let directory = screenshots();
        std::fs::create_dir_all(&directory).expect("a directory for screenshots");
        let path = directory.join(format!("{name}.png"));
        let picture = STANDARD.decode(taken["data"].as_str().expect("a picture")).expect("base64");
        std::fs::write(&path, picture).expect("write a screenshot");
        path
    }

    /// What the browser's console says of faults: scripts that threw, resources that the page's own policy refused.
    ///
    /// # Panics
    /// When the browser does not tell.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let log = self.call("POST", "/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().cloned().unwrap_or_default();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.call("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let session = if self.session.is_empty() { String::new() } else { format!("/{}", self.session) };
        let path = format!("/session{session}{path}");
        let (status, answer) =
            http::request(self.port, method, &path, &body.to_string()).expect("chromedriver answers");
        let answer: Value = serde_json::from_str(&answer).expect("chromedriver answers with JSON");
        assert_eq!(status, 200, "{path}: {answer}");
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser with the session; both end with the driver's guard in any case.
        let _ = http::request(self.port, "DELETE", &format!("/session/{}", self.session), "");
    }
}

/// Where screenshots of a test run are kept: beside the binaries that it built.
fn screenshots() -> PathBuf {
    let own = std::env::current_exe().expect("a path of this test");
    let target = own.ancestors().find(|path| path.ends_with("debug") || path.ends_with("release"));
    target.and_then(Path::parent).unwrap_or_else(|| Path::new(".")).join("screenshots")
}
