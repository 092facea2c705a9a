//! Search attributes: which ones a namespace has, what values they take, and how they are shown.
//!
//! [`registry`] keeps the attributes that operators add. [`admit`] checks what clients set, [`commands`] what workflows set.
//! [`value`] reads one value. What is admitted has its type in its metadata, so that it can be read without the registry.

mod admit;
mod commands;
mod registry;
mod value;

use std::collections::BTreeMap;

use temporalio_common::protos::temporal::api::common::v1::{Payload, SearchAttributes};

pub(crate) use self::commands::{RefusedCommand, admit_commands};
pub(super) use self::registry::{add, all_fields, merge_aliases, numbered, registered, remove, system};
use self::value::{TYPE, type_name};
use crate::{
    history::state::ExecutionInfo,
    store::SearchValue,
    visibility::{Schema, SearchType},
};

/// The attribute that says what is paused of a run.
const PAUSE_INFO: &str = "TemporalPauseInfo";

/// The attributes of a run: those that clients and its workflow have set, and what is paused of it.
pub(crate) fn of_run(info: &ExecutionInfo) -> Option<SearchAttributes> {
    if info.pauses.is_empty() {
        return info.search_attributes.clone();
    }
    let mut attributes = info.search_attributes.clone().unwrap_or_default();
    attributes.indexed_fields.insert(PAUSE_INFO.to_owned(), keyword_list(&info.pauses));
    Some(attributes)
}

fn keyword_list(keywords: &[String]) -> Payload {
    let kind = type_name(SearchType::KeywordList);
    let metadata = [("encoding", "json/plain"), (TYPE, kind)];
    let metadata = metadata.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let data = serde_json::Value::from(keywords).to_string().into_bytes();
    Payload { metadata: metadata.into_iter().collect(), data, ..Payload::default() }
}

/// The values by which executions are found. One that cannot be understood is left out.
pub(crate) fn values(attributes: Option<&SearchAttributes>) -> BTreeMap<String, SearchValue> {
    attributes
        .iter()
        .flat_map(|attributes| &attributes.indexed_fields)
        .filter_map(|(name, payload)| value::stored(payload).map(|value| (name.clone(), value)))
        .collect()
}

/// What clients are shown of an execution's attributes: those that its namespace has, by the types that it has them in.
pub(super) fn shown(attributes: SearchAttributes, schema: &Schema) -> SearchAttributes {
    let mut indexed_fields = attributes.indexed_fields;
    indexed_fields.retain(|name, payload| {
        let Some(kind) = schema.search_type(name) else { return false };
        payload.metadata.insert(TYPE.to_owned(), type_name(kind).as_bytes().to_vec());
        true
    });
    SearchAttributes { indexed_fields }
}

/// What clients are shown in a listing: the same, and a list of one as its element.
pub(super) fn listed(attributes: SearchAttributes, schema: &Schema) -> SearchAttributes {
    let mut attributes = shown(attributes, schema);
    for (name, payload) in &mut attributes.indexed_fields {
        if schema.search_type(name) != Some(SearchType::KeywordList) {
            value::unwrap_list(payload);
        }
    }
    attributes
}
