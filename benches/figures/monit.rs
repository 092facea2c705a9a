//! monit on the same processes at the same time: what watching costs without durability, D-Bus or I/O rates.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use dixmgr_testkit::{Namespace, eventually};

use crate::field::Field;
use dixmgr_testkit::usage::Usage;

/// A running monit; it ends with the namespace at the latest.
pub(crate) struct Monit {
    nsenter: Child,
    pid: u32,
}

impl Monit {
    /// Starts one that checks every unit's process each 30 s.
    pub(crate) fn start(field: &Field<'_>) -> Self {
        let directory = field.systemd().directory().join("monit");
        fs::create_dir_all(&directory).expect("create a directory");
        let at = |name: &str| directory.join(name).display().to_string();
        let mut control = format!(
            "set daemon 30\nset pidfile {}\nset idfile {}\nset statefile {}\nset log {}\n",
            at("monit.pid"),
            at("id"),
            at("state"),
            at("log")
        );
        for (index, pid) in main_pids(field).iter().enumerate() {
            fs::write(at(&format!("{index}.pid")), pid).expect("write a PID file");
            let _ = writeln!(
                control,
                "check process bench-{index} with pidfile {}\n  if cpu > 95% for 5 cycles then alert\n  if memory > 1 GB then alert",
                at(&format!("{index}.pid"))
            );
        }
        fs::write(at("monitrc"), control).expect("write monitrc");
        fs::set_permissions(at("monitrc"), fs::Permissions::from_mode(0o600)).expect("monit wants its file private");
        let mut command = field.systemd().command_inside("monit".as_ref());
        command.args(["-I", "-c", &at("monitrc")]).stdin(Stdio::null()).stdout(Stdio::null());
        let nsenter = command.spawn().expect("start monit");
        let parent = nsenter.id();
        let pid = eventually("monit is there", Duration::from_secs(10), || {
            let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
            children.split_whitespace().next()?.parse().ok()
        });
        Self { nsenter, pid }
    }

    /// What it has cost so far.
    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.pid)
    }
}

impl Drop for Monit {
    fn drop(&mut self) {
        // nsenter waits for monit, and so do we.
        let killed = std::process::Command::new("kill").args(["-KILL", &self.pid.to_string()]).status();
        if killed.is_ok_and(|status| status.success()) {
            let _ = self.nsenter.wait();
        }
    }
}

/// Main process of every unit, in order, as numbered inside.
fn main_pids(field: &Field<'_>) -> Vec<String> {
    let mut pids = Vec::new();
    for batch in field.units().chunks(500) {
        let mut arguments = vec!["show", "--value", "--property", "MainPID"];
        arguments.extend(batch.iter().map(String::as_str));
        let text = field.systemd().systemctl(&arguments);
        pids.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    }
    assert_eq!(pids.len(), field.count(), "each unit has a main process");
    pids
}
