//! Pending things as rows of the store: each by its kind and its id.

use prost::Message as _;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;

use super::{
    Execution,
    state::{
        PendingActivity, PendingChild, PendingExternal, PendingKind, PendingOperation, PendingTimer, SeenRequest,
        UpdateInfo,
    },
};

impl Execution {
    /// Encoded form of a pending thing, `None` when it is gone.
    pub fn encode_pending(&self, kind: PendingKind, id: i64) -> Option<Vec<u8>> {
        match kind {
            PendingKind::Activity => self.activities.get(&id).map(prost::Message::encode_to_vec),
            PendingKind::Timer => self.timers.get(&id).map(prost::Message::encode_to_vec),
            PendingKind::Child => self.children.get(&id).map(prost::Message::encode_to_vec),
            PendingKind::Signal => self.signals.get(&id).map(prost::Message::encode_to_vec),
            PendingKind::Cancel => self.cancels.get(&id).map(prost::Message::encode_to_vec),
            PendingKind::Buffered => self.buffered.get(&id).map(prost::Message::encode_to_vec),
            PendingKind::Update => self.updates.get(&id).map(prost::Message::encode_to_vec),
            PendingKind::Operation => self.operations.get(&id).map(prost::Message::encode_to_vec),
            PendingKind::SeenRequest => self
                .seen_requests
                .get(&id)
                .map(|request_id| SeenRequest { request_id: request_id.clone() }.encode_to_vec()),
        }
    }

    /// Ids of what is pending of a kind.
    pub fn pending_ids(&self, kind: PendingKind) -> Vec<i64> {
        match kind {
            PendingKind::Activity => self.activities.keys().copied().collect(),
            PendingKind::Timer => self.timers.keys().copied().collect(),
            PendingKind::Child => self.children.keys().copied().collect(),
            PendingKind::Signal => self.signals.keys().copied().collect(),
            PendingKind::Cancel => self.cancels.keys().copied().collect(),
            PendingKind::Buffered => self.buffered.keys().copied().collect(),
            PendingKind::Update => self.updates.keys().copied().collect(),
            PendingKind::Operation => self.operations.keys().copied().collect(),
            PendingKind::SeenRequest => self.seen_requests.keys().copied().collect(),
        }
    }

    /// Puts back a pending thing that [`Self::encode_pending`] wrote.
    ///
    /// # Errors
    /// The bytes are not of that kind.
    pub fn decode_pending(&mut self, kind: u8, id: i64, bytes: &[u8]) -> Result<(), prost::DecodeError> {
        match kind {
            k if k == PendingKind::Activity as u8 => {
                self.activities.insert(id, Box::new(PendingActivity::decode(bytes)?));
            }
            k if k == PendingKind::Timer as u8 => drop(self.timers.insert(id, PendingTimer::decode(bytes)?)),
            k if k == PendingKind::Child as u8 => drop(self.children.insert(id, PendingChild::decode(bytes)?)),
            k if k == PendingKind::Signal as u8 => drop(self.signals.insert(id, PendingExternal::decode(bytes)?)),
            k if k == PendingKind::Cancel as u8 => drop(self.cancels.insert(id, PendingExternal::decode(bytes)?)),
            k if k == PendingKind::Buffered as u8 => drop(self.buffered.insert(id, HistoryEvent::decode(bytes)?)),
            k if k == PendingKind::SeenRequest as u8 => {
                self.seen_requests.insert(id, SeenRequest::decode(bytes)?.request_id);
            }
            k if k == PendingKind::Update as u8 => drop(self.updates.insert(id, UpdateInfo::decode(bytes)?)),
            k if k == PendingKind::Operation as u8 => {
                self.operations.insert(id, Box::new(PendingOperation::decode(bytes)?));
            }
            _ => tracing::warn!(kind, id, "ignoring a pending row of a kind that this version does not know"),
        }
        Ok(())
    }
}
