//! How a `Text` falls into words: runs of letters and digits, lower case, each once.

use std::collections::BTreeSet;

/// The words of `text`, in order of the alphabet.
pub(crate) fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}
