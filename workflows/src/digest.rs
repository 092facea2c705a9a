//! A short fingerprint of a specification, the same on every machine and in every release.
//!
//! It stands in workflow inputs and decides which signals a replay sends again. A field that is added to a
//! specification therefore has to be skipped by serde while it has its default.

use dixmgr_model::ServiceSpec;

/// FNV-1a (64 bit, <http://www.isthe.com/chongo/tech/comp/fnv/>) of the serialised form, in hex.
pub(crate) fn of(spec: &ServiceSpec) -> String {
    let text = serde_json::to_vec(spec).unwrap_or_default();
    let hash = text
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}
