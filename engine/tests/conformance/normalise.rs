//! Histories as lines that can be compared.

use dixmgr_testkit::history;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;

/// One line an event: its type and what is left of its attributes.
pub(crate) fn lines(events: &[HistoryEvent]) -> Vec<String> {
    events.iter().map(line).collect()
}

fn line(event: &HistoryEvent) -> String {
    let value = serde_json::to_value(event).expect("an event is plain data");
    history::line(event.event_id, event.event_type().as_str_name(), &value)
}
