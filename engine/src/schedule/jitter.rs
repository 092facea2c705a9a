//! How far a time is moved: by a hash of the time and of the schedule, so that it is always moved equally far (`addJitter` in
//! `service/worker/scheduler/spec.go`).

use crate::history::time::Nanos;

const MILLISECOND: Nanos = 1_000_000;
/// Seconds from the first year, from which Go counts, to the epoch.
const UNIX_TO_GO: i64 = 62_135_596_800;

/// What is added to the time `nominal` (whole seconds since the epoch): less than `most`, in whole milliseconds.
pub(super) fn jitter(seed: &str, nominal: i64, most: Nanos) -> Nanos {
    let most = u64::from(u32::try_from((most / MILLISECOND).max(0)).unwrap_or(u32::MAX));
    let hash = u64::from(fingerprint(&[&go_time(nominal), seed.as_bytes()].concat()));
    Nanos::try_from((hash * most) >> 32).unwrap_or(0) * MILLISECOND
}

/// An instant as Go marshals a `time.Time` in UTC: a version, seconds, nanoseconds, and -1 for the zone.
fn go_time(seconds: i64) -> [u8; 15] {
    let mut bytes = [0; 15];
    bytes[0] = 1;
    bytes[1..9].copy_from_slice(&seconds.saturating_add(UNIX_TO_GO).to_be_bytes());
    bytes[13..].copy_from_slice(&[0xff, 0xff]);
    bytes
}

const C1: u32 = 0xcc9e_2d51;
const C2: u32 = 0x1b87_3593;

/// `FarmHash`'s `Fingerprint32` (<https://github.com/google/farmhash>, `farmhashmk`), of more than 24 bytes; 0 of fewer, which
/// no time and seed are.
fn fingerprint(bytes: &[u8]) -> u32 {
    let Some(tail) = bytes.last_chunk::<20>().filter(|_| bytes.len() > 24) else { return 0 };
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let last = words(tail).map(|word| word.wrapping_mul(C1).rotate_right(17).wrapping_mul(C2));
    let (mut h, mut g) = (length, C1.wrapping_mul(length));
    let mut f = g;
    h = stir(stir(h ^ last[4]) ^ last[1]);
    g = stir(stir(g ^ last[3]) ^ last[2]);
    f = f.wrapping_add(last[0]).rotate_right(19).wrapping_add(113);
    // All whole blocks but for one that would end with the text.
    for block in bytes[..bytes.len() - 1].chunks_exact(20) {
        let block = words(block.try_into().unwrap_or(&[0; 20]));
        (h, g, f) = (h.wrapping_add(block[0]), g.wrapping_add(block[1]), f.wrapping_add(block[2]));
        h = mur(block[3], h).wrapping_add(block[4]);
        g = mur(block[2], g).wrapping_add(block[0]);
        f = mur(block[1].wrapping_add(block[4].wrapping_mul(C1)), f).wrapping_add(block[3]);
        f = f.wrapping_add(g);
        g = g.wrapping_add(f);
    }
    let finish = |x: u32| x.rotate_right(11).wrapping_mul(C1).rotate_right(17).wrapping_mul(C1);
    (g, f) = (finish(g), finish(f));
    h = scale(h.wrapping_add(g).rotate_right(19)).rotate_right(17).wrapping_mul(C1);
    scale(h.wrapping_add(f).rotate_right(19)).rotate_right(17).wrapping_mul(C1)
}

/// Five little-endian words.
fn words(block: &[u8; 20]) -> [u32; 5] {
    std::array::from_fn(|at| {
        let word = [block[4 * at], block[4 * at + 1], block[4 * at + 2], block[4 * at + 3]];
        u32::from_le_bytes(word)
    })
}

fn mur(a: u32, h: u32) -> u32 {
    stir(h ^ a.wrapping_mul(C1).rotate_right(17).wrapping_mul(C2))
}

fn stir(h: u32) -> u32 {
    scale(h.rotate_right(19))
}

fn scale(h: u32) -> u32 {
    h.wrapping_mul(5).wrapping_add(0xe654_6b64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a Temporal server 1.32 lists for a schedule of every hour with an hour of jitter.
    #[test]
    fn times_are_moved_as_far_as_the_server_moves_them() {
        let first: i64 = 1_767_229_200;
        let seed = "01a1fcf3-f5de-748f-8849-abf4d881b326-jit";
        let moved = [3_070_836, 2_200_993, 228_627, 2_819_497];
        for (hour, expected) in (0..).zip(moved) {
            let time = first + hour * 3_600;
            assert_eq!(jitter(seed, time, 3_600_000 * MILLISECOND) / MILLISECOND, expected, "hour {hour}");
        }
    }

    #[test]
    fn no_jitter_moves_nothing_and_the_longest_does_not_overflow() {
        let seed = "a namespace and a schedule";
        assert_eq!(jitter(seed, 0, 0), 0);
        assert_eq!(jitter(seed, 0, -5), 0);
        let most = Nanos::from(u32::MAX) * MILLISECOND;
        assert!((0..most).contains(&jitter(seed, i64::MAX, Nanos::MAX)));
    }
}
