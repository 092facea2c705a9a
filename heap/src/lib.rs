//! How the C library's allocator, and the kernel, are told to keep little memory.
//!
//! A start is a burst: a plan is read, thousands of workflows begin. What it leaves behind lies between what stays, in as many
//! arenas as there are threads, and glibc by itself gives back only what lies at an arena's end. With one arena that is trimmed
//! now and then, 1,000 services take two thirds of the memory that they take with mimalloc or with glibc as it is (jemalloc, with
//! one arena too, lies between). Other C libraries have no such knobs: there, those functions do nothing.

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

/// Takes the program's own code out of this process's memory: what only a start runs does not come back. What is still wanted
/// is mapped again, page by page and from the page cache, where all of it stays for as long as there is room.
pub fn release_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    let Ok(program) = std::env::current_exe() else { return };
    for (from, length) in code(&maps, &program.to_string_lossy()) {
        // SAFETY: the range is a private mapping of a file from which we only execute. Nothing ever writes there, so that each
        // page is read again as it was; a running program's file cannot be written to either (`ETXTBSY`). Only breakpoints
        // that a debugger has set by then are lost.
        #[allow(unsafe_code)]
        unsafe {
            libc::madvise(from as *mut libc::c_void, length, libc::MADV_DONTNEED);
        }
    }
}

/// Where the code of the program lies, by the kernel's table of mappings (proc(5)): address and length of each piece.
fn code(maps: &str, program: &str) -> Vec<(usize, usize)> {
    let piece = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (permissions, rest) = rest.split_once(' ')?;
        // Offset, device and inode; the path may have spaces.
        let path = rest.splitn(4, ' ').nth(3)?.trim_start();
        let (from, to) = range.split_once('-')?;
        let (from, to) = (usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?);
        (permissions == "r-xp" && path == program).then(|| (from, to.saturating_sub(from)))
    };
    maps.lines().filter_map(piece).collect()
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::{code, one_arena, release_code, trim};

    fn kibibytes(name: &str) -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    }

    fn resident_kibibytes() -> usize {
        kibibytes("RssAnon:")
    }

    #[test]
    fn the_programs_code_is_found_and_nothing_else() {
        let maps = "1000-3000 r-xp 00001000 fd:00 77 /opt/a program\n\
                    3000-4000 r--p 00003000 fd:00 77 /opt/a program\n\
                    4000-5000 rw-p 00004000 fd:00 77 /opt/a program\n\
                    5000-9000 r-xp 00000000 fd:00 78                  /usr/lib/libc.so.6\n\
                    9000-a000 r-xp 00000000 00:00 0                   [vdso]\n\
                    a000-b000 rw-p 00000000 00:00 0 \n\
                    nonsense\n";
        assert_eq!(code(maps, "/opt/a program"), [(0x1000, 0x2000)]);
    }

    #[test]
    fn code_goes_and_what_is_wanted_comes_back() {
        let before = kibibytes("RssFile:");
        release_code();
        let after = kibibytes("RssFile:");
        assert!(after < before, "{before} KiB, then {after} KiB");
        assert_eq!(code("", ""), [], "what is called comes back");
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
