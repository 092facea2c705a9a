//! A real SMTP server that keeps what it gets.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

use crate::component::{Component, python_program, require};
use crate::guard::Guarded;
use crate::port::free_port;
use crate::wait::wait_until;

/// The server, in Python.
const SCRIPT: &str = include_str!("../smtp.py");

/// Python takes its time on a machine that is busy with other tests.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Who may send by a server that asks for a login.
pub const USER: &str = "dixmgr";
/// Its password.
pub const PASSWORD: &str = "s3cret";

/// A running aiosmtpd on loopback. Dropping it kills it. It refuses mailboxes that begin with `reject` for good, and those that begin
/// with `later` for now.
#[derive(Debug)]
pub struct SmtpServer {
    directory: TempDir,
    port: u16,
    _server: Guarded,
}

impl SmtpServer {
    /// One that asks for nothing. `None` when aiosmtpd is missing here, which has been said.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::launch(false)
    }

    /// One that takes mail only after STARTTLS, with the certificate of [`Self::authority`], from [`USER`].
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_secure() -> Option<Self> {
        Self::launch(true)
    }

    fn launch(secure: bool) -> Option<Self> {
        if !require(Component::Smtp) {
            return None;
        }
        let directory = tempfile::Builder::new().prefix("dixmgr-smtp-").tempdir().expect("a temporary directory");
        let port = free_port();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::write(path("smtp.py"), SCRIPT).expect("write");
        let mut command = vec![python_program().display().to_string(), path("smtp.py"), path("mail"), port.to_string()];
        if secure {
            let key = KeyPair::generate().expect("a key");
            let certificate = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            let certificate = certificate.self_signed(&key).expect("a certificate");
            fs::write(path("certificate"), certificate.pem()).expect("write");
            fs::write(path("key"), key.serialize_pem()).expect("write");
            command.extend([path("certificate"), path("key"), USER.to_owned(), PASSWORD.to_owned()]);
        }
        let log = File::create(path("log")).expect("open the log");
        let server = Guarded::spawn(&command, log).expect("start aiosmtpd");
        let up = wait_until(START_TIMEOUT, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(up, "aiosmtpd does not listen; its log:\n{}", fs::read_to_string(path("log")).unwrap_or_default());
        Some(Self { directory, port, _server: server })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its certificate, of a secure one.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("certificate")
    }

    /// The messages that it took, in order: `from`, `to`, `tls`, `authenticated` and `data`.
    #[must_use]
    pub fn mail(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.path().join("mail")).unwrap_or_default();
        // A line that is not whole yet is read the next time.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
