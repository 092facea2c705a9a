//! Requests to Nexus handlers: put on the queue that their endpoint leads to, given to a worker, answered.
//!
//! A request that is under way is part of its execution's state, and so is put back on its queue when the engine opens. That a
//! worker has taken it is not stored: one that does not answer in time is asked again, with the same request id.

use std::collections::{BTreeMap, HashMap};

use temporalio_common::protos::temporal::api::{
    history::v1::history_event::Attributes,
    nexus::v1::{
        CancelOperationRequest, Request, StartOperationRequest,
        request::{Capabilities, Variant},
    },
    workflowservice::v1::PollNexusTaskQueueResponse,
};
use tonic::Status;

use super::{
    Core,
    callbacks::{CallbackToken, SYSTEM_CALLBACK, TOKEN_HEADER},
    dispatch::{Delivery, Poller},
    endpoints::worker,
};
use crate::{
    history::{
        CallId, HandlerAnswer, handler_failure,
        state::{ExecutionInfo, PendingOperation},
        time::{Nanos, from_duration, shorter, timestamp},
    },
    matching::{QueueKey, Rank, Task, TaskKind},
    service::{
        nexus::link::nexus_link,
        token::{TaskToken, Token as _},
    },
};

/// Who asks, as the server names itself.
const USER_AGENT: &str = "temporalio/server";
const NANOS_PER_MILLI: Nanos = 1_000_000;

/// Where a request that is under way has gone.
#[derive(Debug)]
pub(super) struct Called {
    queue: QueueKey,
    /// Whether a worker has it.
    taken: bool,
}

impl Core {
    /// Brings the queues in step with the requests of those operations: those that are under way wait there, others do not.
    pub(super) fn enqueue_calls(&mut self, key: i64, operations: &[i64]) {
        for id in operations {
            self.drop_stale_calls(key, *id);
            let Some(live) = self.live.get(&key).filter(|live| live.execution.is_open()) else { return };
            let operation = live.execution.operations.get(id);
            let Some((call, _)) = operation.and_then(|operation| operation.call()) else { continue };
            if live.calls.contains_key(&call) {
                continue;
            }
            let Some(queue) = operation.and_then(|operation| self.handlers_of(&live.execution.info, operation)) else {
                self.refuse_call(key, call);
                continue;
            };
            let rank = Rank::of(live.execution.info.priority());
            if let Some(live) = self.live.get_mut(&key) {
                live.calls.insert(call, Called { queue: queue.clone(), taken: false });
            }
            let now = self.now();
            self.queues.add_task(&queue, Task::Nexus { key, call }, rank, now);
        }
    }

    /// The queue that an operation's endpoint leads to. One that was made anew under its name will do.
    fn handlers_of(&self, caller: &ExecutionInfo, operation: &PendingOperation) -> Option<QueueKey> {
        let scheduled = operation.scheduled.as_ref()?;
        let endpoint = self.endpoints.get(&scheduled.endpoint_id);
        let worker = worker(endpoint.or_else(|| self.endpoints.named(&scheduled.endpoint))?)?;
        let (namespace, name, kind) = (worker.namespace.clone(), worker.task_queue.clone(), TaskKind::Nexus);
        let version = self.deployments.target(&namespace, &name, kind.queue_type(), &caller.workflow_id);
        Some(QueueKey { namespace, name, kind, version })
    }

    /// The endpoint is no more.
    fn refuse_call(&mut self, key: i64, call: CallId) {
        let failure = Box::new(handler_failure("NOT_FOUND", "endpoint not registered"));
        let answer = HandlerAnswer::Error { failure, retryable: false };
        self.update(key, |e, now| e.take_answer(now, call, answer));
    }

    /// Takes attempts of an operation's requests that have ended off their queues.
    fn drop_stale_calls(&mut self, key: i64, operation: i64) {
        let Some(live) = self.live.get_mut(&key) else { return };
        let execution = &live.execution;
        let stale = |call: &CallId| call.scheduled_event_id == operation && !execution.awaits(*call);
        let gone: Vec<_> = live.calls.extract_if(.., |call, _| stale(call)).collect();
        for (call, called) in gone {
            self.unqueue_call(key, call, &called);
        }
    }

    /// Takes what waits for workers on behalf of an execution that has closed off its queues.
    pub(super) fn drop_calls(&mut self, key: i64, calls: BTreeMap<CallId, Called>) {
        for (call, called) in calls {
            self.unqueue_call(key, call, &called);
        }
    }

    fn unqueue_call(&mut self, key: i64, call: CallId, called: &Called) {
        if called.taken {
            return;
        }
        for part in self.queues.keys(&called.queue) {
            self.queues.remove_tasks(&part, |task| *task == Task::Nexus { key, call });
        }
    }

    /// Puts a request where it goes by now.
    pub(super) fn requeue_call(&mut self, key: i64, call: CallId) {
        if let Some(live) = self.live.get_mut(&key) {
            live.calls.remove(&call);
        }
        self.enqueue_calls(key, &[call.scheduled_event_id]);
    }

    /// Gives a request to a worker; gives the worker back when nobody waits for an answer any more.
    pub(super) fn give_call(&mut self, queue: &QueueKey, key: i64, call: CallId, poller: Poller) -> Option<Poller> {
        let Some(live) = self.live.get_mut(&key).filter(|live| live.execution.awaits(call)) else {
            return Some(poller);
        };
        // After a failed commit it may wait in the queue twice.
        match live.calls.get_mut(&call) {
            Some(called) if !called.taken => called.taken = true,
            _ => return Some(poller),
        }
        self.hand_over(queue.clone(), poller.reply, move |core| {
            core.nexus_response(key, call).map(|response| Delivery::Nexus(Box::new(response)))
        });
        None
    }

    fn nexus_response(&self, key: i64, call: CallId) -> Result<PollNexusTaskQueueResponse, Status> {
        let gone = || Status::not_found("Nexus task not found or already expired");
        let live = self.live.get(&key).ok_or_else(gone)?;
        let operation = live.execution.operations.get(&call.scheduled_event_id).ok_or_else(gone)?;
        let (_, deadline) = operation.call().filter(|(pending, _)| *pending == call).ok_or_else(gone)?;
        let mut request = if call.cancel {
            cancel_request(operation)
        } else {
            self.start_request(key, &live.execution.info, operation)?
        };
        let now = self.now();
        let left = milliseconds(deadline.saturating_sub(now));
        for name in ["request-timeout", "Request-Timeout"] {
            request.header.insert(name.to_owned(), left.clone());
        }
        request.header.insert("user-agent".to_owned(), USER_AGENT.to_owned());
        request.scheduled_time = timestamp(now);
        let token = TaskToken {
            key,
            scheduled_event_id: call.scheduled_event_id,
            attempt: call.attempt,
            nexus: true,
            cancel: call.cancel,
            ..TaskToken::default()
        };
        Ok(PollNexusTaskQueueResponse { task_token: token.to_bytes(), request: Some(request), ..Default::default() })
    }

    fn start_request(&self, key: i64, caller: &ExecutionInfo, operation: &PendingOperation) -> Result<Request, Status> {
        let id = operation.scheduled_event_id;
        let event = self.event(key, id)?;
        let Some(Attributes::NexusOperationScheduledEventAttributes(scheduled)) = event.attributes else {
            return Err(Status::data_loss("an operation's scheduled event is something else"));
        };
        let link = nexus_link(caller, id);
        let token = CallbackToken {
            namespace: caller.namespace.clone(),
            workflow_id: caller.workflow_id.clone(),
            run_id: caller.run_id.clone(),
            scheduled_event_id: id,
            request_id: scheduled.request_id.clone(),
        };
        let mut header = scheduled.nexus_header;
        if let Some(left) = time_of_operation(operation, self.now()) {
            header.entry("operation-timeout".to_owned()).or_insert_with(|| milliseconds(left));
        }
        header.insert("nexus-request-id".to_owned(), scheduled.request_id.clone());
        header.insert("nexus-link".to_owned(), format!("<{}>; type=\"{}\"", link.url, link.r#type));
        let start = StartOperationRequest {
            service: scheduled.service,
            operation: scheduled.operation,
            request_id: scheduled.request_id,
            callback: SYSTEM_CALLBACK.to_owned(),
            payload: scheduled.input,
            callback_header: HashMap::from([(TOKEN_HEADER.to_owned(), token.to_text())]),
            links: vec![link],
        };
        Ok(Request {
            header,
            capabilities: Some(Capabilities { temporal_failure_responses: true }),
            endpoint: scheduled.endpoint,
            variant: Some(Variant::StartOperation(start)),
            ..Default::default()
        })
    }
}

fn cancel_request(operation: &PendingOperation) -> Request {
    let scheduled = operation.attributes();
    #[allow(deprecated, reason = "the field is deprecated for SDKs, and still written by the server")]
    let cancel = CancelOperationRequest {
        service: scheduled.service,
        operation: scheduled.operation,
        operation_id: operation.token.clone(),
        operation_token: operation.token.clone(),
    };
    let mut header = scheduled.nexus_header;
    header.insert("content-length".to_owned(), "0".to_owned());
    Request {
        header,
        capabilities: Some(Capabilities::default()),
        endpoint: scheduled.endpoint,
        variant: Some(Variant::CancelOperation(cancel)),
        ..Default::default()
    }
}

/// How long the operation itself may take from now on, if that is limited.
fn time_of_operation(operation: &PendingOperation, now: Nanos) -> Option<Nanos> {
    let scheduled = operation.attributes();
    let to_close = from_duration(scheduled.schedule_to_close_timeout.as_ref());
    let left = if to_close == 0 { 0 } else { (operation.scheduled_time + to_close - now).max(1) };
    let limit = shorter(from_duration(scheduled.start_to_close_timeout.as_ref()), left);
    (limit != 0).then_some(limit)
}

/// A length as the headers of Nexus have it.
fn milliseconds(length: Nanos) -> String {
    format!("{}ms", length / NANOS_PER_MILLI)
}
