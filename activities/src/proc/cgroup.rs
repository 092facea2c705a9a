//! Processes of a control group and of those below it, from the file system: one read instead of a D-Bus call.
//!
//! systemd follows processes in the unified hierarchy (version 2), or on older and hybrid machines in a version 1 hierarchy
//! of its own named `systemd`. Where that is mounted is found out, not assumed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use procfs::ProcError;
use procfs::process::{MountInfo, Process};

/// Deepest nesting followed below a unit; containers in containers stay well below.
const MAX_DEPTH: usize = 16;

/// Most processes of one unit; more are some mishap that sampling must not make worse.
const MAX_PROCESSES: usize = 100_000;

/// Why processes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// `/proc/self/mountinfo` cannot be read.
    #[error("cannot read the table of mounts: {0}")]
    Mounts(#[from] ProcError),
    /// No hierarchy that systemd uses is mounted here, or only a part of it that is not ours to see.
    #[error("no control group hierarchy of systemd is mounted")]
    NotMounted,
    /// The group is not there (the unit does not run, or lives elsewhere).
    #[error("cannot read control group {group}: {source}")]
    Unreadable {
        /// Its path in the hierarchy.
        group: String,
        /// What the file system said.
        source: io::Error,
    },
    /// More processes, or deeper nesting, than is followed.
    #[error("control group {0} has too many processes or levels")]
    TooLarge(String),
}

/// The mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupTree {
    mount_point: PathBuf,
    /// The part of the hierarchy that is mounted, `/` for all of it.
    root: String,
}

impl CgroupTree {
    /// Finds the hierarchy in which systemd follows processes.
    ///
    /// # Errors
    /// There is none in this mount namespace.
    pub fn discover() -> Result<Self, CgroupError> {
        let mounts: Vec<MountInfo> = Process::myself()?.mountinfo()?.into_iter().collect();
        let version_1 = |mount: &&MountInfo| {
            mount.fs_type == "cgroup" && mount.super_options.get("name") == Some(&Some("systemd".into()))
        };
        let version_2 = |mount: &&MountInfo| mount.fs_type == "cgroup2";
        // A hybrid machine has both, and systemd then follows processes in its own. Later mounts hide earlier ones.
        let version_1 = mounts.iter().rev().filter(version_1).find_map(Self::from_mount);
        let version_2 = || mounts.iter().rev().filter(version_2).find_map(Self::from_mount);
        version_1.or_else(version_2).ok_or(CgroupError::NotMounted)
    }

    fn from_mount(mount: &MountInfo) -> Option<Self> {
        // `/..` stands for a part outside of our control group namespace, whose names cannot be known from here.
        let outside = mount.root.starts_with("/..");
        let hidden = !mount.mount_point.join("cgroup.procs").exists();
        (!outside && !hidden).then(|| Self { mount_point: mount.mount_point.clone(), root: mount.root.clone() })
    }

    /// Every process of `group` (systemd's `ControlGroup`, such as `/system.slice/a.service`) and of the groups below.
    ///
    /// # Errors
    /// The group cannot be read. Groups below it that vanish meanwhile are left out.
    pub fn processes(&self, group: &str) -> Result<Vec<u32>, CgroupError> {
        let unreadable = |source| CgroupError::Unreadable { group: group.to_owned(), source };
        let directory = self.directory(group).ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))?;
        let mut processes = Vec::new();
        read_group(&directory, &mut processes).map_err(unreadable)?;
        if !walk(&directory, MAX_DEPTH, &mut processes) || processes.len() > MAX_PROCESSES {
            return Err(CgroupError::TooLarge(group.to_owned()));
        }
        Ok(processes)
    }

    fn directory(&self, group: &str) -> Option<PathBuf> {
        let inside = match self.root.as_str() {
            "/" => group,
            root => group.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))?,
        };
        let climbs = inside.split('/').any(|part| part == "..");
        (!climbs).then(|| self.mount_point.join(inside.trim_start_matches('/')))
    }
}

/// Adds the processes of one group.
fn read_group(directory: &Path, processes: &mut Vec<u32>) -> io::Result<()> {
    let text = fs::read_to_string(directory.join("cgroup.procs"))?;
    // 0 stands for a process of another pid namespace, of which nothing can be read.
    processes.extend(text.lines().filter_map(|line| line.parse().ok()).filter(|pid: &u32| *pid != 0));
    Ok(())
}

/// Adds the processes of all groups below. Whether it got to the end of them.
fn walk(directory: &Path, depth: usize, processes: &mut Vec<u32>) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return true };
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if depth == 0 || processes.len() > MAX_PROCESSES {
            return false;
        }
        let below = entry.path();
        // A group that vanished, or a threaded one whose processes are listed further up.
        let _ = read_group(&below, processes);
        if !walk(&below, depth - 1, processes) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn tree(root: &str) -> (tempfile::TempDir, CgroupTree) {
        let directory = tempfile::tempdir().unwrap();
        let tree = CgroupTree { mount_point: directory.path().to_owned(), root: root.to_owned() };
        (directory, tree)
    }

    fn group(directory: &tempfile::TempDir, path: &str, processes: &str) {
        let path = directory.path().join(path);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("cgroup.procs"), processes).unwrap();
    }

    #[test]
    fn processes_of_all_groups_below_count() {
        let (directory, tree) = tree("/");
        group(&directory, "system.slice/a.service", "10\n11\n0\n");
        group(&directory, "system.slice/a.service/payload", "12\n");
        group(&directory, "system.slice/a.service/payload/deeper", "13\n");
        group(&directory, "system.slice/b.service", "99\n");
        let mut processes = tree.processes("/system.slice/a.service").unwrap();
        processes.sort_unstable();
        assert_eq!(processes, [10, 11, 12, 13]);
    }

    #[test]
    fn a_hierarchy_of_which_a_part_is_mounted_is_read_too() {
        let (directory, tree) = tree("/machine");
        group(&directory, "system.slice/a.service", "10\n");
        assert_eq!(tree.processes("/machine/system.slice/a.service").unwrap(), [10]);
        assert!(tree.processes("/machines/system.slice/a.service").is_err());
    }

    #[test]
    fn what_is_not_there_and_what_leads_elsewhere_are_errors() {
        let (directory, tree) = tree("/");
        group(&directory, "a", "1\n");
        assert!(matches!(tree.processes("/b"), Err(CgroupError::Unreadable { .. })));
        assert!(matches!(tree.processes("/a/../a"), Err(CgroupError::Unreadable { .. })));
    }

    #[test]
    fn nesting_without_end_is_given_up() {
        let (directory, tree) = tree("/");
        group(&directory, "a", "1\n");
        group(&directory, &format!("a/{}", vec!["x"; MAX_DEPTH + 1].join("/")), "1\n");
        assert!(matches!(tree.processes("/a"), Err(CgroupError::TooLarge(_))));
    }
}
