//! A short fingerprint of a specification, the same on every machine and in every release.
//!
//! It stands in workflow inputs and decides which signals a replay sends again. A field that is added to a
//! specification therefore has to be skipped by serde while it has its default.

use dixmgr_model::ServiceSpec;

/// FNV-1a of the serialised form, in hex.
pub(crate) fn of(spec: &ServiceSpec) -> String {
    dixmgr_model::hash::fnv1a(serde_json::to_vec(spec).unwrap_or_default())
}
