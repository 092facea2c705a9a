//! Search attributes: which ones a namespace has, what values they take, and how they are shown.
//!
//! [`registry`] keeps the attributes that operators add. [`admit`] checks what clients set, [`commands`] what workflows set.
//! [`value`] reads one value. What is admitted has its type in its metadata, so that it can be read without the registry.

mod admit;
mod commands;
mod registry;
mod value;

use std::collections::BTreeMap;

use temporalio_common::protos::temporal::api::common::v1::SearchAttributes;

pub(crate) use self::commands::{RefusedCommand, admit_commands};
pub(super) use self::registry::{add, all_fields, merge_aliases, numbered, registered, remove, system};
use self::value::{TYPE, type_name};
use crate::{
    store::SearchValue,
    visibility::{Schema, SearchType},
};

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
