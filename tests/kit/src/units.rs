//! Units for tests: services that count their starts, since effects are what is asserted.

use std::fmt::Write as _;
use std::fs;

use crate::namespace::Namespace;
use crate::systemd::SystemdNamespace;

/// A `Type=simple` service that adds a line to `starts/<unit>` each time it starts and then sleeps for ever.
///
/// The line is written by `ExecStartPre`: the count is right before systemd calls the unit active, however soon it is killed.
#[derive(Debug, Clone)]
pub struct CountedUnit {
    name: String,
    unit: String,
    service: String,
    exec: String,
}

impl CountedUnit {
    /// One with this full name, such as `web.service` or the template `web@.service`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), unit: String::new(), service: String::new(), exec: "sleep infinity".to_owned() }
    }

    /// Adds a line to the `[Unit]` section.
    #[must_use]
    pub fn unit_line(mut self, line: &str) -> Self {
        let _ = writeln!(self.unit, "{line}");
        self
    }

    /// Adds a line to the `[Service]` section, such as `Type=oneshot`.
    #[must_use]
    pub fn service_line(mut self, line: &str) -> Self {
        let _ = writeln!(self.service, "{line}");
        self
    }

    /// Runs this command line instead of `sleep infinity`.
    #[must_use]
    pub fn exec(mut self, command: &str) -> Self {
        command.clone_into(&mut self.exec);
        self
    }

    fn text(&self, namespace: &SystemdNamespace) -> String {
        let starts = namespace.directory().join("starts");
        format!(
            "[Unit]\nDefaultDependencies=no\n{}\
             [Service]\nExecStartPre=/bin/sh -c 'date +%%s.%%N >> {}/%n'\nExecStart={}\n{}",
            self.unit,
            starts.display(),
            self.exec,
            self.service
        )
    }
}

/// An argument list, as configuration files have it, of a process that adds a line to `starts/<name>` and then becomes
/// `sleep infinity`: a [`CountedUnit`] for direct mode.
#[must_use]
pub fn counted_command(namespace: &impl Namespace, name: &str) -> String {
    let directory = namespace.directory().display().to_string();
    format!(
        r#"["/bin/sh", "-c", "echo $$ > {directory}/pid-{name}; date +%s.%N >> {directory}/starts/{name}; exec sleep infinity"]"#
    )
}

/// Process of a [`counted_command`] as numbered inside, once it has counted itself and as long as it lives.
#[must_use]
pub fn counted_process(namespace: &impl Namespace, name: &str) -> Option<u32> {
    let written = fs::read_to_string(namespace.directory().join(format!("pid-{name}"))).ok()?;
    let pid: u32 = written.trim().parse().ok()?;
    let stat = fs::read_to_string(format!("/proc/{}/root/proc/{pid}/stat", namespace.init_pid())).ok()?;
    // Still the shell: not counted yet. A zombie: dead.
    let (_, after) = stat.split_once(" (sleep) ")?;
    (!after.starts_with('Z')).then_some(pid)
}

impl SystemdNamespace {
    /// Writes units and makes systemd read them.
    pub fn install(&self, units: &[CountedUnit]) {
        for unit in units {
            self.write_unit(&unit.name, &unit.text(self));
        }
        self.daemon_reload();
    }

    /// Starts units and waits for their jobs.
    pub fn start_units(&self, units: &[&str]) {
        self.systemctl(&[&["start"], units].concat());
    }

    /// Writes the template `<prefix>@.service` of a service that only sleeps, and answers the names of `count` of its
    /// instances, `<prefix>@0.service` on. An instance needs no file of its own, so 10,000 of them cost nothing.
    #[must_use]
    pub fn write_instances(&self, prefix: &str, count: usize) -> Vec<String> {
        let text = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep infinity\n";
        self.write_unit(&format!("{prefix}@.service"), text);
        self.daemon_reload();
        (0..count).map(|instance| format!("{prefix}@{instance}.service")).collect()
    }
}
