//! A real PostgreSQL server that speaks TLS and asks for a password.

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::component::{Component, postgres_programs, require};
use crate::guard::Guarded;
use crate::port::free_port;
use crate::wait::wait_until;

/// A machine that is busy with other tests takes its time.
const TIMEOUT: Duration = Duration::from_mins(1);
/// PostgreSQL does not run as root: `nobody` does it instead.
const NOBODY: u32 = 65_534;
/// Who owns everything in it, and with what password.
const USER: &str = "dixmgr";
/// Its password.
const PASSWORD: &str = "s3cret";

/// A server on a free port, its data in a directory of its own. Dropping it ends it.
#[derive(Debug)]
pub struct PostgresServer {
    directory: TempDir,
    port: u16,
    server: Option<Guarded>,
    databases: AtomicUsize,
}

impl PostgresServer {
    /// Starts one. `None` when this machine lacks the component (see [`require`]): the test then returns.
    ///
    /// # Panics
    /// When it does not come up; the message holds its log.
    #[must_use]
    pub fn start() -> Option<Self> {
        if !require(Component::Postgres) {
            return None;
        }
        let directory = tempfile::Builder::new().prefix("dixmgr-postgres-").tempdir().expect("a temporary directory");
        let this = Self { directory, port: free_port(), server: None, databases: AtomicUsize::new(0) };
        this.make();
        let mut this = this;
        this.start_again();
        Some(this)
    }

    /// A database of its own, as a connection string: encrypted, with the password.
    ///
    /// # Panics
    /// When the server does not make one.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("history{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        let (port, authority) = (self.port, self.path("certificate"));
        let authority = authority.display();
        format!("postgres://{USER}:{PASSWORD}@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={authority}")
    }

    /// What a statement answers in the database of a connection string, as `psql` prints it without any decoration.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let name = database.rsplit_once('?').map_or(database, |(place, _)| place).rsplit('/').next();
        self.psql(name.expect("a name"), statement)
    }

    /// Ends it as an administrator does: who is connected is thrown out.
    ///
    /// # Panics
    /// When it does not run, or does not end.
    pub fn stop(&mut self) {
        assert!(self.server.is_some(), "PostgreSQL runs");
        assert!(self.end(Signal::INT), "PostgreSQL does not end; its log:\n{}", self.log());
    }

    /// Tells it to end, if it runs. Whether it did.
    fn end(&mut self, signal: Signal) -> bool {
        let Some(server) = self.server.take() else { return true };
        let told = Pid::from_raw(server.pid().cast_signed()).is_some_and(|pid| kill_process(pid, signal).is_ok());
        let note = self.path("data/postmaster.pid");
        told && wait_until(TIMEOUT, || !note.exists())
    }

    /// Starts it on the same port, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start_again(&mut self) {
        let path = |name: &str| self.path(name).display().to_string();
        let settings = [
            format!("port={}", self.port),
            format!("unix_socket_directories={}", self.directory.path().display()),
            format!("ssl_cert_file={}", path("certificate")),
            format!("ssl_key_file={}", path("key")),
            "listen_addresses=localhost".to_owned(),
            "ssl=on".to_owned(),
            "fsync=off".to_owned(),
            "shared_buffers=16MB".to_owned(),
        ];
        let mut arguments = unprivileged(&postgres_programs().join("postgres"));
        arguments.extend(["-D".to_owned(), path("data")]);
        arguments.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
        let log = File::options().create(true).append(true).open(self.path("log")).expect("open the log");
        self.server = Some(Guarded::spawn(&arguments, log).expect("start PostgreSQL"));
        let answers = || TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.try_psql("postgres", "").is_ok();
        assert!(wait_until(TIMEOUT, answers), "PostgreSQL does not answer; its log:\n{}", self.log());
    }

    /// Its directory, with the data and a certificate.
    fn make(&self) {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = certificate.self_signed(&key).expect("a certificate");
        for (name, text) in
            [("certificate", certificate.pem()), ("key", key.serialize_pem()), ("password", PASSWORD.to_owned())]
        {
            fs::write(self.path(name), text).expect("write");
        }
        fs::set_permissions(self.path("key"), fs::Permissions::from_mode(0o600)).expect("set a mode");
        // Others than its owner read the certificate.
        fs::set_permissions(self.directory.path(), fs::Permissions::from_mode(0o755)).expect("set a mode");
        if rustix::process::geteuid().is_root() {
            for path in [self.directory.path().to_owned(), self.path("key"), self.path("password")] {
                chown(path, Some(NOBODY), Some(NOBODY)).expect("give a file away");
            }
        }
        let initdb = unprivileged(&postgres_programs().join("initdb"));
        let mut command = Command::new(&initdb[0]);
        command.args(&initdb[1..]).arg("-D").arg(self.path("data")).arg("--pwfile").arg(self.path("password"));
        command.args(["-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
        command.args(["--auth-local=trust", "--auth-host=scram-sha-256"]);
        let output = command.output().expect("run initdb");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn psql(&self, database: &str, statement: &str) -> String {
        self.try_psql(database, statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    fn try_psql(&self, database: &str, statement: &str) -> Result<String, String> {
        let mut command = Command::new(postgres_programs().join("psql"));
        command.arg("-h").arg(self.directory.path()).args(["-p", &self.port.to_string(), "-U", USER, "-d", database]);
        let output = command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement]).output();
        let output = output.map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // One that is killed may leave processes behind; one that ends at once takes them with it.
        self.end(Signal::QUIT);
    }
}

/// A program as somebody who is not root.
fn unprivileged(program: &Path) -> Vec<String> {
    let program = program.display().to_string();
    if !rustix::process::geteuid().is_root() {
        return vec![program];
    }
    let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
    let mut command = vec!["setpriv".to_owned()];
    command.extend(ids.into_iter().chain(["--clear-groups".to_owned(), "--".to_owned(), program]));
    command
}
