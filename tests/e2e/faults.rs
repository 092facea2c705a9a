//! Faults of a machine that a test can turn on and off: a disk that is full, one that fails to sync or is slow at it, a clock
//! that is set.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dixmgr_testkit::package_directory;
use tempfile::TempDir;

/// Room for the engine's file and log in the test of a full disk.
const ROOM: &str = "24M";

/// What the preloaded library reads.
pub(crate) struct Faults {
    directory: TempDir,
    control: File,
}

impl Faults {
    /// Builds the library, with all faults off.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let source = package_directory().join("tests/e2e/faults.c");
        let library = directory.path().join("faults.so");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source)
            .output()
            .expect("run the C compiler");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let control = directory.path().join("control");
        fs::write(&control, [0; 24]).expect("a control file");
        let control = File::options().write(true).open(control).expect("a control file");
        Self { directory, control }
    }

    /// What to put before a command that the faults are to hit.
    pub(crate) fn wrapper(&self) -> [String; 3] {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        ["env".to_owned(), format!("LD_PRELOAD={}", path("faults.so")), format!("DIXMGR_FAULTS={}", path("control"))]
    }

    /// Sets the clock so far ahead, or behind.
    pub(crate) fn set_clock(&self, ahead: bool, by: Duration) {
        let nanos = i64::try_from(by.as_nanos()).expect("hours");
        self.write(0, if ahead { nanos } else { -nanos });
    }

    /// Has so many of 1,000 syncs fail.
    pub(crate) fn fail_syncs(&self, of_thousand: i64) {
        self.write(8, of_thousand);
    }

    /// Has each sync take so much longer.
    pub(crate) fn slow_syncs(&self, by: Duration) {
        self.write(16, i64::try_from(by.as_nanos()).expect("seconds"));
    }

    fn write(&self, offset: u64, number: i64) {
        self.control.write_all_at(&number.to_le_bytes(), offset).expect("the control file");
    }
}

/// A small disk of its own below a directory.
pub(crate) struct SmallDisk {
    mounted: PathBuf,
}

impl SmallDisk {
    /// Puts it over `directory`.
    pub(crate) fn over(directory: &Path) -> Self {
        run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={ROOM},mode=700"), "tmpfs", &directory.display().to_string()],
        );
        Self { mounted: directory.to_owned() }
    }

    /// Leaves no room on it, or gives the room back.
    pub(crate) fn fill(&self, full: bool) {
        let ballast = self.mounted.join("ballast");
        if !full {
            return fs::remove_file(ballast).unwrap_or_default();
        }
        let mut ballast = File::create(ballast).expect("a file");
        let filled = io::copy(&mut io::repeat(0), &mut ballast);
        assert_eq!(filled.expect_err("it is small").kind(), io::ErrorKind::StorageFull);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the engine may not have ended yet.
        run("umount", &["-l", &self.mounted.display().to_string()]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect("run it");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}
