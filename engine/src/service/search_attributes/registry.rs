//! The attributes that a namespace has beside the predefined ones.
//!
//! As on a server over SQL, there is a fixed number of fields of each type, and a namespace gives names to some of them;
//! the names stand in its configuration (`custom_search_attribute_aliases`).

use std::collections::{BTreeMap, HashMap};

use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType, namespace::v1::NamespaceConfig, workflowservice::v1::DescribeNamespaceResponse,
};
use tonic::Status;

use super::value::{TYPES, type_name};
use crate::{
    core::Core,
    visibility::{PREDEFINED, Schema, SearchType},
};

/// Names that are the server's own, beside those of fields and predefined attributes and all that begin with `Temporal`.
const RESERVED: [&str; 4] = ["Memo", "MemoEncoding", "NamespaceId", "VisibilityTaskKey"];

impl Core {
    /// The attributes that a namespace has; the predefined ones where there is no such namespace.
    pub(crate) fn schema(&self, namespace: &str) -> Schema {
        Schema::new(self.namespaces.get(namespace).map(registered).unwrap_or_default())
    }
}

/// How many fields of a type there are.
fn fields(kind: SearchType) -> usize {
    if kind == SearchType::Keyword { 10 } else { 3 }
}

/// Name of a field; they count from 1.
fn field_name(kind: SearchType, number: usize) -> String {
    format!("{}{number:02}", type_name(kind))
}

/// Every field with its type.
pub(in crate::service) fn all_fields() -> impl Iterator<Item = (String, SearchType)> {
    TYPES.into_iter().flat_map(|(_, kind)| (1..=fields(kind)).map(move |number| (field_name(kind, number), kind)))
}

/// The attributes that a namespace has given names to.
pub(in crate::service) fn registered(namespace: &DescribeNamespaceResponse) -> BTreeMap<String, SearchType> {
    let Some(config) = namespace.config.as_ref() else { return BTreeMap::new() };
    let name = |(field, kind)| Some((config.custom_search_attribute_aliases.get(&field)?.clone(), kind));
    all_fields().filter_map(name).collect()
}

/// The attributes that every namespace has.
pub(in crate::service) fn system() -> impl Iterator<Item = (String, SearchType)> {
    let predefined = PREDEFINED.into_iter().map(|(name, kind)| (name.to_owned(), kind));
    Schema::system().map(|(name, kind)| (name.to_owned(), kind)).chain(predefined)
}

/// Types as the API numbers them.
pub(in crate::service) fn numbered(types: impl IntoIterator<Item = (String, SearchType)>) -> HashMap<String, i32> {
    types.into_iter().map(|(name, kind)| (name, kind.number())).collect()
}

/// Adds attributes. One that is there already stays as it is, whatever type is asked for.
///
/// # Errors
/// `INVALID_ARGUMENT`; nothing has been added then.
pub(in crate::service) fn add(
    namespace: &DescribeNamespaceResponse,
    wanted: &HashMap<String, i32>,
) -> Result<NamespaceConfig, Status> {
    if wanted.is_empty() {
        return Err(Status::invalid_argument("SearchAttributes are not set on request."));
    }
    let mut config = namespace.config.clone().unwrap_or_default();
    let known = registered(namespace);
    let wanted: BTreeMap<_, _> = wanted.iter().collect();
    for name in wanted.keys() {
        check_name(name)?;
    }
    for (name, number) in wanted.into_iter().filter(|(name, _)| !known.contains_key(*name)) {
        let field = free_field(&config, *number)?;
        config.custom_search_attribute_aliases.insert(field, name.clone());
    }
    Ok(config)
}

fn check_name(name: &str) -> Result<(), Status> {
    if system().any(|(known, _)| known == name) || RESERVED.contains(&name) || name.starts_with("Temporal") {
        return Err(Status::invalid_argument(format!("Search attribute {name} is reserved by system.")));
    }
    if name.len() > crate::service::MAX_ID_LENGTH {
        return Err(Status::invalid_argument("search attribute name length exceeds limit."));
    }
    Ok(())
}

/// The first field of a type that has no name yet.
fn free_field(config: &NamespaceConfig, number: i32) -> Result<String, Status> {
    let none_free = |most: usize, name: &str| {
        let message = format!(
            "Unable to create search attributes: cannot have more than {most} search attribute of type {name}."
        );
        Status::invalid_argument(message)
    };
    let Some(kind) = SearchType::from_number(number) else {
        return Err(match IndexedValueType::try_from(number) {
            Ok(_) => none_free(0, "Unspecified"),
            Err(_) => Status::invalid_argument(format!("Unknown search attribute type: {number}.")),
        });
    };
    let is_free = |field: &String| !config.custom_search_attribute_aliases.contains_key(field);
    let mut fields_of_type = (1..=fields(kind)).map(|number| field_name(kind, number));
    fields_of_type.find(is_free).ok_or_else(|| none_free(fields(kind), type_name(kind)))
}

/// Takes attributes away. Executions keep their values, and show them again when there is an attribute of that name and type
/// again.
///
/// # Errors
/// `INVALID_ARGUMENT`; nothing has been taken away then.
pub(in crate::service) fn remove(
    namespace: &DescribeNamespaceResponse,
    names: &[String],
) -> Result<NamespaceConfig, Status> {
    if names.is_empty() {
        return Err(Status::invalid_argument("SearchAttributes are not set on request."));
    }
    if let Some((name, _)) = system().find(|(name, _)| names.contains(name)) {
        return Err(Status::invalid_argument(format!("Unable to remove non-custom search attributes: {name}.")));
    }
    let mut config = namespace.config.clone().unwrap_or_default();
    config.custom_search_attribute_aliases.retain(|_, name| !names.contains(name));
    Ok(config)
}

/// Gives names to fields, or takes them away where the name is empty, as an update of the namespace says.
///
/// # Errors
/// `INVALID_ARGUMENT`: the field has another name already, or there is none such.
pub(in crate::service) fn merge_aliases(
    config: &mut NamespaceConfig,
    given: HashMap<String, String>,
) -> Result<(), Status> {
    for (field, name) in given.into_iter().collect::<BTreeMap<_, _>>() {
        if !all_fields().any(|(known, _)| known == field) {
            return Err(Status::invalid_argument(format!("there is no search attribute field {field:?}")));
        }
        if name.is_empty() {
            config.custom_search_attribute_aliases.remove(&field);
            continue;
        }
        check_name(&name)?;
        match config.custom_search_attribute_aliases.get(&field) {
            Some(other) if *other != name => {
                return Err(Status::invalid_argument("Custom search attribute field name already allocated."));
            }
            _ => drop(config.custom_search_attribute_aliases.insert(field, name)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn named(aliases: &[(&str, &str)]) -> DescribeNamespaceResponse {
        let aliases = aliases.iter().map(|(field, name)| ((*field).to_owned(), (*name).to_owned()));
        let config = NamespaceConfig { custom_search_attribute_aliases: aliases.collect(), ..Default::default() };
        DescribeNamespaceResponse { config: Some(config), ..Default::default() }
    }

    fn wanted(attributes: &[(&str, i32)]) -> HashMap<String, i32> {
        attributes.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
    }

    #[test]
    fn names_take_the_first_free_field_of_their_type() {
        let namespace = named(&[("Int01", "a"), ("Int03", "c")]);
        let config = add(&namespace, &wanted(&[("a", 2), ("b", 3), ("k", 2)])).unwrap();
        let aliases: BTreeMap<_, _> = config.custom_search_attribute_aliases.into_iter().collect();
        let expected = [("Int01", "a"), ("Int02", "b"), ("Int03", "c"), ("Keyword01", "k")];
        assert!(aliases.iter().map(|(field, name)| (field.as_str(), name.as_str())).eq(expected));
        let full = named(&[("Int01", "a"), ("Int02", "b"), ("Int03", "c")]);
        let error = add(&full, &wanted(&[("d", 3)])).unwrap_err();
        assert!(error.message().ends_with("cannot have more than 3 search attribute of type Int."), "{error}");
        assert_eq!(add(&full, &wanted(&[("c", 3)])).unwrap(), full.config.unwrap());
    }

    #[test]
    fn names_and_types_that_cannot_be_are_refused() {
        for (name, kind, message) in [
            ("WorkflowId", 2, "Search attribute WorkflowId is reserved by system."),
            ("BuildIds", 7, "Search attribute BuildIds is reserved by system."),
            ("TemporalMine", 2, "Search attribute TemporalMine is reserved by system."),
            ("Memo", 2, "Search attribute Memo is reserved by system."),
            ("Mine", 99, "Unknown search attribute type: 99."),
        ] {
            assert_eq!(add(&named(&[]), &wanted(&[(name, kind)])).unwrap_err().message(), message);
        }
        let error = add(&named(&[]), &wanted(&[("Mine", 0)])).unwrap_err();
        assert!(error.message().ends_with("cannot have more than 0 search attribute of type Unspecified."), "{error}");
    }

    #[test]
    fn an_update_names_and_frees_fields() {
        let mut config = named(&[("Bool01", "a")]).config.unwrap();
        let mut merge = |field: &str, name: &str| {
            merge_aliases(&mut config, [(field.to_owned(), name.to_owned())].into())
                .map_err(|error| error.message().to_owned())
        };
        assert_eq!(merge("Bool01", "b"), Err("Custom search attribute field name already allocated.".to_owned()));
        assert_eq!(merge("Bool01", "a"), Ok(()));
        assert_eq!(merge("Bool01", ""), Ok(()));
        assert_eq!(merge("Bool01", "b"), Ok(()));
        assert!(merge("Bool04", "c").is_err() && merge("Bool02", "RunId").is_err());
        assert_eq!(config.custom_search_attribute_aliases, [("Bool01".to_owned(), "b".to_owned())].into());
    }
}
