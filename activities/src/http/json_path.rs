//! Where in a JSON body the verdict stands, and what counts as healthy there.
//!
//! A path that starts with `$` is a `JSONPath` query (RFC 9535); anything it selects must be healthy. Any other path is dotted:
//! `checks.0.ok` goes through objects by name and through arrays by index from 0.

use serde_json::Value;

use super::error::{BadCheck, Unhealthy};

/// Longest excerpt of a value in an error, in characters.
const EXCERPT: usize = 80;

/// Words that say healthy, in any case.
const HEALTHY_WORDS: [&str; 5] = ["healthy", "ok", "up", "ready", "true"];

/// A path, read and checked.
#[derive(Debug, Clone)]
pub struct JsonPath {
    text: String,
    steps: Steps,
}

#[derive(Debug, Clone)]
enum Steps {
    Dotted(Vec<String>),
    Query(Box<serde_json_path::JsonPath>),
}

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// It is not one, and why.
    pub fn parse(text: &str) -> Result<Self, BadCheck> {
        let bad = |detail: String| BadCheck::JsonPath { path: text.to_owned(), detail };
        let steps = if text.starts_with('$') {
            let query = serde_json_path::JsonPath::parse(text)
                .map_err(|error| bad(format!("not JSONPath (RFC 9535): {error}")))?;
            Steps::Query(Box::new(query))
        } else if text.split('.').any(str::is_empty) {
            return Err(bad("a name is missing; write it like status.healthy or checks.0.ok".to_owned()));
        } else {
            Steps::Dotted(text.split('.').map(str::to_owned).collect())
        };
        Ok(Self { text: text.to_owned(), steps })
    }

    /// What the path selects in `body`; empty when it leads nowhere.
    pub fn select<'v>(&self, body: &'v Value) -> Vec<&'v Value> {
        match &self.steps {
            Steps::Query(query) => query.query(body).all(),
            Steps::Dotted(names) => names.iter().try_fold(body, |value, name| step(value, name)).into_iter().collect(),
        }
    }

    /// Whether what stands there says that the service is healthy.
    ///
    /// # Errors
    /// Nothing stands there, or something that is not healthy.
    pub fn verdict(&self, body: &Value) -> Result<(), Unhealthy> {
        let path = || self.text.clone();
        let selected = self.select(body);
        if selected.is_empty() {
            return Err(Unhealthy::PathNotFound { path: path() });
        }
        match selected.into_iter().find(|value| !is_healthy(value)) {
            Some(value) => Err(Unhealthy::Value { path: path(), value: excerpt(value) }),
            None => Ok(()),
        }
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn step<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(name),
        // Digits alone: `parse` would also take a sign.
        Value::Array(items) if name.bytes().all(|byte| byte.is_ascii_digit()) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Whether a value says "healthy": `true`, a number above 0, or one of a few words in any case.
pub fn is_healthy(value: &Value) -> bool {
    match value {
        Value::Bool(healthy) => *healthy,
        Value::Number(number) => number.as_f64().is_some_and(|number| number > 0.0),
        Value::String(word) => HEALTHY_WORDS.iter().any(|healthy| word.eq_ignore_ascii_case(healthy)),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn excerpt(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(members) => format!("an object of {}", members.len()),
        scalar => scalar.to_string().chars().take(EXCERPT).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn healthy(path: &str, body: &Value) -> bool {
        JsonPath::parse(path).unwrap().verdict(body).is_ok()
    }

    #[test]
    fn dotted_paths_go_through_objects_and_arrays() {
        let body = json!({"status": {"healthy": true}, "checks": [{"ok": "UP"}, {"ok": 0}], "0": {"x": 1}});
        assert!(healthy("status.healthy", &body));
        assert!(healthy("checks.0.ok", &body));
        assert!(healthy("0.x", &body));
        assert!(!healthy("checks.1.ok", &body));
        for nowhere in ["status.missing", "checks.2.ok", "checks.+0.ok", "checks.-1.ok", "status.healthy.more"] {
            let verdict = JsonPath::parse(nowhere).unwrap().verdict(&body);
            assert!(matches!(verdict, Err(Unhealthy::PathNotFound { .. })), "{nowhere}");
        }
    }

    #[test]
    fn a_query_wants_all_that_it_selects_healthy() {
        let body = json!({"checks": [{"name": "db", "ok": true}, {"name": "cache", "ok": false}]});
        assert!(healthy("$.checks[?@.name == 'db'].ok", &body));
        assert!(!healthy("$.checks[*].ok", &body));
        assert!(!healthy("$.nothing", &body));
    }

    #[test]
    fn values_that_say_healthy() {
        for good in [json!(true), json!(1), json!(0.5), json!("OK"), json!("Healthy"), json!("up"), json!("READY")] {
            assert!(is_healthy(&good), "{good}");
        }
        for bad in [json!(false), json!(0), json!(-1), json!("no"), json!(""), json!(null), json!([true]), json!({})] {
            assert!(!is_healthy(&bad), "{bad}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in ["", ".", "a..b", "a.", "$[", "$.a[?", "$ $"] {
            assert!(matches!(JsonPath::parse(bad), Err(BadCheck::JsonPath { .. })), "{bad:?}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-c0-2]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c0-2]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn never_panics(path in "(\\$.{0,20}|[$.@?\\[\\]*'a0-9-]{0,20}|.{0,20})", body in any_json()) {
            if let Ok(path) = JsonPath::parse(&path) {
                let _ = path.verdict(&body);
            }
        }

        /// A dotted path is short for a `JSONPath` query: every name, and every index, as one selector.
        #[test]
        fn dotted_agrees_with_the_equivalent_query(steps in prop::collection::vec("([a-c]|[0-3])", 1..5), body in any_json()) {
            let dotted = JsonPath::parse(&steps.join(".")).unwrap();
            let query: String = steps
                .iter()
                // Of a name and an index, one selects from objects only and the other from arrays only.
                .map(|step| match step.parse::<usize>() {
                    Ok(index) => format!("['{step}',{index}]"),
                    Err(_) => format!("['{step}']"),
                })
                .collect();
            let query = JsonPath::parse(&format!("${query}")).unwrap();
            prop_assert_eq!(dotted.select(&body), query.select(&body));
            prop_assert_eq!(dotted.verdict(&body).is_ok(), query.verdict(&body).is_ok());
        }
    }
}
