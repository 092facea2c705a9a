//! Which workflows a ramp takes: decided by the workflow id alone, by the same hash as the server's, so that a workflow stays on
//! its side of the ramp.

/// Whether a ramp of so many percent takes a workflow (`calcRampThreshold`).
pub(crate) fn takes(percentage: f32, workflow_id: &str) -> bool {
    if percentage <= 0.0 {
        return false;
    }
    let threshold = 100.0 * (f64::from(fingerprint(workflow_id.as_bytes())) / (f64::from(u32::MAX) + 1.0));
    threshold <= f64::from(percentage)
}

const C1: u32 = 0xcc9e_2d51;
const C2: u32 = 0x1b87_3593;

/// `Fingerprint32` of `FarmHash`.
fn fingerprint(text: &[u8]) -> u32 {
    match text.len() {
        0..=4 => up_to_4(text),
        5..=12 => up_to_12(text),
        13..=24 => up_to_24(text),
        _ => longer(text),
    }
}

fn up_to_4(text: &[u8]) -> u32 {
    let (mut b, mut c) = (0_u32, 9_u32);
    for byte in text {
        // Bytes count with their sign.
        b = b.wrapping_mul(C1).wrapping_add(i32::from(byte.cast_signed()).cast_unsigned());
        c ^= b;
    }
    finish(mix(b, mix(length(text), c)))
}

fn up_to_12(text: &[u8]) -> u32 {
    let len = length(text);
    let a = len.wrapping_add(word(text, 0));
    let b = len.wrapping_mul(5).wrapping_add(word(text, text.len() - 4));
    let c = word(text, (text.len() >> 1) & 4).wrapping_add(9);
    finish(mix(c, mix(b, mix(a, len.wrapping_mul(5)))))
}

#[allow(clippy::many_single_char_names, reason = "as in the definition of the hash")]
fn up_to_24(text: &[u8]) -> u32 {
    let (len, half) = (text.len(), text.len() >> 1);
    let (b, c, d) = (word(text, 4), word(text, len - 8), word(text, half));
    let (e, f) = (word(text, 0), word(text, len - 4));
    let mut a = word(text, half - 4).rotate_right(12).wrapping_add(f);
    let mut h = d.wrapping_mul(C1).wrapping_add(length(text));
    h = mix(c, h).wrapping_add(a);
    a = a.rotate_right(3).wrapping_add(c);
    h = mix(e, h).wrapping_add(a);
    a = a.wrapping_add(f).rotate_right(12).wrapping_add(d);
    finish(mix(b, h).wrapping_add(a))
}

#[allow(clippy::many_single_char_names, reason = "as in the definition of the hash")]
fn longer(text: &[u8]) -> u32 {
    let len = text.len();
    let tail = |back: usize| word(text, len - back).wrapping_mul(C1).rotate_right(17).wrapping_mul(C2);
    let stir = |h: u32, a: u32| (h ^ a).rotate_right(19).wrapping_mul(5).wrapping_add(0xe654_6b64);
    let mut h = stir(stir(length(text), tail(4)), tail(16));
    let mut g = C1.wrapping_mul(length(text));
    let mut f = g;
    g = stir(stir(g, tail(8)), tail(12));
    f = f.wrapping_add(tail(20)).rotate_right(19).wrapping_add(113);
    for start in (0..(len - 1) / 20).map(|block| block * 20) {
        let [a, b, c, d, e] = [0, 4, 8, 12, 16].map(|offset| word(text, start + offset));
        h = h.wrapping_add(a);
        g = g.wrapping_add(b);
        f = f.wrapping_add(c);
        h = mix(d, h).wrapping_add(e);
        g = mix(c, g).wrapping_add(a);
        f = mix(b.wrapping_add(e.wrapping_mul(C1)), f).wrapping_add(d);
        f = f.wrapping_add(g);
        g = g.wrapping_add(f);
    }
    let twice = |h: u32| h.rotate_right(11).wrapping_mul(C1).rotate_right(17).wrapping_mul(C1);
    let (g, f) = (twice(g), twice(f));
    let join = |h: u32, a: u32| {
        let h = h.wrapping_add(a).rotate_right(19).wrapping_mul(5).wrapping_add(0xe654_6b64);
        h.rotate_right(17).wrapping_mul(C1)
    };
    join(join(h, g), f)
}

/// One round of `Murmur3`.
fn mix(a: u32, h: u32) -> u32 {
    let a = a.wrapping_mul(C1).rotate_right(17).wrapping_mul(C2);
    (h ^ a).rotate_right(19).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

/// The end of `Murmur3`.
fn finish(h: u32) -> u32 {
    let h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    let h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

#[allow(clippy::cast_possible_truncation, reason = "ids have at most a thousand bytes")]
fn length(text: &[u8]) -> u32 {
    text.len() as u32
}

fn word(text: &[u8], at: usize) -> u32 {
    let bytes = text.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    u32::from_le_bytes(bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To which of two versions a Temporal server sent workflows at a ramp of so many percent (2: ramping).
    #[test]
    fn workflows_go_where_a_temporal_server_sends_them() {
        let side = |percentage: f32, id: String| if takes(percentage, &id) { '2' } else { '1' };
        let sides: String = (0..20).map(|number| side(50.0, format!("ramp{number}"))).collect();
        assert_eq!(sides, "21221121211121122122");
    }

    #[test]
    fn nothing_and_everything_are_exact() {
        assert!(!(0..1_000).any(|number| takes(0.0, &number.to_string())));
        assert!((0..1_000).all(|number| takes(100.0, &number.to_string())));
    }
}
