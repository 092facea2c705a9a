//! A JSON merge patch (RFC 7396) on a TOML document. Comments and order of what is not touched stay.
//!
//! A patch replaces lists as a whole. One extension: lists of tables that have names (services, rules, channels, …) may be addressed by
//! name, as in `{"service": {"db": {"interval": "10s"}, "old": null}}`. RFC 7396 would put an object in the list's place there, which is no
//! configuration, so nothing is lost.

use serde_json::{Map, Value as Json};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// Lists whose tables may be addressed by name.
const NAMED: [&str; 5] = ["service", "alerts.rule", "alerts.channel", "alerts.route", "alerts.maintenance"];

/// Why a patch cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is something else than an object.
    #[error("a merge patch is a JSON object, such as {{\"defaults\": {{\"interval\": \"10s\"}}}}")]
    NoObject,
    /// The document that it is for is no TOML.
    #[error("the configuration in force is not TOML: {0}")]
    NoToml(String),
    /// A value that TOML does not have.
    #[error("{path}: {problem}")]
    Value {
        /// Where in the patch.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// The document with the patch applied.
///
/// # Errors
/// The patch is none, or holds what TOML cannot say.
pub fn merge(text: &str, patch: &Json) -> Result<String, PatchError> {
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| PatchError::NoToml(error.message().to_owned()))?;
    let Json::Object(patch) = patch else { return Err(PatchError::NoObject) };
    merge_table(document.as_table_mut(), patch, "")?;
    Ok(document.to_string())
}

fn merge_table(table: &mut dyn TableLike, wanted: &Map<String, Json>, path: &str) -> Result<(), PatchError> {
    for (key, value) in wanted {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Json::Null => drop(table.remove(key)),
            Json::Object(inner) if NAMED.contains(&path.as_str()) => merge_named(table, key, inner, &path)?,
            Json::Object(inner) => {
                if !table.get(key).is_some_and(Item::is_table_like) {
                    table.insert(key, Item::Table(Table::new()));
                }
                if let Some(found) = table.get_mut(key).and_then(Item::as_table_like_mut) {
                    merge_table(found, inner, &path)?;
                }
            }
            other => drop(table.insert(key, item(other, &path)?)),
        }
    }
    Ok(())
}

/// Merges into the tables of a list, each found by its name; one that is not there is added, and one that is `null` removed.
fn merge_named(table: &mut dyn TableLike, key: &str, wanted: &Map<String, Json>, path: &str) -> Result<(), PatchError> {
    let list = table.remove(key).unwrap_or_default().into_array_of_tables();
    let mut list = list.unwrap_or_else(|_| ArrayOfTables::new());
    for (name, value) in wanted {
        let path = format!("{path}[{name}]");
        let found = list.iter().position(|table| table.get("name").and_then(Item::as_str) == Some(name));
        match (value, found) {
            (Json::Null, Some(index)) => drop(list.remove(index)),
            (Json::Null, None) => {}
            (Json::Object(inner), Some(index)) => {
                if let Some(own) = list.get_mut(index) {
                    merge_table(own, inner, &path)?;
                }
            }
            (Json::Object(inner), None) => {
                let mut own = Table::new();
                own.insert("name", toml_edit::value(name.as_str()));
                merge_table(&mut own, inner, &path)?;
                list.push(own);
            }
            _ => return Err(PatchError::Value { path, problem: "is neither an object nor null" }),
        }
    }
    if !list.is_empty() {
        table.insert(key, Item::ArrayOfTables(list));
    }
    Ok(())
}

/// A list of objects becomes `[[tables]]`, everything else a value.
fn item(json: &Json, path: &str) -> Result<Item, PatchError> {
    let Json::Array(list) = json else { return value(json, path).map(Item::Value) };
    if list.is_empty() || !list.iter().all(Json::is_object) {
        return value(json, path).map(Item::Value);
    }
    let mut tables = ArrayOfTables::new();
    for object in list.iter().filter_map(Json::as_object) {
        let mut table = Table::new();
        merge_table(&mut table, object, path)?;
        tables.push(table);
    }
    Ok(Item::ArrayOfTables(tables))
}

fn value(json: &Json, path: &str) -> Result<Value, PatchError> {
    let wrong = |problem| PatchError::Value { path: path.to_owned(), problem };
    Ok(match json {
        Json::Null => return Err(wrong("null cannot stand in a list")),
        Json::Bool(bool) => (*bool).into(),
        Json::String(text) => text.as_str().into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(float)) if number.is_f64() => float.into(),
            _ => return Err(wrong("is a number that TOML does not have")),
        },
        Json::Array(list) => {
            let values: Result<Vec<Value>, PatchError> = list.iter().map(|json| value(json, path)).collect();
            Value::Array(values?.into_iter().collect::<Array>())
        }
        Json::Object(object) => {
            let mut table = InlineTable::new();
            for (key, json) in object.iter().filter(|(_, json)| !json.is_null()) {
                table.insert(key, value(json, path)?);
            }
            Value::InlineTable(table)
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const TEXT: &str = "# ours\n[defaults]\ninterval = \"5s\" # often\n\n[[service]]\nname = \"db\"\nunit = \"db.service\"\n\n[[service]]\nname = \"old\"\nunit = \"old.service\"\n";

    fn merged(patch: &Json) -> String {
        merge(TEXT, patch).unwrap()
    }

    fn read(text: &str) -> Json {
        serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
    }

    #[test]
    fn what_is_not_touched_stays_as_it_was_written() {
        let text = merged(&json!({ "defaults": { "failure_threshold": 2 } }));
        assert_eq!(text, TEXT.replace("# often\n", "# often\nfailure_threshold = 2\n"));
        assert_eq!(merged(&json!({})), TEXT);
    }

    #[test]
    fn objects_merge_null_removes_and_lists_are_replaced() {
        let text = merged(&json!({
            "defaults": { "interval": null, "restart": { "jitter": 0.5 } },
            "service": [{ "name": "web", "unit": "web.service", "http": [{ "url": "http://localhost/" }] }],
            "alerts": { "group_by": ["service"] },
        }));
        let wanted = json!({
            "defaults": { "restart": { "jitter": 0.5 } },
            "service": [{ "name": "web", "unit": "web.service", "http": [{ "url": "http://localhost/" }] }],
            "alerts": { "group_by": ["service"] },
        });
        assert_eq!(read(&text), wanted, "{text}");
    }

    #[test]
    fn services_are_addressed_by_name() {
        let text = merged(&json!({
            "service": { "db": { "interval": "1s" }, "old": null, "new": { "unit": "new.service" }, "none": null },
            "alerts": { "rule": { "service_down": { "severity": "warning" } } },
        }));
        let wanted = json!({
            "defaults": { "interval": "5s" },
            "service": [
                { "name": "db", "unit": "db.service", "interval": "1s" },
                { "name": "new", "unit": "new.service" },
            ],
            "alerts": { "rule": [{ "name": "service_down", "severity": "warning" }] },
        });
        assert_eq!(read(&text), wanted, "{text}");
        assert!(text.starts_with("# ours\n"), "{text}");
    }

    #[test]
    fn what_toml_cannot_say_is_named() {
        for (patch, part) in [
            (json!([]), "a merge patch is a JSON object"),
            (json!({ "a": { "b": [null] } }), "a.b: null"),
            (json!({ "a": u64::MAX }), "a: is a number"),
            (json!({ "service": { "db": 1 } }), "service[db]: is neither"),
        ] {
            let error = merge(TEXT, &patch).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
