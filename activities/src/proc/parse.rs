//! `/proc/PID/stat` and `/proc/PID/io`, as proc(5) has them. Pure, and free of allocation.
//!
//! The `procfs` crate reads all 52 fields of `stat` into a structure; of thousands of processes every few seconds we want
//! four numbers each. A test checks that both read the same.

/// What is wanted of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// `utime + stime`: CPU time used, in clock ticks.
    pub(super) cpu_ticks: u64,
    /// `starttime`, in clock ticks since boot.
    pub(super) start_ticks: u64,
    /// `rss`, in pages.
    pub(super) rss_pages: u64,
}

/// What is wanted of `/proc/PID/io`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IoCounters {
    /// Bytes that came from the disk (`read_bytes`).
    pub read_bytes: u64,
    /// Bytes that went, or will go, to the disk (`write_bytes`).
    pub written_bytes: u64,
}

/// Reads `/proc/PID/stat`; nothing when it is cut short or not such a file.
///
/// The second field is the program's name in parentheses, in which anything may stand, parentheses and spaces included;
/// the fields after it begin at the last `)`.
pub(super) fn stat(bytes: &[u8]) -> Option<Stat> {
    let end_of_name = bytes.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&bytes[end_of_name + 1..]).ok()?;
    // Numbered as in proc(5): the state, first after the name, is field 3.
    let mut fields = rest.split_ascii_whitespace();
    let mut taken = 2;
    let mut field = |number: usize| {
        let value = fields.nth(number - taken - 1)?;
        taken = number;
        Some(value)
    };
    let user: u64 = field(14)?.parse().ok()?;
    let system: u64 = field(15)?.parse().ok()?;
    let start_ticks = field(22)?.parse().ok()?;
    // Documented as signed; never negative for a living process.
    let rss_pages: i64 = field(24)?.parse().ok()?;
    Some(Stat { cpu_ticks: user.saturating_add(system), start_ticks, rss_pages: u64::try_from(rss_pages).unwrap_or(0) })
}

/// Reads `/proc/PID/io`; nothing when either number is missing.
pub(super) fn io(bytes: &[u8]) -> Option<IoCounters> {
    let text = std::str::from_utf8(bytes).ok()?;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))?;
        line.trim_end().parse().ok()
    };
    Some(IoCounters { read_bytes: value("read_bytes")?, written_bytes: value("write_bytes")? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    const IO: &str =
        "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n";

    fn line(name: &str, user: u64, system: u64, start: u64, rss: i64) -> String {
        format!(
            "77 ({name}) S 1 77 77 0 -1 4194560 100 0 0 0 {user} {system} 0 0 20 0 1 0 {start} 10000000 {rss} \
             18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        )
    }

    #[test]
    fn agrees_with_procfs_about_this_very_process() {
        let bytes = std::fs::read("/proc/self/stat").unwrap();
        let theirs = <procfs::process::Stat as procfs::FromRead>::from_read(bytes.as_slice()).unwrap();
        let ours = stat(&bytes).unwrap();
        assert_eq!(
            (ours.cpu_ticks, ours.start_ticks, ours.rss_pages),
            (theirs.utime + theirs.stime, theirs.starttime, theirs.rss)
        );
    }

    #[test]
    fn io_counts_what_reached_the_disk() {
        assert_eq!(io(IO.as_bytes()), Some(IoCounters { read_bytes: 4096, written_bytes: 8192 }));
        assert_eq!(io(b"read_bytes: x\nwrite_bytes: 1\n"), None);
        assert_eq!(io(b""), None);
    }

    proptest! {
        #[test]
        fn any_name_is_read(
            name in "[ -~]{0,15}|[)( ]{1,15}",
            user in 0u64..1 << 40,
            system in 0u64..1 << 40,
            start: u64,
            rss in 0i64..1 << 40,
        ) {
            let expected = Stat { cpu_ticks: user + system, start_ticks: start, rss_pages: rss.unsigned_abs() };
            prop_assert_eq!(stat(line(&name, user, system, start, rss).as_bytes()), Some(expected));
        }

        #[test]
        fn a_cut_file_is_not_mistaken_for_a_whole_one(cut in 0usize..400) {
            let whole = line("a b) c", 11, 22, 33, 44);
            let cut = cut.min(whole.len());
            let expected = Stat { cpu_ticks: 33, start_ticks: 33, rss_pages: 44 };
            if let Some(read) = stat(&whole.as_bytes()[..cut]) {
                // Only the last number wanted can be cut without that being seen, as in any text without an end mark.
                prop_assert_eq!((read.cpu_ticks, read.start_ticks), (expected.cpu_ticks, expected.start_ticks));
                prop_assert!(read.rss_pages == 4 || read.rss_pages == 44);
            }
        }

        #[test]
        fn garbage_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = stat(&bytes);
            let _ = io(&bytes);
        }

        #[test]
        fn negative_memory_is_none(rss in i64::MIN..0) {
            prop_assert_eq!(stat(line("x", 1, 2, 3, rss).as_bytes()).unwrap().rss_pages, 0);
        }
    }
}
