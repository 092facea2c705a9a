//! Field masks of partial updates, which name fields in either of protobuf's spellings.

use temporalio_common::protos::temporal::api::common::v1::Priority;
use tonic::Status;

/// A path in lower camel case, as Temporal's `ParseFieldMask` has it.
pub(super) fn camel_case(path: &str) -> String {
    let mut camel = String::with_capacity(path.len());
    let mut upper = false;
    for character in path.chars() {
        match character {
            '_' => upper = true,
            _ if upper => {
                camel.extend(character.to_uppercase());
                upper = false;
            }
            _ => camel.push(character),
        }
    }
    camel
}

/// Whether a mask names `field`, or a part of it.
pub(super) fn has_part_of(mask: &[String], field: &str) -> bool {
    mask.iter().any(|path| is_part_of(path, field))
}

/// Whether a path is that of `field`, or of a part of it.
pub(super) fn is_part_of(path: &str, field: &str) -> bool {
    path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Takes over a priority, or those of its fields that the mask names.
///
/// # Errors
/// `INVALID_ARGUMENT`: a field is named, and there is none; or the priority cannot be.
pub(super) fn merge_priority(
    into: &mut Option<Priority>,
    from: Option<&Priority>,
    mask: &[String],
) -> Result<(), Status> {
    let names = |path: &str| mask.iter().any(|named| named == path);
    if names("priority") {
        *into = from.cloned();
    } else if has_part_of(mask, "priority") {
        let from = from.ok_or_else(|| Status::invalid_argument("Priority is not provided"))?;
        let priority = into.get_or_insert_default();
        if names("priority.priorityKey") {
            priority.priority_key = from.priority_key;
        }
        if names("priority.fairnessKey") {
            priority.fairness_key.clone_from(&from.fairness_key);
        }
        if names("priority.fairnessWeight") {
            priority.fairness_weight = from.fairness_weight;
        }
    }
    match into {
        Some(priority) if priority.priority_key < 0 => Err(Status::invalid_argument("priority key can't be negative")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_path_are_one() {
        assert_eq!(camel_case("retry_policy.maximum_attempts"), "retryPolicy.maximumAttempts");
        assert_eq!(camel_case("startToCloseTimeout"), "startToCloseTimeout");
    }

    #[test]
    fn a_part_of_a_field_is_not_a_field_with_a_longer_name() {
        let mask = ["priorityKey".to_owned(), "retryPolicy.maximumAttempts".to_owned()];
        assert!(has_part_of(&mask, "retryPolicy"));
        assert!(!has_part_of(&mask, "priority"));
    }
}
