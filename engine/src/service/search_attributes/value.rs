//! One value of a search attribute, as clients encode it: JSON, with the name of the type in the metadata.
//!
//! A list of one stands for its element, and an empty list or `null` for no value, whatever the type.

use serde_json::Value as Json;
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::{clock::Timestamp, store::SearchValue, visibility::SearchType};

/// Key of the metadata that names the type.
pub(super) const TYPE: &str = "type";
/// Key of the metadata that says how the data is encoded, and the encodings that search attributes have.
const ENCODING: &str = "encoding";
const JSON: &[u8] = b"json/plain";
const NULL: &[u8] = b"binary/null";

/// Types by the names that metadata and field names have for them.
pub(super) const TYPES: [(&str, SearchType); 7] = [
    ("Text", SearchType::Text),
    ("Keyword", SearchType::Keyword),
    ("Int", SearchType::Int),
    ("Double", SearchType::Double),
    ("Bool", SearchType::Bool),
    ("Datetime", SearchType::Datetime),
    ("KeywordList", SearchType::KeywordList),
];

/// Name of a type in metadata.
pub(super) fn type_name(kind: SearchType) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == kind).map_or("Unspecified", |(name, _)| name)
}

/// A value that the type does not take.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotOfType;

/// Reads a value of that type; `None` when it says that there is none.
pub(super) fn read(payload: &Payload, kind: SearchType) -> Result<Option<SearchValue>, NotOfType> {
    typed(json(payload).ok_or(NotOfType)?, kind)
}

fn typed(json: Json, kind: SearchType) -> Result<Option<SearchValue>, NotOfType> {
    let value = match (kind, json) {
        (_, Json::Null) => return Ok(None),
        (_, Json::Array(items)) if items.is_empty() => return Ok(None),
        (SearchType::KeywordList, Json::Array(items)) => keywords(items).map(SearchValue::KeywordList),
        (kind, Json::Array(mut items)) if items.len() == 1 && !items.iter().any(Json::is_array) => {
            return typed(items.remove(0), kind);
        }
        (SearchType::Keyword, Json::String(text)) => Some(SearchValue::Keyword(text)),
        (SearchType::Text, Json::String(text)) => Some(SearchValue::Text(text)),
        (SearchType::Datetime, Json::String(text)) => Timestamp::from_rfc3339(&text).map(SearchValue::Datetime),
        (SearchType::Int, Json::Number(number)) => number.as_i64().map(SearchValue::Int),
        (SearchType::Double, Json::Number(number)) => number.as_f64().map(SearchValue::Double),
        (SearchType::Bool, Json::Bool(truth)) => Some(SearchValue::Bool(truth)),
        _ => None,
    };
    value.map(Some).ok_or(NotOfType)
}

/// The keywords of a list; `null` among them is the empty one.
fn keywords(items: Vec<Json>) -> Option<Vec<String>> {
    let keyword = |item| match item {
        Json::String(text) => Some(text),
        Json::Null => Some(String::new()),
        _ => None,
    };
    items.into_iter().map(keyword).collect()
}

/// Makes a list of one its element.
pub(super) fn unwrap_list(payload: &mut Payload) {
    if payload.data.first() == Some(&b'[')
        && let Some(Json::Array(items)) = json(payload)
        && let [only] = items.as_slice()
    {
        payload.data = only.to_string().into_bytes();
    }
}

fn json(payload: &Payload) -> Option<Json> {
    match payload.metadata.get(ENCODING).map(Vec::as_slice) {
        Some(JSON) => serde_json::from_slice(&payload.data).ok(),
        Some(NULL) => Some(Json::Null),
        _ => None,
    }
}

/// Reads a value that was admitted. Releases that did not check types have let others in: those count by their form.
pub(super) fn stored(payload: &Payload) -> Option<SearchValue> {
    let named = payload.metadata.get(TYPE);
    let kind = named.and_then(|named| TYPES.iter().find(|(name, _)| name.as_bytes() == named.as_slice()));
    match kind.map(|(_, kind)| read(payload, *kind)) {
        Some(Ok(value)) => value,
        _ => by_form(serde_json::from_slice(&payload.data).ok()?),
    }
}

fn by_form(json: Json) -> Option<SearchValue> {
    match json {
        Json::String(text) => Some(SearchValue::Keyword(text)),
        Json::Bool(truth) => Some(SearchValue::Bool(truth)),
        Json::Number(number) => {
            number.as_i64().map(SearchValue::Int).or_else(|| number.as_f64().map(SearchValue::Double))
        }
        Json::Array(items) => keywords(items).map(SearchValue::KeywordList),
        Json::Null | Json::Object(_) => None,
    }
}

/// A value in an error message, in the form that the server (written in Go) gives it.
pub(super) fn quoted(payload: &Payload) -> String {
    const MOST: usize = 200;
    let text = match json(payload) {
        Some(json) => in_go(&json),
        None => format!("value from <data:{:?}>", String::from_utf8_lossy(&payload.data)),
    };
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain("…".chars()).collect() }
}

fn in_go(json: &Json) -> String {
    let joined = |parts: Vec<String>| parts.join(" ");
    match json {
        Json::Null => "<nil>".to_owned(),
        Json::Bool(truth) => truth.to_string(),
        Json::Number(number) => number.as_f64().map(float_in_go).unwrap_or_default(),
        Json::String(text) => text.clone(),
        Json::Array(items) => format!("[{}]", joined(items.iter().map(in_go).collect())),
        Json::Object(fields) => {
            let field = |(name, value): (&String, &Json)| format!("{name}:{}", in_go(value));
            format!("map[{}]", joined(fields.iter().map(field).collect()))
        }
    }
}

/// Go's `%v` of a float: shortest form, with an exponent from 10^6 on or below 10^-4.
fn float_in_go(number: f64) -> String {
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn payload(json: &str) -> Payload {
        let metadata = [(ENCODING.to_owned(), JSON.to_vec())].into();
        Payload { metadata, data: json.as_bytes().to_vec(), ..Default::default() }
    }

    #[test]
    fn every_type_takes_its_own_values() {
        let keyword = |text: &str| Ok(Some(SearchValue::Keyword(text.to_owned())));
        let list =
            |items: &[&str]| Ok(Some(SearchValue::KeywordList(items.iter().map(|item| (*item).to_owned()).collect())));
        for (json, kind, expected) in [
            (r#""a""#, SearchType::Keyword, keyword("a")),
            (r#"["a"]"#, SearchType::Keyword, keyword("a")),
            (r#"["a","b"]"#, SearchType::Keyword, Err(NotOfType)),
            (r#"[["a"]]"#, SearchType::Keyword, Err(NotOfType)),
            ("5", SearchType::Keyword, Err(NotOfType)),
            ("[]", SearchType::Keyword, Ok(None)),
            ("null", SearchType::Int, Ok(None)),
            ("[null]", SearchType::Int, Ok(None)),
            ("5", SearchType::Int, Ok(Some(SearchValue::Int(5)))),
            ("5.0", SearchType::Int, Err(NotOfType)),
            ("9223372036854775808", SearchType::Int, Err(NotOfType)),
            (r#""5""#, SearchType::Int, Err(NotOfType)),
            ("true", SearchType::Int, Err(NotOfType)),
            ("5", SearchType::Double, Ok(Some(SearchValue::Double(5.0)))),
            ("[1.5]", SearchType::Double, Ok(Some(SearchValue::Double(1.5)))),
            ("true", SearchType::Bool, Ok(Some(SearchValue::Bool(true)))),
            (r#""true""#, SearchType::Bool, Err(NotOfType)),
            (
                r#""1970-01-01T00:00:01Z""#,
                SearchType::Datetime,
                Ok(Some(SearchValue::Datetime(Timestamp::from_secs(1)))),
            ),
            (r#""1970-01-01""#, SearchType::Datetime, Err(NotOfType)),
            ("5", SearchType::Datetime, Err(NotOfType)),
            (r#"["a",null]"#, SearchType::KeywordList, list(&["a", ""])),
            (r#""a""#, SearchType::KeywordList, Err(NotOfType)),
            ("[1]", SearchType::KeywordList, Err(NotOfType)),
            ("{", SearchType::Text, Err(NotOfType)),
        ] {
            assert_eq!(read(&payload(json), kind), expected, "{json} as {kind:?}");
        }
        let null = Payload { metadata: [(ENCODING.to_owned(), NULL.to_vec())].into(), ..Default::default() };
        assert_eq!(read(&null, SearchType::Keyword), Ok(None));
        assert_eq!(read(&Payload { metadata: [].into(), ..payload(r#""a""#) }, SearchType::Keyword), Err(NotOfType));
    }

    #[test]
    fn what_earlier_releases_let_in_counts_by_its_form() {
        let named = |kind: &str, json: &str| {
            let mut payload = payload(json);
            payload.metadata.insert(TYPE.to_owned(), kind.as_bytes().to_vec());
            stored(&payload)
        };
        assert_eq!(named("Text", r#""a b""#), Some(SearchValue::Text("a b".into())));
        assert_eq!(named("Keyword", "5"), Some(SearchValue::Int(5)));
        assert_eq!(named("Int", r#"["a"]"#), Some(SearchValue::KeywordList(vec!["a".into()])));
        assert_eq!(named("Nonsense", "0.5"), Some(SearchValue::Double(0.5)));
        assert_eq!(named("Int", "null"), None);
        assert_eq!(named("Int", "{}"), None);
        assert_eq!(stored(&Payload { data: b"{".to_vec(), ..Default::default() }), None);
    }

    #[test]
    fn errors_quote_as_the_server_does() {
        for (json, expected) in [
            (r#"["a","b"]"#, "[a b]"),
            ("9223372036854775808", "9.223372036854776e+18"),
            ("123456", "123456"),
            ("1234567", "1.234567e+06"),
            ("5.5", "5.5"),
            ("1.0", "1"),
            ("1e25", "1e+25"),
            ("0.000001", "1e-06"),
            (r#"{"k":[true,null]}"#, "map[k:[true <nil>]]"),
        ] {
            assert_eq!(quoted(&payload(json)), expected);
        }
        assert_eq!(quoted(&payload("{")), "value from <data:\"{\">");
        assert!(quoted(&payload(&format!("\"{}\"", "x".repeat(5_000)))).chars().count() <= 201);
    }
}
