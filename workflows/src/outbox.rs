//! Signals on their way to other workflows.
//!
//! They leave in waves: the next wave starts only when every signal of the last was delivered or refused. Temporal
//! does not order signals from one workflow to another, so this is what keeps "not ready, ready" from arriving reversed.

use std::collections::VecDeque;

use dixmgr_model::ServiceSpec;
use serde::{Deserialize, Serialize};
use temporalio_sdk::workflows::join_all;
use temporalio_sdk::{SignalWorkflowOptions, WorkflowContext, WorkflowSignalError};

use crate::messages::{Announce, DependencyReady};
use crate::node::NodeWorkflow;

/// Signals of one wave: well under the server's limit of pending signals in one workflow (2,000).
pub(crate) const WAVE: usize = 200;

/// What can be said to another workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Message {
    /// Signal `dependency_ready`.
    Ready(DependencyReady),
    /// Signal `announce`.
    Announce(Announce),
    /// Signal `restart_now`.
    RestartNow,
    /// Signal `pause`.
    Pause,
    /// Signal `resume`.
    Resume,
    /// Signal `update_spec`.
    UpdateSpec(Box<ServiceSpec>),
    /// Signal `stop_watching`.
    StopWatching,
}

/// A message and who is to get it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outgoing {
    /// Workflow id of the receiver.
    pub(crate) to: String,
    /// The message.
    pub(crate) message: Message,
}

/// Messages that wait for their wave, at most one of a kind for each receiver: the latest says all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outbox {
    queue: VecDeque<Outgoing>,
}

impl Outbox {
    /// Puts a message in line, in place of an older one of its kind to the same receiver.
    pub(crate) fn push(&mut self, to: impl Into<String>, message: Message) {
        let to = to.into();
        let kind = std::mem::discriminant(&message);
        self.queue.retain(|waiting| waiting.to != to || std::mem::discriminant(&waiting.message) != kind);
        self.queue.push_back(Outgoing { to, message });
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes the next wave.
    pub(crate) fn take_wave(&mut self) -> Vec<Outgoing> {
        self.queue.drain(..self.queue.len().min(WAVE)).collect()
    }
}

/// What became of a message.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Workflow id of the receiver.
    pub(crate) to: String,
    /// Whether it has the message. Most often a receiver that has not does not run (yet).
    pub(crate) delivered: bool,
}

/// Sends one wave and reports on each message.
pub(crate) async fn send_wave<W: 'static>(ctx: &WorkflowContext<W>, wave: Vec<Outgoing>) -> Vec<Delivery> {
    join_all(wave.into_iter().map(|outgoing| send(ctx, outgoing))).await
}

async fn send<W: 'static>(ctx: &WorkflowContext<W>, outgoing: Outgoing) -> Delivery {
    let Outgoing { to, message } = outgoing;
    let result = signal(ctx, &to, message).await;
    if let Err(error) = &result
        && !ctx.is_replaying()
    {
        tracing::debug!(target: "dixmgr::signal", %to, %error, "not delivered");
    }
    Delivery { to, delivered: result.is_ok() }
}

/// Every receiver, whatever its type, has these signals under the names that [`NodeWorkflow`] gives them.
async fn signal<W: 'static>(ctx: &WorkflowContext<W>, to: &str, message: Message) -> Result<(), WorkflowSignalError> {
    let receiver = ctx.external_workflow(to, None);
    let options = SignalWorkflowOptions::default();
    match message {
        Message::Ready(ready) => receiver.signal(NodeWorkflow::dependency_ready, ready, options).await,
        Message::Announce(announce) => receiver.signal(NodeWorkflow::announce, announce, options).await,
        Message::RestartNow => receiver.signal(NodeWorkflow::restart_now, (), options).await,
        Message::Pause => receiver.signal(NodeWorkflow::pause, (), options).await,
        Message::Resume => receiver.signal(NodeWorkflow::resume, (), options).await,
        Message::UpdateSpec(spec) => receiver.signal(NodeWorkflow::update_spec, *spec, options).await,
        Message::StopWatching => receiver.signal(NodeWorkflow::stop_watching, (), options).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(ready: bool) -> Message {
        Message::Ready(DependencyReady { service: "db".into(), ready, actions: 0 })
    }

    #[test]
    fn the_latest_of_a_kind_replaces_what_waits() {
        let mut outbox = Outbox::default();
        outbox.push("web", ready(false));
        outbox.push("web", Message::Pause);
        outbox.push("app", ready(false));
        outbox.push("web", ready(true));
        let wave = outbox.take_wave();
        let expected = [("web", Message::Pause), ("app", ready(false)), ("web", ready(true))];
        assert_eq!(wave, expected.map(|(to, message)| Outgoing { to: to.into(), message }).to_vec());
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_wave_is_bounded() {
        let mut outbox = Outbox::default();
        (0..=WAVE).for_each(|index| outbox.push(index.to_string(), Message::StopWatching));
        assert_eq!((outbox.take_wave().len(), outbox.take_wave().len()), (WAVE, 1));
    }
}
