//! What is shipped: `make install`, the hardened unit, and the Debian package with a real dpkg.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use dixmgr_testkit::{Component, package_directory, require};
use tempfile::TempDir;

use crate::support::BINARY;

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.current_dir(package_directory()).output().expect("the program can be run");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

#[test]
fn make_install_puts_everything_in_its_place_and_keeps_what_people_wrote() {
    let to = TempDir::new().unwrap();
    let at = |path: &str| to.path().join(path);
    let make = |target: &str| {
        let destination = format!("DESTDIR={}", to.path().display());
        run(Command::new("make").args([target, &destination, "PREFIX=/opt/dixmgr", &format!("BINARY={BINARY}")]))
    };
    make("install");
    assert_eq!(mode(&at("opt/dixmgr/bin/dixmgr")), 0o755);
    assert_eq!(mode(&at("etc/default/dixmgr")), 0o600);
    let unit = fs::read_to_string(at("opt/dixmgr/lib/systemd/system/dixmgr.service")).unwrap();
    assert!(unit.contains("ExecStart=/opt/dixmgr/bin/dixmgr -exec -conf /etc/dixmgr/dixmgr.toml"), "{unit}");
    for path in [
        "doc/dixmgr/examples/example.toml",
        "dixmgr/prometheus/rules/dixmgr.yml",
        "dixmgr/grafana/dashboards/overview.json",
        "man/man1/dixmgr.1",
        "man/man1/dixmgr-engine-backup.1",
        "bash-completion/completions/dixmgr",
        "zsh/site-functions/_dixmgr",
        "fish/vendor_completions.d/dixmgr.fish",
    ] {
        assert!(at("opt/dixmgr/share").join(path).is_file(), "{path}");
    }

    fs::write(at("etc/dixmgr/dixmgr.toml"), "# mine").unwrap();
    make("install");
    make("uninstall");
    assert_eq!(fs::read_to_string(at("etc/dixmgr/dixmgr.toml")).unwrap(), "# mine");
    assert!(!at("opt/dixmgr/bin/dixmgr").exists() && !at("opt/dixmgr/share/dixmgr").exists());
    assert!(!at("opt/dixmgr/share/man/man1/dixmgr.1").exists());
}

#[test]
fn the_unit_is_hardened() {
    if !require(Component::Systemd) {
        return;
    }
    // In tenths; more than that and systemd-analyze fails.
    let said = run(Command::new("systemd-analyze").args([
        "security",
        "--offline=true",
        "--threshold=30",
        "conf/dixmgr.service",
    ]));
    assert!(said.contains("Overall exposure level for dixmgr.service"), "{said}");
    run(Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(verifiable().path().join("dixmgr.service")));
}

/// The unit with a program that is there, in a directory of its own.
fn verifiable() -> TempDir {
    let directory = TempDir::new().unwrap();
    let unit = fs::read_to_string(package_directory().join("conf/dixmgr.service")).unwrap();
    fs::write(directory.path().join("dixmgr.service"), unit.replace("/usr/bin/dixmgr", BINARY)).unwrap();
    directory
}

/// A Debian system of nothing but a package database: dpkg installs below it, and runs the package's scripts outside.
struct Debian {
    root: TempDir,
}

impl Debian {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        for directory in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc", "run"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
        Self { root }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    #[track_caller]
    fn dpkg(&self, arguments: &[&str]) -> String {
        let root = format!("--root={}", self.root.path().display());
        let mut command = Command::new("dpkg");
        command.args([
            root.as_str(),
            "--force-script-chrootless",
            "--force-depends",
            "--force-confdef",
            "--force-confold",
        ]);
        // Nothing on this machine is started or stopped by what is installed below a directory.
        run(command.args(arguments).env("SYSTEMD_OFFLINE", "1"))
    }
}

/// The package, with the binary that is tested in it.
fn package(to: &Path) -> PathBuf {
    let file = to.join("dixmgr.deb");
    run(Command::new("packaging/generate").arg(BINARY));
    let target = Path::new(BINARY).parent().and_then(Path::parent).expect("a target directory");
    let mut cargo = Command::new("cargo");
    let quick = ["--no-build", "--profile", "dev", "--strip", "--fast"];
    cargo.arg("deb").args(quick).args(["--locked", "--quiet", "-o"]).arg(&file);
    run(cargo.env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true"));
    file
}

#[test]
fn the_package_installs_upgrades_and_goes_without_a_trace_when_purged() {
    if !require(Component::CargoDeb) {
        return;
    }
    let directory = TempDir::new().unwrap();
    let file = package(directory.path());
    let deb = file.display().to_string();
    let debian = Debian::new();
    let said = debian.dpkg(&["-i", &deb]);
    assert!(said.contains("write services into /etc/dixmgr/dixmgr.toml"), "{said}");
    let state = |debian: &Debian| debian.dpkg(&["-s", "dixmgr"]);
    assert!(state(&debian).contains("Status: install ok installed"), "{}", state(&debian));
    for path in [
        "usr/bin/dixmgr",
        "lib/systemd/system/dixmgr.service",
        "usr/share/dixmgr/grafana/dashboards/service.json",
        "usr/share/man/man1/dixmgr-top.1.gz",
        "usr/share/bash-completion/completions/dixmgr",
    ] {
        let usr = format!("usr/{path}");
        assert!(debian.at(path).is_file() || debian.at(&usr).is_file(), "{path} is not installed");
    }
    assert_eq!(mode(&debian.at("etc/default/dixmgr")), 0o600);
    run(Command::new(debian.at("usr/bin/dixmgr")).arg("-version"));

    // What people wrote outlives an upgrade and a removal, what dixmgr wrote a removal; a purge takes both.
    fs::write(debian.at("etc/dixmgr/dixmgr.toml"), "# mine").unwrap();
    fs::create_dir_all(debian.at("var/lib/dixmgr")).unwrap();
    fs::write(debian.at("var/lib/dixmgr/engine.db"), "state").unwrap();
    let said = debian.dpkg(&["-i", &deb]);
    assert!(!said.contains("write services into"), "said again: {said}");
    debian.dpkg(&["-r", "dixmgr"]);
    assert!(!debian.at("usr/bin/dixmgr").exists());
    assert_eq!(fs::read_to_string(debian.at("etc/dixmgr/dixmgr.toml")).unwrap(), "# mine");
    assert!(debian.at("var/lib/dixmgr/engine.db").exists());
    debian.dpkg(&["-P", "dixmgr"]);
    for path in ["etc/dixmgr", "etc/default/dixmgr", "var/lib/dixmgr", "usr/share/dixmgr"] {
        assert!(!debian.at(path).exists(), "{path} is left");
    }
}
