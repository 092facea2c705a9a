//! What the tests need from the machine, and what happens when a part of it is missing: under CI the test fails, elsewhere
//! it says so loudly and returns. None is skipped in silence.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt};

use crate::namespace::unshare_arguments;

/// Where the package of a test is. As it is while the test runs: a target directory outlives the clone that it was built from.
#[must_use]
pub fn package_directory() -> PathBuf {
    // Cargo and nextest say it, and start a test there.
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// Something real that tests run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// systemd in namespaces: the programs, and the right to make namespaces.
    Systemd,
    /// Process namespaces, which keep what a test starts from outliving it.
    ProcessNamespaces,
    /// The `temporal` command line, which holds the server.
    Temporal,
    /// Temporal's TypeScript SDK, with its Node.js.
    TypeScript,
    /// `monit`, which the bench measures beside us.
    Monit,
    /// `promtool`, which checks the metrics page.
    Promtool,
    /// `chromium` and its driver, which show the status page.
    Chromium,
    /// `amtool`, Alertmanager's command line.
    Amtool,
    /// `aiosmtpd`, an SMTP server.
    Smtp,
    /// `prometheus` itself.
    Prometheus,
    /// PostgreSQL: the server, what makes its data, and `psql`.
    Postgres,
    /// `cargo deb`, which makes the Debian package, and dpkg.
    CargoDeb,
    /// `zsh`, `fish` and `groff`, for which there are completions and manual pages.
    Shells,
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Systemd => "systemd in namespaces",
            Self::ProcessNamespaces => "process namespaces",
            Self::Temporal => "the temporal server",
            Self::TypeScript => "the TypeScript SDK",
            Self::Monit => "monit",
            Self::Promtool => "promtool",
            Self::Chromium => "chromium",
            Self::Amtool => "amtool",
            Self::Smtp => "the SMTP server aiosmtpd",
            Self::Prometheus => "prometheus",
            Self::Postgres => "PostgreSQL",
            Self::CargoDeb => "cargo deb and dpkg",
            Self::Shells => "zsh, fish and groff",
        })
    }
}

impl Component {
    /// What is missing of it on this machine, in words; `None` when it is all there.
    #[must_use]
    pub fn missing(self) -> Option<String> {
        match self {
            Self::Systemd => missing_for_systemd(),
            Self::ProcessNamespaces => missing_for_process_namespaces(),
            Self::Temporal => {
                let path = temporal_program();
                (!path.exists()).then(|| format!("{} does not exist", path.display()))
            }
            Self::TypeScript => {
                let lacking = [node_program(), typescript().join("node_modules/@temporalio/worker")];
                let lacking = lacking.iter().find(|path| !path.exists());
                lacking.map(|path| format!("{} does not exist", path.display()))
            }
            Self::Monit => missing_programs(&["monit"]),
            Self::Promtool => missing_programs(&["promtool"]),
            Self::Chromium => missing_programs(&["chromium", "chromedriver"]),
            Self::Amtool => missing_programs(&["amtool"]),
            Self::Smtp => {
                let path = environment().join("aiosmtpd");
                (!path.exists()).then(|| format!("{} does not exist", path.display()))
            }
            Self::Prometheus => missing_programs(&["prometheus"]),
            Self::Postgres => {
                let lacking = ["postgres", "initdb", "psql"].map(|program| postgres_programs().join(program));
                let lacking = lacking.iter().find(|path| !path.exists());
                lacking.map(|path| format!("{} does not exist", path.display()))
            }
            Self::CargoDeb => missing_programs(&["cargo-deb", "dpkg", "dpkg-deb"]),
            Self::Shells => missing_programs(&["zsh", "fish", "groff"]),
        }
    }
}

/// Whether a test that needs `component` can run here.
///
/// False means that it must return at once: the lack has been reported on standard error, and in the file that
/// `DIXMGR_SKIPPED` names, because test runners hide the output of tests that pass.
///
/// # Panics
/// Under CI (`CI` set to anything but `false` or `0`), when the component is missing.
#[must_use]
pub fn require(component: Component) -> bool {
    let Some(detail) = component.missing() else { return true };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED {test}: needs {component}, but {detail}. As root, tests/setup.sh installs it.");
    assert!(!under_ci(), "{line} Under CI no test may be skipped.");
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(path) = env::var_os("DIXMGR_SKIPPED") {
        let _ = OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| writeln!(file, "{line}"));
    }
    false
}

/// Where `tests/setup.sh` puts the `temporal` program, unless `DIXMGR_TEMPORAL` names another.
#[must_use]
pub fn temporal_program() -> PathBuf {
    if let Some(path) = env::var_os("DIXMGR_TEMPORAL") {
        return path.into();
    }
    environment().join("temporal")
}

/// The Python that has Temporal's official SDK, in the same place.
#[must_use]
pub fn python_program() -> PathBuf {
    environment().join("python")
}

/// The Node.js that runs Temporal's TypeScript SDK.
#[must_use]
pub fn node_program() -> PathBuf {
    environment().join("node")
}

/// Where the TypeScript SDK is installed: a directory with `node_modules`.
#[must_use]
pub fn typescript() -> PathBuf {
    cache().join("typescript")
}

/// Where Debian keeps the programs of PostgreSQL: the newest release that is there.
#[must_use]
pub fn postgres_programs() -> PathBuf {
    let releases = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
    let newest = releases.map(|release| release.path()).max_by_key(number);
    newest.unwrap_or_else(|| "/usr/lib/postgresql/15".into()).join("bin")
}

/// Programs of the virtual environment that `tests/setup.sh` makes.
fn environment() -> PathBuf {
    cache().join("venv/bin")
}

/// Where `tests/setup.sh` installs what is no package of the system.
fn cache() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.unwrap_or_else(|| Path::new(&env::var_os("HOME").unwrap_or_default()).join(".cache"));
    cache.join("dixmgr")
}

fn under_ci() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

fn missing_for_systemd() -> Option<String> {
    if !["/lib/systemd/systemd", "/usr/lib/systemd/systemd"].iter().any(|path| Path::new(path).exists()) {
        return Some("the systemd package is not installed".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return Some("only root may make the namespaces that it runs in".to_owned());
    }
    missing_programs(&["dbus-daemon", "systemctl", "busctl", "unshare", "nsenter", "mount"])
}

fn missing_for_process_namespaces() -> Option<String> {
    missing_programs(&["unshare", "nsenter"]).or_else(|| {
        let arguments = unshare_arguments();
        let output = Command::new(arguments[0]).args(&arguments[1..]).arg("true").output();
        match output {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        }
    })
}

fn missing_programs(programs: &[&str]) -> Option<String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    let absent = |program: &&&str| !directories.iter().any(|directory| directory.join(program).exists());
    let absent: Vec<&str> = programs.iter().filter(absent).copied().collect();
    (!absent.is_empty()).then(|| format!("{} is not installed", absent.join(", ")))
}
