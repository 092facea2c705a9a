//! Answers of the API held against its own description.

use dixmgr_testkit::Daemon;
use serde_json::Value;

/// The description that a running dixmgr serves.
pub(crate) struct Description(Value);

/// Every request of the description that needs nothing but the service `web`, and its answer held against it.
pub(crate) fn answers_fit(daemon: &Daemon) {
    let description = Description::of(daemon);
    let paths: Vec<String> = description.0["paths"].as_object().unwrap().keys().cloned().collect();
    let asked = paths.iter().filter(|path| !path.ends_with("/events") && !path.replace("{name}", "").contains('{'));
    let asked: Vec<&String> = asked.filter(|path| description.0["paths"][*path]["get"].is_object()).collect();
    assert!(asked.len() > 10, "{asked:?}");
    for path in asked {
        let (status, body) = daemon.api(&path.replace("{name}", "web")).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        description.fits("get", path, &body);
    }
    let (status, error) = daemon.api("/api/v1/services/nobody/history").unwrap();
    assert_eq!(status, 404);
    check(
        &serde_json::from_str(&error).unwrap(),
        &description.0["components"]["schemas"]["Error"],
        &description.0,
        "an error",
    );
}

impl Description {
    /// That of this dixmgr.
    pub(crate) fn of(daemon: &Daemon) -> Self {
        let (status, document) = daemon.api("/api/v1/openapi.json").expect("an API");
        assert_eq!(status, 200);
        Self(serde_json::from_str(&document).expect("JSON"))
    }

    /// The answer to a request, as the description has its path, is as it says.
    #[track_caller]
    pub(crate) fn fits(&self, method: &str, path: &str, answer: &str) {
        let schema = &self.0["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path} is not described");
        check(&serde_json::from_str(answer).expect("JSON"), schema, &self.0, path);
    }
}

/// Whether an answer is what the description says: no key more, none less that has to be there, all of their types.
fn check(value: &Value, schema: &Value, document: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return check(value, &document.pointer(&reference[1..]).unwrap().clone(), document, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let null = value.is_null() && any.iter().any(|one| one["type"] == "null");
        if !null {
            check(value, &any[0], document, at);
        }
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let fits = |name: &&str| match *name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: a type {other}"),
    };
    assert!(types.iter().any(fits), "{at}: {value} is none of {types:?}");
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value} is none of {allowed:?}");
    }
    for item in value.as_array().into_iter().flatten() {
        check(item, &schema["items"], document, &format!("{at}[]"));
    }
    if let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
        for key in schema["required"].as_array().unwrap() {
            assert!(object.contains_key(key.as_str().unwrap()), "{at} lacks {key}");
        }
        for (key, value) in object {
            let schema = properties.get(key).unwrap_or_else(|| panic!("{at}.{key} is not described"));
            check(value, schema, document, &format!("{at}.{key}"));
        }
    }
}
