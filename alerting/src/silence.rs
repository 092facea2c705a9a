//! TEMP
use dixmgr_model::Matcher;
use std::collections::BTreeMap;
/// Whether
#[must_use]
pub fn matches(matchers: &[Matcher], labels: &BTreeMap<String, String>) -> bool {
    matchers.iter().all(|m| labels.get(&m.name).map_or("", String::as_str) == m.value)
}
