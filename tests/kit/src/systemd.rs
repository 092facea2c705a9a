//! A real systemd, isolated from the host's, that boots in some 50 ms and ends with the value that stands for it.
//!
//! Every [`SystemdNamespace`] has its own process, mount, IPC, host-name and control-group namespaces, its own `/run`,
//! `/var/lib` and `/var/log`, D-Bus daemon and units; the network and the rest of the file system are the host's. Many run side by side. Needs root.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::component::{Component, require};
use crate::guard::Guarded;
use crate::namespace::{Namespace, child_of};
use crate::wait::wait_until;

/// systemd boots in some 50 ms; a machine that is busy with other tests may take far longer.
const BOOT_TIMEOUT: Duration = Duration::from_secs(30);

/// Units without which systemd and its bus do not come up, and nothing else.
const BASE_UNITS: [(&str, &str); 5] = [
    ("sysinit.target", "[Unit]\nDefaultDependencies=no\n"),
    (
        "basic.target",
        "[Unit]\nDefaultDependencies=no\nRequires=sysinit.target dbus.socket\nAfter=sysinit.target dbus.socket\n",
    ),
    ("shutdown.target", "[Unit]\nDefaultDependencies=no\n"),
    ("dbus.socket", "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n"),
    (
        "dbus.service",
        "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\n\
         ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only\n",
    ),
];

/// The journal, as Debian starts it, without what a container has not (`/dev/log`, the kernel's messages, audit).
const JOURNALD_UNITS: [(&str, &str); 2] = [
    (
        "systemd-journald.socket",
        "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/systemd/journal/stdout\n\
         ListenDatagram=/run/systemd/journal/socket\nSocketMode=0666\nPassCredentials=yes\nPassSecurity=yes\n",
    ),
    (
        "systemd-journald.service",
        "[Unit]\nDefaultDependencies=no\nRequires=systemd-journald.socket\nAfter=systemd-journald.socket\n[Service]\n\
         Type=notify\nExecStart=/lib/systemd/systemd-journald\nStandardOutput=null\nFileDescriptorStoreMax=4224\n",
    ),
];

/// A running systemd in namespaces of its own. Dropping it kills everything inside.
#[derive(Debug)]
pub struct SystemdNamespace {
    directory: TempDir,
    init: u32,
    unshare: Guarded,
}

impl SystemdNamespace {
    /// Boots one and waits until it and its bus answer.
    ///
    /// `None` when this machine lacks a component (see [`require`]): the test then returns.
    ///
    /// # Panics
    /// When systemd does not come up; the message holds its log.
    #[must_use]
    pub fn start() -> Option<Self> {
        require(Component::Systemd).then(|| Self::boot("native"))
    }

    /// The same with the unified control groups (version 2), whatever this machine has mounted.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_unified() -> Option<Self> {
        require(Component::Systemd).then(|| Self::boot("unified"))
    }

    fn boot(hierarchy: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("dixmgr-systemd-").tempdir().expect("a temporary directory");
        let path = directory.path();
        for directory in ["units", "starts"] {
            fs::create_dir(path.join(directory)).expect("create a directory");
        }
        for (name, text) in BASE_UNITS {
            fs::write(path.join("units").join(name), text).expect("write a base unit");
        }
        fs::write(path.join("guardian.sh"), include_str!("systemd/guardian.sh")).expect("write guardian.sh");
        fs::write(path.join("init.sh"), include_str!("systemd/init.sh")).expect("write init.sh");
        let name = path.file_name().expect("a temporary directory has a name");
        let guardian = Command::new("sh")
            .arg(path.join("guardian.sh"))
            .args([path.as_os_str(), name, hierarchy.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start guardian.sh");
        let unshare = Guarded::adopt(guardian).expect("guardian.sh prints a pid");
        let mut namespace = Self { directory, init: 0, unshare };
        namespace.await_boot();
        namespace
    }

    fn await_boot(&mut self) {
        let up = wait_until(BOOT_TIMEOUT, || match child_of(self.unshare.pid()) {
            None => false,
            Some(init) => {
                self.init = init;
                self.root().join("run/systemd/private").exists()
                    && self.bus_socket().exists()
                    && self.runs("systemctl", &["is-active", "basic.target"])
            }
        });
        assert!(up, "systemd did not come up within {BOOT_TIMEOUT:?}; its log:\n{}", self.log());
        self.await_bus();
    }

    /// The bus answers before systemd itself is on it, for a few milliseconds.
    fn await_bus(&self) {
        self.systemctl(&["start", "dbus.service"]);
        let up = wait_until(BOOT_TIMEOUT, || self.runs("busctl", &["status", "org.freedesktop.systemd1"]));
        assert!(up, "systemd was not on the bus within {BOOT_TIMEOUT:?}; its log:\n{}", self.log());
    }

    fn runs(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = self.command_inside(program.as_ref());
        command.args(arguments).stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
    }

    /// The namespace's root directory, as seen from outside.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.init))
    }

    /// D-Bus address of the namespace's system bus, usable from outside (`DBUS_SYSTEM_BUS_ADDRESS`).
    /// Process ids that it reports are the namespace's own.
    #[must_use]
    pub fn bus_address(&self) -> String {
        format!("unix:path={}", self.bus_socket().display())
    }

    fn bus_socket(&self) -> PathBuf {
        self.root().join("run/dbus/system_bus_socket")
    }

    /// Writes a unit file; [`Self::daemon_reload`] makes it known.
    pub fn write_unit(&self, name: &str, text: &str) {
        let path = self.directory().join("units").join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
    }

    /// Writes a drop-in for a unit; [`Self::daemon_reload`] makes it known.
    pub fn write_drop_in(&self, unit: &str, text: &str) {
        let directory = self.directory().join("units").join(format!("{unit}.d"));
        fs::create_dir_all(&directory).unwrap_or_else(|error| panic!("create {}: {error}", directory.display()));
        self.write_unit(&format!("{unit}.d/test.conf"), text);
    }

    /// Starts systemd-journald and waits until it takes messages. What units print from then on is in [`Self::journal`].
    pub fn start_journald(&self) {
        for (name, text) in JOURNALD_UNITS {
            self.write_unit(name, text);
        }
        self.daemon_reload();
        self.systemctl(&["start", "systemd-journald.socket", "systemd-journald.service"]);
    }

    /// Everything that a unit has logged, a JSON object for each entry.
    ///
    /// # Panics
    /// When journalctl fails.
    #[must_use]
    pub fn journal(&self, unit: &str) -> Vec<serde_json::Value> {
        let mut command = self.command_inside("journalctl".as_ref());
        let output = command.args(["--unit", unit, "--output", "json", "--no-pager"]).output().expect("run journalctl");
        assert!(output.status.success(), "journalctl: {}", String::from_utf8_lossy(&output.stderr));
        let entries = String::from_utf8_lossy(&output.stdout).into_owned();
        entries.lines().map(|line| serde_json::from_str(line).expect("journalctl prints JSON")).collect()
    }

    /// Makes systemd read its unit files again.
    pub fn daemon_reload(&self) {
        self.systemctl(&["daemon-reload"]);
    }

    /// Masks a unit (`systemctl mask --runtime`), whether or not it has a file.
    pub fn mask(&self, unit: &str) {
        let link = self.root().join("run/systemd/system").join(unit);
        std::os::unix::fs::symlink("/dev/null", &link).unwrap_or_else(|error| panic!("{}: {error}", link.display()));
        self.daemon_reload();
    }

    /// Undoes [`Self::mask`].
    pub fn unmask(&self, unit: &str) {
        let link = self.root().join("run/systemd/system").join(unit);
        fs::remove_file(&link).unwrap_or_else(|error| panic!("{}: {error}", link.display()));
        self.daemon_reload();
    }

    /// Runs `systemctl` inside and answers what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn systemctl(&self, arguments: &[&str]) -> String {
        let output = self.try_systemctl(arguments).expect("nsenter runs");
        assert!(
            output.status.success(),
            "systemctl {arguments:?}: {}; systemd's log:\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Runs `systemctl` inside, whatever comes of it; `None` when it could not be run.
    #[must_use]
    pub fn try_systemctl(&self, arguments: &[&str]) -> Option<Output> {
        self.command_inside("systemctl".as_ref()).args(arguments).stdin(Stdio::null()).output().ok()
    }

    /// One property of a unit, such as `ActiveState` or `InvocationID`.
    #[must_use]
    pub fn property(&self, unit: &str, property: &str) -> String {
        self.systemctl(&["show", "--value", "--property", property, unit])
    }

    /// Main process of a unit as numbered inside, 0 when there is none.
    #[must_use]
    pub fn main_pid(&self, unit: &str) -> u32 {
        self.property(unit, "MainPID").parse().expect("MainPID is a number")
    }

    /// Kills every process of a unit with SIGKILL, as a crash would.
    pub fn kill_unit(&self, unit: &str) {
        self.systemctl(&["kill", "--signal=KILL", unit]);
    }

    /// Kills the D-Bus daemon. Its socket unit starts a new one at the next connection; everyone has lost the old one.
    pub fn kill_dbus_daemon(&self) {
        self.kill_unit("dbus.service");
    }

    /// Makes the bus unreachable until [`Self::restore_dbus`]: daemon and socket are stopped.
    pub fn stop_dbus(&self) {
        self.systemctl(&["stop", "dbus.socket", "dbus.service"]);
    }

    /// Brings the bus back after [`Self::stop_dbus`].
    pub fn restore_dbus(&self) {
        self.systemctl(&["start", "basic.target"]); // which fell with the socket that it requires
        self.await_bus();
    }

    /// What systemd, and what came before it, has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.directory().join(name)).unwrap_or_default();
        read("systemd.log") + &read("console.log")
    }
}

impl Namespace for SystemdNamespace {
    fn init_pid(&self) -> u32 {
        self.init
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn command_inside(&self, program: &OsStr) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init.to_string(), "-m", "-p", "-i", "-u", "-C", "--"]).arg(program);
        command
    }
}
