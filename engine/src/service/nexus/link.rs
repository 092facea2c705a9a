//! Links to events of workflows, as Nexus carries them between callers and handlers: as URLs
//! (`common/nexus/link_converter.go`).

use std::borrow::Cow;

use temporalio_common::protos::temporal::api::{
    common::v1::{
        Link,
        link::{self, workflow_event::EventReference, workflow_event::Reference, workflow_event::RequestIdReference},
    },
    enums::v1::EventType,
    nexus::v1::Link as NexusLink,
};
use url::{Url, form_urlencoded};

use crate::history::state::ExecutionInfo;

/// The type of the links that are known here.
const WORKFLOW_EVENT: &str = "temporal.api.common.v1.Link.WorkflowEvent";

/// The link to the event by which a run has scheduled an operation.
pub(crate) fn nexus_link(caller: &ExecutionInfo, scheduled_event_id: i64) -> NexusLink {
    let [namespace, workflow_id, run_id] =
        [&caller.namespace, &caller.workflow_id, &caller.run_id].map(|part| escaped(part));
    let query = format!("eventID={scheduled_event_id}&eventType=NexusOperationScheduled&referenceType=EventReference");
    NexusLink {
        url: format!("temporal:///namespaces/{namespace}/workflows/{workflow_id}/{run_id}/history?{query}"),
        r#type: WORKFLOW_EVENT.to_owned(),
    }
}

/// What links of a handler point to. Those of other types, and those that cannot be read, are left out: nothing depends on them.
pub(crate) fn links(given: &[NexusLink]) -> Vec<Link> {
    given.iter().filter(|link| link.r#type == WORKFLOW_EVENT).filter_map(|link| event(&link.url)).collect()
}

fn event(url: &str) -> Option<Link> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "temporal")?;
    let parts: Vec<&str> = url.path_segments()?.collect();
    let ["namespaces", namespace, "workflows", workflow_id, run_id, "history"] = parts.as_slice() else { return None };
    let value = |name: &str| {
        let pairs = form_urlencoded::parse(url.query().unwrap_or_default().as_bytes());
        pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let event_type = event_type(&value("eventType")?)?.into();
    let reference = match value("referenceType")?.as_str() {
        "EventReference" => {
            let event_id = value("eventID").map_or(Ok(0), |id| id.parse()).ok()?;
            Reference::EventRef(EventReference { event_id, event_type })
        }
        "RequestIdReference" => Reference::RequestIdRef(RequestIdReference {
            request_id: value("requestID").unwrap_or_default(),
            event_type,
        }),
        _ => return None,
    };
    let event = link::WorkflowEvent {
        namespace: unescaped(namespace)?,
        workflow_id: unescaped(workflow_id)?,
        run_id: unescaped(run_id)?,
        reference: Some(reference),
    };
    Some(Link { variant: Some(link::Variant::WorkflowEvent(event)) })
}

/// A type of event by either of its names: `EVENT_TYPE_TIMER_FIRED` or `TimerFired`.
fn event_type(name: &str) -> Option<EventType> {
    if let Some(known) = EventType::from_str_name(name) {
        return Some(known);
    }
    let mut full = "EVENT_TYPE".to_owned();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            full.push('_');
        }
        full.push(letter.to_ascii_uppercase());
    }
    EventType::from_str_name(&full)
}

/// A part of a path, as Go escapes it (`url.PathEscape`).
fn escaped(part: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+=:@".contains(&byte);
    if part.bytes().all(plain) {
        return Cow::Borrowed(part);
    }
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    Cow::Owned(part.bytes().map(escape).collect())
}

fn unescaped(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_where_it_points_whatever_the_names() {
        let caller = ExecutionInfo {
            namespace: "a/b".into(),
            workflow_id: "an id: 100%/ü".into(),
            run_id: "run".into(),
            ..ExecutionInfo::default()
        };
        let link = nexus_link(&caller, 5);
        let there = links(std::slice::from_ref(&link));
        let Some(link::Variant::WorkflowEvent(event)) = there.into_iter().next().unwrap().variant else { panic!() };
        assert_eq!(
            (event.namespace, event.workflow_id, event.run_id),
            ("a/b".into(), caller.workflow_id, "run".into())
        );
        let expected = EventReference { event_id: 5, event_type: EventType::NexusOperationScheduled.into() };
        assert_eq!(event.reference, Some(Reference::EventRef(expected)));
    }

    #[test]
    fn what_is_no_such_link_is_left_out() {
        let of = |kind: &str, url: &str| NexusLink { url: url.into(), r#type: kind.into() };
        let good = "temporal:///namespaces/n/workflows/w/r/history?referenceType=RequestIdReference&requestID=q&eventType=EVENT_TYPE_TIMER_FIRED";
        let given = [
            of("other", good),
            of(WORKFLOW_EVENT, "https://example.com/namespaces/n/workflows/w/r/history"),
            of(WORKFLOW_EVENT, "temporal:///namespaces/n/workflows/w/history"),
            of(
                WORKFLOW_EVENT,
                "temporal:///namespaces/%f/workflows/w/r/history?referenceType=EventReference&eventType=TimerFired",
            ),
            of(
                WORKFLOW_EVENT,
                "temporal:///namespaces/n/workflows/w/r/history?referenceType=EventReference&eventType=Other",
            ),
            of(WORKFLOW_EVENT, good),
        ];
        assert_eq!(links(&given).len(), 1);
    }
}
