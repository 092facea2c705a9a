//! Search attributes as clients encode them (JSON, with the type in the metadata) and as the store filters by them.

use std::collections::BTreeMap;

use temporalio_common::protos::temporal::api::common::v1::{Payload, SearchAttributes};

use crate::{clock::Timestamp, store::SearchValue};

/// The values by which executions are found. One that cannot be understood is left out: it is still shown.
pub(crate) fn values(attributes: Option<&SearchAttributes>) -> BTreeMap<String, SearchValue> {
    attributes
        .iter()
        .flat_map(|attributes| &attributes.indexed_fields)
        .filter_map(|(name, payload)| value(payload).map(|value| (name.clone(), value)))
        .collect()
}

fn value(payload: &Payload) -> Option<SearchValue> {
    let json: serde_json::Value = serde_json::from_slice(&payload.data).ok()?;
    let kind = payload.metadata.get("type").map_or(&b""[..], Vec::as_slice);
    match (kind, json) {
        (b"Text", serde_json::Value::String(text)) => Some(SearchValue::Text(text)),
        (b"Datetime", serde_json::Value::String(text)) => {
            text.parse::<prost_types::Timestamp>().ok().map(|t| SearchValue::Datetime(Timestamp::from(t)))
        }
        (_, serde_json::Value::String(text)) => Some(SearchValue::Keyword(text)),
        (_, serde_json::Value::Bool(flag)) => Some(SearchValue::Bool(flag)),
        (b"Double", serde_json::Value::Number(number)) => number.as_f64().map(SearchValue::Double),
        (_, serde_json::Value::Number(number)) => {
            number.as_i64().map(SearchValue::Int).or_else(|| number.as_f64().map(SearchValue::Double))
        }
        (_, serde_json::Value::Array(items)) => {
            let words: Option<Vec<String>> = items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect();
            words.map(SearchValue::KeywordList)
        }
        _ => None,
    }
}
