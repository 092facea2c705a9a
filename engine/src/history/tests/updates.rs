//! Updates of the model: what workers answer to them.

use temporalio_common::protos::temporal::api::{
    protocol::v1::Message,
    update::v1::{Acceptance, Rejection},
};

use super::{
    model::Model,
    parts::{message, pick, response},
    steps::Deed,
};

impl Model {
    /// A worker's messages for the updates among `deeds`: some twice, some too late, some of updates that nobody knows.
    pub(super) fn messages(&self, deeds: &[Deed]) -> Vec<Message> {
        let mut messages = Vec::new();
        for deed in deeds {
            match deed {
                Deed::AcceptUpdate(which, at_once) => {
                    let id = self.sent_update(*which);
                    let accept = Acceptance {
                        accepted_request_message_id: "message".into(),
                        accepted_request_sequencing_event_id: 1,
                        ..Acceptance::default()
                    };
                    messages.push(message(&id, "Acceptance", &accept));
                    messages.extend(at_once.then(|| message(&id, "Response", &response(&id))));
                }
                Deed::RejectUpdate(which) => {
                    let id = self.sent_update(*which);
                    messages.push(message(&id, "Rejection", &Rejection::default()));
                }
                Deed::CompleteUpdate(which) => {
                    let accepted = self.execution.updates.values().filter(|update| update.completed_event_id == 0);
                    let accepted = accepted.map(|update| update.update_id.clone());
                    if let Some(id) = pick(accepted.collect(), *which) {
                        messages.push(message(&id, "Response", &response(&id)));
                    }
                }
                _ => {}
            }
        }
        messages
    }

    pub(super) fn sent_update(&self, which: u8) -> String {
        let sent = self.execution.admitted.iter().map(|update| update.update_id().to_owned());
        pick(sent.collect(), which).unwrap_or_else(|| "nobody's".to_owned())
    }
}
