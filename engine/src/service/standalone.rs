//! Activities that stand alone: what workers say of their attempts, and what clients ask of them.

use temporalio_common::protos::temporal::api::{
    common::v1::Payloads,
    workflowservice::v1::{
        DeleteActivityExecutionRequest, DeleteActivityExecutionResponse, PollActivityExecutionRequest,
        PollActivityExecutionResponse, RequestCancelActivityExecutionRequest, RequestCancelActivityExecutionResponse,
        TerminateActivityExecutionRequest, TerminateActivityExecutionResponse,
    },
};
use tokio::sync::oneshot;
use tonic::Status;

use super::{HISTORY_POLL, MAX_ID_LENGTH, Service, token::TaskToken};
use crate::{
    core::{Core, Reply, no_activity},
    history::{ActivityOutcome, HeartbeatNews},
    standalone::{Record, Refused, status_name},
};

/// Who reports of an attempt: the worker that holds it, by its token, or somebody else by the activity's id.
pub(super) enum Holder {
    /// By token.
    Token(TaskToken),
    /// By id.
    Id {
        /// Namespace.
        namespace: String,
        /// Activity id.
        activity_id: String,
        /// Run id; empty for the last run.
        run_id: String,
    },
}

impl Holder {
    /// The activity, and the attempt that is meant (none: whichever is under way).
    fn resolve(&self, core: &Core) -> Result<(i64, Option<i32>), Status> {
        match self {
            Self::Token(token) if core.activities.get(token.key).is_some() => Ok((token.key, Some(token.attempt))),
            Self::Token(token) => Err(no_activity(&token.standalone)),
            Self::Id { namespace, activity_id, run_id } => {
                let (key, record) = core.find_activity(namespace, activity_id, run_id)?;
                if record.is_open() {
                    return Ok((key, None));
                }
                let message = format!("invalid transition from {}", status_name(record.status()));
                Err(Status::failed_precondition(message))
            }
        }
    }

    fn activity_id(&self) -> &str {
        match self {
            Self::Token(token) => &token.standalone,
            Self::Id { activity_id, .. } => activity_id,
        }
    }
}

/// Checks the ids of a request.
pub(super) fn check_ids(activity_id: &str, run_id: &str) -> Result<(), Status> {
    if activity_id.is_empty() {
        return Err(Status::invalid_argument("activity ID is required"));
    }
    check_length("activity ID", activity_id)?;
    if !run_id.is_empty() && uuid::Uuid::parse_str(run_id).is_err() {
        return Err(Status::invalid_argument("invalid run id: must be a valid UUID"));
    }
    Ok(())
}

pub(super) fn check_length(field: &str, value: &str) -> Result<(), Status> {
    match value.len() {
        length if length > MAX_ID_LENGTH => Err(Status::invalid_argument(format!(
            "{field} exceeds length limit. Length={length} Limit={MAX_ID_LENGTH}"
        ))),
        _ => Ok(()),
    }
}

pub(super) fn refused(refused: &Refused) -> Status {
    Status::failed_precondition(refused.to_string())
}

impl Service {
    pub(super) async fn heartbeat_standalone(
        &self,
        holder: Holder,
        details: Option<Payloads>,
    ) -> Result<HeartbeatNews, Status> {
        self.core
            .call(move |core, reply| {
                let answer = holder.resolve(core).and_then(|(key, attempt)| {
                    let beat = core.update_activity(key, |record, now| record.heartbeat(now, attempt, details));
                    beat.flatten().ok_or_else(|| no_activity(holder.activity_id()))
                });
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn end_standalone(
        &self,
        holder: Holder,
        identity: String,
        outcome: ActivityOutcome,
    ) -> Result<(), Status> {
        self.core
            .call(move |core, reply| {
                let answer = holder.resolve(core).and_then(|(key, attempt)| {
                    let ended = core.update_activity(key, |record, now| record.end(now, attempt, &identity, outcome));
                    if ended == Some(true) { Ok(()) } else { Err(no_activity(holder.activity_id())) }
                });
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn request_cancel_activity_execution(
        &self,
        request: RequestCancelActivityExecutionRequest,
    ) -> Result<RequestCancelActivityExecutionResponse, Status> {
        check_ids(&request.activity_id, &request.run_id)?;
        self.core
            .call(move |core, reply| {
                let answer = cancel(core, &request);
                core.reply(reply, answer.map(|()| RequestCancelActivityExecutionResponse {}));
            })
            .await
    }

    pub(super) async fn terminate_activity_execution(
        &self,
        request: TerminateActivityExecutionRequest,
    ) -> Result<TerminateActivityExecutionResponse, Status> {
        check_ids(&request.activity_id, &request.run_id)?;
        self.core
            .call(move |core, reply| {
                let answer = terminate(core, &request);
                core.reply(reply, answer.map(|()| TerminateActivityExecutionResponse {}));
            })
            .await
    }

    pub(super) async fn delete_activity_execution(
        &self,
        request: DeleteActivityExecutionRequest,
    ) -> Result<DeleteActivityExecutionResponse, Status> {
        check_ids(&request.activity_id, &request.run_id)?;
        self.core
            .call(move |core, reply| {
                let answer = delete(core, &request);
                core.reply(reply, answer.map(|()| DeleteActivityExecutionResponse {}));
            })
            .await
    }

    /// Waits for what comes of an activity; after a while without it, answers with nothing.
    pub(super) async fn poll_activity_execution(
        &self,
        request: PollActivityExecutionRequest,
    ) -> Result<PollActivityExecutionResponse, Status> {
        check_ids(&request.activity_id, &request.run_id)?;
        let found = self.look_until(request.namespace, request.activity_id, request.run_id, Some(i64::MAX)).await?;
        Ok(found.map_or_else(PollActivityExecutionResponse::default, |(_, record)| PollActivityExecutionResponse {
            run_id: record.run_id,
            outcome: record.outcome,
        }))
    }

    /// An activity, once it has moved on from the transitions that were seen, or has closed; none when it does not in time.
    pub(super) async fn look_until(
        &self,
        namespace: String,
        activity_id: String,
        run_id: String,
        seen: Option<i64>,
    ) -> Result<Option<(i64, Record)>, Status> {
        let deadline = tokio::time::Instant::now() + HISTORY_POLL;
        loop {
            let ids = (namespace.clone(), activity_id.clone(), run_id.clone());
            let look = move |core: &mut Core, reply: Reply<Look>| {
                core.reply_with(reply, move |core| look_at(core, &ids, seen));
            };
            let later = match self.core.call(look).await? {
                Look::There(key, record) => return Ok(Some((key, *record))),
                Look::Later(later) => later,
            };
            match tokio::time::timeout_at(deadline, later).await {
                Ok(Ok(told)) => told?,
                Ok(Err(_)) => {}
                Err(_) => return Ok(None),
            }
        }
    }
}

/// What a look at an activity brings.
enum Look {
    There(i64, Box<Record>),
    Later(oneshot::Receiver<Result<(), Status>>),
}

fn look_at(
    core: &mut Core,
    (namespace, activity_id, run_id): &(String, String, String),
    seen: Option<i64>,
) -> Result<Look, Status> {
    core.require_namespace(namespace)?;
    let (key, record) = core.find_activity(namespace, activity_id, run_id)?;
    let Some(seen) = seen.filter(|seen| record.is_open() && record.transitions <= *seen) else {
        return Ok(Look::There(key, Box::new(record)));
    };
    let (reply, later) = oneshot::channel();
    core.wait_for_activity(key, seen, reply);
    Ok(Look::Later(later))
}

/// Asks for an activity's cancellation.
///
/// # Errors
/// There is no such activity, it has closed, or another request has asked.
pub(super) fn cancel(core: &mut Core, request: &RequestCancelActivityExecutionRequest) -> Result<(), Status> {
    let ids = (request.activity_id.as_str(), request.run_id.as_str());
    let cancel =
        |record: &mut Record, now| record.request_cancel(now, &request.request_id, &request.reason, &request.identity);
    change(core, &request.namespace, ids, cancel).map(drop)
}

/// Ends an activity at once.
///
/// # Errors
/// There is no such activity, it has closed, or another request has ended it.
pub(super) fn terminate(core: &mut Core, request: &TerminateActivityExecutionRequest) -> Result<(), Status> {
    let ids = (request.activity_id.as_str(), request.run_id.as_str());
    let terminate =
        |record: &mut Record, now| record.terminate(now, &request.request_id, &request.reason, &request.identity);
    change(core, &request.namespace, ids, terminate).map(drop)
}

/// Forgets an activity, open or closed.
///
/// # Errors
/// There is no such activity.
pub(super) fn delete(core: &mut Core, request: &DeleteActivityExecutionRequest) -> Result<(), Status> {
    core.require_namespace(&request.namespace)?;
    let (key, _) = core.find_activity(&request.namespace, &request.activity_id, &request.run_id)?;
    core.delete_activity(key);
    Ok(())
}

/// Changes an activity that a client names; its attempt is queued anew if it then waits for a worker.
///
/// # Errors
/// There is no such activity, or it refuses.
pub(super) fn change<T>(
    core: &mut Core,
    namespace: &str,
    (activity_id, run_id): (&str, &str),
    change: impl FnOnce(&mut Record, i64) -> Result<T, Refused>,
) -> Result<T, Status> {
    core.require_namespace(namespace)?;
    let (key, mut record) = core.find_activity(namespace, activity_id, run_id)?;
    let changed = if core.activities.get(key).is_some() {
        core.unqueue_standalone(key);
        core.update_activity(key, change).ok_or_else(|| no_activity(activity_id))?
    } else {
        // A closed one only says why it does not change.
        change(&mut record, core.now())
    };
    changed.map_err(|error| refused(&error))
}
