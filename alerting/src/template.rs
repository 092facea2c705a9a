//! Texts with `{{ name }}` in them. A name is `service`, `severity`, `rule`, `threshold`, `value`, or any label's.

use std::collections::BTreeMap;

/// Longest text that comes out, in characters: annotations stand in workflow histories.
const MAX_TEXT: usize = 2_000;

/// The text, with each `{{ name }}` replaced by what `values` has for it, or by nothing.
#[must_use]
pub fn fill(template: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, name, after)) = next(rest) {
        out.push_str(before);
        out.push_str(values.get(name).map_or("", String::as_str));
        rest = after;
    }
    out.push_str(rest);
    if out.chars().count() > MAX_TEXT { out.chars().take(MAX_TEXT).collect() } else { out }
}

/// The names that a text asks for.
pub fn names(template: &str) -> impl Iterator<Item = &str> {
    let mut rest = template;
    std::iter::from_fn(move || {
        let (_, name, after) = next(rest)?;
        rest = after;
        Some(name)
    })
}

/// What comes before the next name, the name, and what comes after it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    Some((before, name.trim(), after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_replaced_and_the_rest_stays() {
        let values =
            [("service", "db"), ("value", "97")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(fill("{{ service }} uses {{value}} %{{ nothing }}, {{ and", &values), "db uses 97 %, {{ and");
        assert_eq!(names("{{ service }} {{a}}{{").collect::<Vec<_>>(), ["service", "a"]);
    }

    proptest! {
        #[test]
        fn never_panics_and_what_is_filled_in_is_not_looked_at_again(text in ".{0,40}", value in ".{0,10}") {
            let values = BTreeMap::from([("a".to_owned(), value.clone())]);
            let _ = fill(&text, &values);
            prop_assert_eq!(fill("{{a}}", &values), value);
        }
    }
}
