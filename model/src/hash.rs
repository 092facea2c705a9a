//! A hash that is the same on every machine and in every release, for ids that stand in histories.

/// FNV-1a, 64 bit (<http://www.isthe.com/chongo/tech/comp/fnv/>), in hex. No secret may rest on it.
#[must_use]
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> String {
    let hash = bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_values() {
        assert_eq!(fnv1a([]), "cbf29ce484222325");
        assert_eq!(fnv1a(*b"foobar"), "85944171f73967e8");
    }
}
