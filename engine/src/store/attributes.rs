//! Search attributes in their two stored forms: a blob beside the run, from which they are read back, and one row for
//! each value, by which they are found.

use std::collections::BTreeMap;

use prost::Message;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use super::types::SearchValue;
use crate::{
    clock::Timestamp,
    visibility::{SearchType, words},
};

#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(oneof = "Stored", tags = "2, 3, 4, 5, 6, 7, 8")]
    value: Option<Stored>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Stored {
    #[prost(string, tag = "2")]
    Keyword(String),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(sint64, tag = "4")]
    Int(i64),
    #[prost(double, tag = "5")]
    Double(f64),
    #[prost(bool, tag = "6")]
    Bool(bool),
    #[prost(sint64, tag = "7")]
    Datetime(i64),
    #[prost(message, tag = "8")]
    KeywordList(Keywords),
}

#[derive(Clone, PartialEq, Message)]
struct Keywords {
    #[prost(string, repeated, tag = "1")]
    items: Vec<String>,
}

/// The blob for `attributes`; equal maps give equal blobs.
pub(super) fn encode(attributes: &BTreeMap<String, SearchValue>) -> Vec<u8> {
    let item = |(name, value): (&String, &SearchValue)| Attribute { name: name.clone(), value: Some(stored(value)) };
    Attributes { items: attributes.iter().map(item).collect() }.encode_to_vec()
}

/// The map in `blob`.
pub(super) fn decode(blob: &[u8]) -> Result<BTreeMap<String, SearchValue>, prost::DecodeError> {
    let items = Attributes::decode(blob)?.items;
    Ok(items.into_iter().filter_map(|item| Some((item.name, loaded(item.value?)))).collect())
}

fn stored(value: &SearchValue) -> Stored {
    match value.clone() {
        SearchValue::Keyword(text) => Stored::Keyword(text),
        SearchValue::Text(text) => Stored::Text(text),
        SearchValue::Int(number) => Stored::Int(number),
        SearchValue::Double(number) => Stored::Double(number),
        SearchValue::Bool(truth) => Stored::Bool(truth),
        SearchValue::Datetime(time) => Stored::Datetime(time.as_nanos()),
        SearchValue::KeywordList(items) => Stored::KeywordList(Keywords { items }),
    }
}

fn loaded(value: Stored) -> SearchValue {
    match value {
        Stored::Keyword(text) => SearchValue::Keyword(text),
        Stored::Text(text) => SearchValue::Text(text),
        Stored::Int(number) => SearchValue::Int(number),
        Stored::Double(number) => SearchValue::Double(number),
        Stored::Bool(truth) => SearchValue::Bool(truth),
        Stored::Datetime(nanos) => SearchValue::Datetime(Timestamp(nanos)),
        Stored::KeywordList(list) => SearchValue::KeywordList(list.items),
    }
}

/// The values by which `value` is found, with their type. None for what counts as unset.
pub(super) fn index_values(value: &SearchValue) -> (SearchType, Vec<Value>) {
    match value {
        SearchValue::Keyword(text) => (SearchType::Keyword, vec![Value::Text(text.clone())]),
        SearchValue::Text(text) => (SearchType::Text, text_values(text)),
        SearchValue::Int(number) => (SearchType::Int, vec![Value::Integer(*number)]),
        // SQLite would store NaN as NULL.
        SearchValue::Double(number) if number.is_nan() => (SearchType::Double, Vec::new()),
        SearchValue::Double(number) => (SearchType::Double, vec![Value::Real(*number)]),
        SearchValue::Bool(truth) => (SearchType::Bool, vec![Value::Integer(i64::from(*truth))]),
        SearchValue::Datetime(time) => (SearchType::Datetime, vec![Value::Integer(time.as_nanos())]),
        SearchValue::KeywordList(items) => {
            (SearchType::KeywordList, items.iter().map(|item| Value::Text(item.clone())).collect())
        }
    }
}

/// The words of a text. One without words still gets a row, so that it is not taken for an absent one.
fn text_values(text: &str) -> Vec<Value> {
    let words = words(text);
    if words.is_empty() { vec![Value::Text(String::new())] } else { words.into_iter().map(Value::Text).collect() }
}

/// The map, as a column of a row.
pub(super) struct Column(pub(super) BTreeMap<String, SearchValue>);

impl rusqlite::types::FromSql for Column {
    fn column_result(value: ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        let blob = value.as_blob()?;
        decode(blob).map(Self).map_err(|error| rusqlite::types::FromSqlError::Other(Box::new(error)))
    }
}

impl rusqlite::types::ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_nanos()))
    }
}

impl rusqlite::types::FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_type_survives_its_blob() {
        let attributes: BTreeMap<_, _> = [
            ("keyword", SearchValue::Keyword("a".into())),
            ("empty", SearchValue::Keyword(String::new())),
            ("text", SearchValue::Text("two Words".into())),
            ("int", SearchValue::Int(i64::MIN)),
            ("zero", SearchValue::Int(0)),
            ("double", SearchValue::Double(-0.5)),
            ("bool", SearchValue::Bool(false)),
            ("time", SearchValue::Datetime(Timestamp(-1))),
            ("list", SearchValue::KeywordList(vec!["x".into(), String::new()])),
            ("none", SearchValue::KeywordList(Vec::new())),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        assert_eq!(decode(&encode(&attributes)).unwrap(), attributes);
        assert!(decode(&[0xff]).is_err());
    }
}
