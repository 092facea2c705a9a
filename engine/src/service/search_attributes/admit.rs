//! Whether attributes may be set as a client or workflow wants them (`searchattribute.Validator` in the server).

use prost::Message as _;
use temporalio_common::protos::temporal::api::common::v1::{Payload, SearchAttributes};
use tonic::Status;

use super::value::{TYPE, quoted, read, type_name};
use crate::{
    core::Core,
    visibility::{Schema, SearchType},
};

/// Most bytes of one value, and of all together (`limit.searchAttributesSizeOfValue`, `limit.searchAttributesTotalSize`).
const MAX_VALUE_BYTES: usize = 2 << 10;
const MAX_TOTAL_BYTES: usize = 40 << 10;

/// Attributes that the server sets by itself, and nobody else.
const INTERNAL: [&str; 6] = [
    "TemporalExternalPayloadCount",
    "TemporalExternalPayloadSizeBytes",
    "TemporalUsedWorkerDeploymentVersions",
    "TemporalWorkerDeployment",
    "TemporalWorkerDeploymentVersion",
    "TemporalWorkflowVersioningBehavior",
];

/// Why attributes are refused, in the words of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// The namespace has no attribute of that name.
    Unknown(String),
    /// The attribute cannot be set, or not to that value.
    Invalid(String),
    /// More than may be stored.
    TooLarge(String),
}

impl Refused {
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Unknown(message) | Self::Invalid(message) | Self::TooLarge(message) => message,
        }
    }
}

impl Core {
    /// Checks the attributes of a start; answers them with their types, without those that have no value.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`.
    pub(crate) fn admit_search_attributes(
        &self,
        namespace: &str,
        attributes: Option<SearchAttributes>,
    ) -> Result<Option<SearchAttributes>, Status> {
        let Some(mut attributes) = attributes else { return Ok(None) };
        admit(&mut attributes, namespace, &self.schema(namespace), Unset::Dropped)
            .map_err(|refused| Status::invalid_argument(refused.message()))?;
        Ok(Some(attributes))
    }
}

/// What becomes of attributes that are set to no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unset {
    /// There is nothing to take back.
    Dropped,
    /// They take back what is set.
    Kept,
}

/// Checks the attributes and writes their types down. In the order of their names, so that of several faults it is always
/// the same one that is reported.
pub(super) fn admit(
    attributes: &mut SearchAttributes,
    namespace: &str,
    schema: &Schema,
    unset: Unset,
) -> Result<(), Refused> {
    let mut names: Vec<String> = attributes.indexed_fields.keys().cloned().collect();
    names.sort_unstable();
    let kinds = names.iter().map(|name| settable(name, namespace, schema)).collect::<Result<Vec<_>, _>>()?;
    let mut sizes = Ok(());
    for (name, kind) in names.iter().zip(kinds) {
        let Some(payload) = attributes.indexed_fields.get_mut(name) else { continue };
        let is_set = take_type(payload, name, kind)?;
        if payload.data.len() > MAX_VALUE_BYTES && sizes.is_ok() {
            let size = payload.data.len();
            let message = format!("search attribute {name} value size {size} exceeds size limit {MAX_VALUE_BYTES}");
            sizes = Err(Refused::TooLarge(message));
        }
        if !is_set && unset == Unset::Dropped {
            attributes.indexed_fields.remove(name);
        }
    }
    sizes?;
    let total = attributes.encoded_len();
    if total > MAX_TOTAL_BYTES {
        let message = format!("total size of search attributes {total} exceeds size limit {MAX_TOTAL_BYTES}");
        return Err(Refused::TooLarge(message));
    }
    Ok(())
}

/// Type of an attribute that may be set.
fn settable(name: &str, namespace: &str, schema: &Schema) -> Result<SearchType, Refused> {
    if INTERNAL.contains(&name) || Schema::is_system(name) {
        return Err(Refused::Invalid(format!("{name} attribute can't be set in SearchAttributes")));
    }
    let unknown =
        || Refused::Unknown(format!("Namespace {namespace} has no mapping defined for search attribute {name}"));
    schema.search_type(name).ok_or_else(unknown)
}

/// Checks a value and names its type; answers whether there is one.
fn take_type(payload: &mut Payload, name: &str, kind: SearchType) -> Result<bool, Refused> {
    let of_type = type_name(kind);
    let invalid = |_| {
        Refused::Invalid(format!("invalid value for search attribute {name} of type {of_type}: {}", quoted(payload)))
    };
    let is_set = read(payload, kind).map_err(invalid)?.is_some();
    payload.metadata.insert(TYPE.to_owned(), of_type.as_bytes().to_vec());
    Ok(is_set)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn attributes(values: &[(&str, &str)]) -> SearchAttributes {
        let payload = |json: &str| Payload {
            metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
            data: json.as_bytes().to_vec(),
            ..Default::default()
        };
        SearchAttributes {
            indexed_fields: values.iter().map(|(name, json)| ((*name).to_owned(), payload(json))).collect(),
        }
    }

    fn admitted(values: &[(&str, &str)], unset: Unset) -> Result<SearchAttributes, Refused> {
        let long = (0..30).map(|number| (format!("Long{number:02}"), SearchType::Text));
        let mine = [("Mine".to_owned(), SearchType::Keyword), ("Count".to_owned(), SearchType::Int)];
        let mut attributes = attributes(values);
        admit(&mut attributes, "here", &Schema::new(mine.into_iter().chain(long).collect()), unset)?;
        Ok(attributes)
    }

    #[test]
    fn what_is_set_has_its_type_and_what_is_not_is_dropped_at_a_start() {
        let values = [("Mine", r#""a""#), ("Count", "null"), ("BuildIds", r#"["b"]"#)];
        let found = admitted(&values, Unset::Dropped).unwrap();
        assert_eq!(found.indexed_fields["Mine"].metadata["type"], b"Keyword");
        assert_eq!(found.indexed_fields["BuildIds"].metadata["type"], b"KeywordList");
        assert!(!found.indexed_fields.contains_key("Count"));
        let found = admitted(&values, Unset::Kept).unwrap();
        assert_eq!(found.indexed_fields["Count"].metadata["type"], b"Int");
    }

    #[test]
    fn refusals_have_the_words_of_the_server() {
        let refused = |values: &[(&str, &str)]| admitted(values, Unset::Dropped).unwrap_err();
        let long = format!("\"{}\"", "x".repeat(2_048));
        let message = "Namespace here has no mapping defined for search attribute Nope";
        assert_eq!(refused(&[("Count", "true"), ("Nope", "1")]), Refused::Unknown(message.into()));
        for name in ["WorkflowId", "ExecutionStatus", "TemporalWorkerDeployment"] {
            let message = format!("{name} attribute can't be set in SearchAttributes");
            assert_eq!(refused(&[(name, r#""x""#)]), Refused::Invalid(message));
        }
        let message = "invalid value for search attribute Count of type Int: [1 2]";
        assert_eq!(refused(&[("Count", "[1,2]"), ("Mine", &long)]), Refused::Invalid(message.into()));
        let message = "search attribute Mine value size 2050 exceeds size limit 2048";
        assert_eq!(refused(&[("Mine", &long)]), Refused::TooLarge(message.into()));
        let long = format!("\"{}\"", "x".repeat(2_000));
        let names: Vec<_> = (0..30).map(|number| format!("Long{number:02}")).collect();
        let values: Vec<_> = names.iter().map(|name| (name.as_str(), long.as_str())).collect();
        assert!(matches!(refused(&values), Refused::TooLarge(message) if message.starts_with("total size of search")));
    }
}
