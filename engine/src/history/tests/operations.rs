//! Nexus operations of the model: what handlers do.

use temporalio_common::protos::temporal::api::command::v1::{
    ScheduleNexusOperationCommandAttributes, command::Attributes as C,
};

use super::{
    model::{Model, SECOND},
    parts::{failure, pick},
    steps::{Answering, Closing, Limits},
};
use crate::history::{
    Completion, HandlerAnswer, OperationEnd, OperationTarget,
    time::{Nanos, duration},
};

/// Where all operations of the model go.
pub(super) fn target_of_operation() -> OperationTarget {
    OperationTarget { endpoint_id: "endpoint".into(), request_id: "request".into() }
}

/// The command that schedules one.
pub(super) fn schedule_operation(limits: Limits) -> C {
    let seconds = |seconds: u8| duration(Nanos::from(seconds) * SECOND);
    C::ScheduleNexusOperationCommandAttributes(ScheduleNexusOperationCommandAttributes {
        endpoint: "endpoint".into(),
        schedule_to_close_timeout: seconds(limits.schedule_to_close),
        schedule_to_start_timeout: seconds(limits.schedule_to_start),
        start_to_close_timeout: seconds(limits.start_to_close),
        ..Default::default()
    })
}

impl Model {
    pub(super) fn answer(&mut self, which: u8, how: Answering) {
        let calls = self.execution.operations.values().filter_map(|operation| Some(operation.call()?.0));
        let Some(call) = pick(calls.collect(), which) else { return };
        let error = |retryable| HandlerAnswer::Error { failure: Box::new(failure(false)), retryable };
        let answer = match how {
            Answering::Retryable => error(true),
            Answering::ForGood => error(false),
            _ if call.cancel => HandlerAnswer::CancelTaken,
            Answering::Started => HandlerAnswer::Started { token: "token".into(), links: Vec::new() },
            Answering::Completed => HandlerAnswer::Ended(OperationEnd::Completed(None), Vec::new()),
            Answering::Failed => HandlerAnswer::Ended(OperationEnd::Failed(Box::new(failure(false))), Vec::new()),
        };
        assert!(self.execution.take_answer(self.now, call, answer.clone()));
        assert!(!self.execution.take_answer(self.now, call, answer), "an attempt is answered once");
    }

    pub(super) fn end_operation(&mut self, which: u8, how: Closing) {
        let Some(id) = pick(self.execution.operations.keys().copied().collect(), which) else { return };
        let failure = || Box::new(failure(false));
        let end = match how {
            Closing::Completed => OperationEnd::Completed(None),
            Closing::Canceled => OperationEnd::Canceled(failure()),
            Closing::Failed | Closing::TimedOut | Closing::Terminated => OperationEnd::Failed(failure()),
        };
        let completion = |request_id: &str| Completion {
            scheduled_event_id: id,
            request_id: request_id.into(),
            token: "token".into(),
            started_time: self.now,
            links: Vec::new(),
            end: end.clone(),
        };
        let (other, own) = (completion("another"), completion("request"));
        assert!(!self.execution.complete_operation(self.now, other), "it is of another operation");
        assert!(self.execution.complete_operation(self.now, own));
    }
}
