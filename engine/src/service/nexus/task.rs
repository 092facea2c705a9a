//! Nexus tasks, as workers poll and answer them.

use temporalio_common::protos::temporal::api::{
    failure::v1::failure::FailureInfo,
    workflowservice::v1::{
        PollNexusTaskQueueRequest, PollNexusTaskQueueResponse, RespondNexusTaskCompletedRequest,
        RespondNexusTaskCompletedResponse, RespondNexusTaskFailedRequest, RespondNexusTaskFailedResponse,
    },
};
use tonic::Status;

use super::answer::{answered, failed, handler_error};
use crate::{
    core::PollReply,
    history::{CallId, HandlerAnswer},
    matching::TaskKind,
    service::{
        Service,
        token::{TaskToken, Token as _},
        versioning::polled_queue,
    },
};

impl Service {
    pub(in crate::service) async fn poll_nexus_task_queue(
        &self,
        request: PollNexusTaskQueueRequest,
    ) -> Result<PollNexusTaskQueueResponse, Status> {
        let options = request.deployment_options.as_ref();
        let queue = polled_queue(request.namespace, request.task_queue, TaskKind::Nexus, options)?;
        self.poll(queue, (request.identity, request.worker_instance_key), None, PollReply::Nexus).await
    }

    pub(in crate::service) async fn respond_nexus_task_completed(
        &self,
        request: RespondNexusTaskCompletedRequest,
    ) -> Result<RespondNexusTaskCompletedResponse, Status> {
        let call = Call::read(&request.task_token)?;
        let answer = answered(call.id.cancel, request.response)?;
        self.answer_call(call, answer).await?;
        Ok(RespondNexusTaskCompletedResponse {})
    }

    #[allow(deprecated, reason = "older workers answer with an error")]
    pub(in crate::service) async fn respond_nexus_task_failed(
        &self,
        request: RespondNexusTaskFailedRequest,
    ) -> Result<RespondNexusTaskFailedResponse, Status> {
        let call = Call::read(&request.task_token)?;
        let answer = match (request.failure, request.error) {
            (Some(failure), _) if matches!(failure.failure_info, Some(FailureInfo::NexusHandlerFailureInfo(_))) => {
                failed(failure)
            }
            (_, Some(error)) => handler_error(error),
            (Some(_), None) => {
                let fault = "request Failure must contain error or failure with NexusHandlerFailureInfo";
                return Err(Status::invalid_argument(fault));
            }
            (None, None) => return Err(Status::invalid_argument("request must contain error or failure")),
        };
        self.answer_call(call, answer).await?;
        Ok(RespondNexusTaskFailedResponse {})
    }

    async fn answer_call(&self, call: Call, answer: HandlerAnswer) -> Result<(), Status> {
        self.core
            .call(move |core, reply| {
                let taken = core.update(call.key, |e, now| e.take_answer(now, call.id, answer));
                let gone = || Status::not_found("Nexus task not found or already expired");
                core.reply(reply, if taken == Some(true) { Ok(()) } else { Err(gone()) });
            })
            .await
    }
}

/// A request that a worker has in its hands.
struct Call {
    key: i64,
    id: CallId,
}

impl Call {
    fn read(token: &[u8]) -> Result<Self, Status> {
        let token = match TaskToken::read(token) {
            Ok(token) if token.nexus => token,
            Err(status) if token.is_empty() => return Err(status),
            _ => return Err(Status::invalid_argument("Error deserializing task token.")),
        };
        let (scheduled_event_id, cancel, attempt) = (token.scheduled_event_id, token.cancel, token.attempt);
        Ok(Self { key: token.key, id: CallId { scheduled_event_id, cancel, attempt } })
    }
}
