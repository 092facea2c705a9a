//! Process namespaces: whatever is started inside ends with the value, orphans and daemons included.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::component::{Component, require};
use crate::guard::Guarded;
use crate::wait::wait_until;

/// Somewhere to run processes that cannot outlive the test.
pub trait Namespace {
    /// Process 1 of the namespace, as numbered outside.
    fn init_pid(&self) -> u32;

    /// A directory with the same path inside and outside, for scripts, data and the counts that services leave. Ends
    /// with the namespace.
    fn directory(&self) -> &Path;

    /// A command that runs inside (`nsenter`): it sees the processes of the namespace and no others.
    fn command_inside(&self, program: &OsStr) -> Command;

    /// Kills a process, as numbered inside, with SIGKILL.
    fn kill_process(&self, pid: u32) {
        let killed = self.command_inside("kill".as_ref()).args(["-KILL", &pid.to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()), "process {pid} is there to be killed");
    }

    /// Writes a file into the directory and answers its path.
    fn write_file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory().join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        path
    }

    /// How often a service was started: the kit's services add a line to `starts/<name>` each time.
    fn starts(&self, name: &str) -> usize {
        self.start_times(name).len()
    }

    /// When a service was started each time, as time since the Unix epoch.
    fn start_times(&self, name: &str) -> Vec<Duration> {
        let text = fs::read_to_string(self.directory().join("starts").join(name)).unwrap_or_default();
        let seconds = |line: &str| line.parse().unwrap_or_else(|_| panic!("a count holds {line:?}"));
        text.lines().map(|line| Duration::from_secs_f64(seconds(line))).collect()
    }
}

/// A bare process namespace, for dixmgr's direct mode. Needs root, or the right to make user namespaces.
#[derive(Debug)]
pub struct ProcessNamespace {
    directory: TempDir,
    init: u32,
    _unshare: Guarded,
}

impl ProcessNamespace {
    /// Makes one. `None` when this machine cannot (see [`require`]): the test then returns.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start() -> Option<Self> {
        require(Component::ProcessNamespaces).then(Self::make)
    }

    fn make() -> Self {
        let directory = tempfile::Builder::new().prefix("dixmgr-direct-").tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("starts")).expect("create the directory of counts");
        let log = fs::File::create(directory.path().join("init.log")).expect("create a log file");
        let mut arguments = unshare_arguments();
        // A shell that waits for its own children also reaps those it inherits, as process 1 must.
        arguments.extend(["sh", "-c", "while :; do sleep 0.05; done"]);
        let unshare = Guarded::spawn(&arguments, log).expect("start unshare");
        let mut init = None;
        let up = wait_until(Duration::from_secs(10), || {
            init = child_of(unshare.pid());
            // Its own /proc is there once process 1 has become the shell.
            init.is_some_and(|init| {
                fs::read(format!("/proc/{init}/cmdline")).is_ok_and(|line| line.starts_with(b"sh\0"))
            })
        });
        assert!(up, "the process namespace did not come up");
        Self { directory, init: init.unwrap_or_default(), _unshare: unshare }
    }
}

impl Namespace for ProcessNamespace {
    fn init_pid(&self) -> u32 {
        self.init
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn command_inside(&self, program: &OsStr) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init.to_string(), "-m", "-p"]);
        if !rustix::process::geteuid().is_root() {
            command.args(["-U", "--preserve-credentials"]);
        }
        command.arg("--").arg(program);
        command
    }
}

/// The program and options that make a process namespace, as root or by way of a user namespace.
pub(crate) fn unshare_arguments() -> Vec<&'static str> {
    let mut arguments = vec!["unshare"];
    if !rustix::process::geteuid().is_root() {
        arguments.extend(["--user", "--map-root-user"]);
    }
    arguments.extend(["--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]);
    arguments
}

/// The one child of a process, if it has forked yet.
pub(crate) fn child_of(parent: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
