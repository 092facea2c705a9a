//! How the C library's allocator is told to keep little memory.
//!
//! A start is a burst: a plan is read, thousands of workflows begin. What it leaves behind lies between what stays, in as many
//! arenas as there are threads, and glibc by itself gives back only what lies at an arena's end. With one arena that is trimmed
//! now and then, 1,000 services take two thirds of the memory that they take with mimalloc or with glibc as it is (jemalloc, with
//! one arena too, lies between). Other C libraries have no such knobs: there, both functions do nothing.

/// Has all threads allocate from one arena. To be called before there is a second thread.
pub fn one_arena() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallopt(3) takes two numbers and touches nothing of ours. It is thread-safe once the allocator is initialised,
        // and there is one thread when we are called.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}

/// Gives back to the system what is free. Takes some milliseconds in which nobody allocates.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: malloc_trim(3) is thread-safe and gives back only pages that hold nothing.
        #[allow(unsafe_code)]
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::{one_arena, trim};

    fn resident_kibibytes() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    }

    #[test]
    fn what_lies_free_between_what_stays_is_given_back() {
        one_arena();
        // 64 MiB in pieces, of which one in a thousand stays.
        let mut pieces: Vec<Option<Box<[u8; 1024]>>> = (0..65_536).map(|_| Some(Box::new([1; 1024]))).collect();
        pieces.iter_mut().enumerate().filter(|(index, _)| index % 1000 != 0).for_each(|(_, piece)| *piece = None);
        let before = resident_kibibytes();
        trim();
        let after = resident_kibibytes();
        assert!(before > 60_000 && after < 16_000, "{before} KiB, then {after} KiB");
        assert!(pieces.iter().flatten().all(|piece| piece[1023] == 1), "what stays is as it was");
    }
}
