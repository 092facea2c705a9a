//! Pausing, unpausing and resetting activities, and giving them other options.

use prost_wkt_types::Duration;
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    history::v1::{ActivityTaskScheduledEventAttributes, history_event::Attributes},
    workflowservice::v1::{
        PauseActivityRequest, PauseActivityResponse, ResetActivityRequest, ResetActivityResponse,
        UnpauseActivityRequest, UnpauseActivityResponse, UpdateActivityOptionsRequest, UpdateActivityOptionsResponse,
        pause_activity_request, reset_activity_request, unpause_activity_request, update_activity_options_request,
    },
};
use tonic::Status;
use uuid::Uuid;

use super::{Service, activity_options, require_id, require_run_id};
use crate::{
    core::Core,
    history::{
        ActivityReset, ActivityUnpause, options_of,
        state::ActivityPause,
        time::{Nanos, from_duration},
    },
};

/// Which of a run's activities are meant.
#[derive(Debug, Clone)]
enum Selected {
    Id(String),
    Type(String),
    All,
}

impl Service {
    pub(super) async fn pause_activity(&self, request: PauseActivityRequest) -> Result<PauseActivityResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = pause(core, request);
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn unpause_activity(
        &self,
        request: UnpauseActivityRequest,
    ) -> Result<UnpauseActivityResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = unpause(core, request);
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn reset_activity(&self, request: ResetActivityRequest) -> Result<ResetActivityResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = reset(core, request);
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn update_activity_options(
        &self,
        request: UpdateActivityOptionsRequest,
    ) -> Result<UpdateActivityOptionsResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = update_options(core, request);
                core.reply(reply, answer);
            })
            .await
    }
}

/// Pauses activities of a run.
///
/// # Errors
/// There is no such run, it has no such activity, or another request has paused it.
pub(super) fn pause(core: &mut Core, request: PauseActivityRequest) -> Result<PauseActivityResponse, Status> {
    use pause_activity_request::Activity;
    let selected = request.activity.map(|activity| match activity {
        Activity::Id(id) => Selected::Id(id),
        Activity::Type(kind) => Selected::Type(kind),
    });
    let (key, ids) = find(core, &request.namespace, request.execution, selected)?;
    let (identity, reason, request_id) = (request.identity, request.reason, request.request_id);
    let pause = ActivityPause { time: core.now(), identity, reason, request_id };
    let live = core.live.get(&key).map(|live| &live.execution.activities);
    let other = ids.iter().filter_map(|id| live?.get(id)?.pause.as_ref()).any(|by| by.request_id != pause.request_id);
    if other {
        return Err(Status::failed_precondition("activity is already paused"));
    }
    for id in ids {
        core.unqueue_activity(key, id);
        core.update(key, |e, _| e.pause_activity(id, &pause));
    }
    Ok(PauseActivityResponse {})
}

/// Unpauses activities of a run.
///
/// # Errors
/// There is no such run, or it has no such activity.
pub(super) fn unpause(core: &mut Core, request: UnpauseActivityRequest) -> Result<UnpauseActivityResponse, Status> {
    use unpause_activity_request::Activity;
    let selected = request.activity.map(|activity| match activity {
        Activity::Id(id) => Selected::Id(id),
        Activity::Type(kind) => Selected::Type(kind),
        Activity::UnpauseAll(_) => Selected::All,
    });
    let (key, ids) = find(core, &request.namespace, request.execution, selected)?;
    let how = ActivityUnpause { reset_attempts: request.reset_attempts, reset_heartbeat: request.reset_heartbeat };
    for id in ids {
        let delay = random_below(request.jitter.as_ref());
        core.unqueue_activity(key, id);
        core.update(key, |e, now| e.unpause_activity(now, id, how, delay));
    }
    Ok(UnpauseActivityResponse {})
}

/// Resets activities of a run.
///
/// # Errors
/// There is no such run, or it has no such activity.
pub(super) fn reset(core: &mut Core, request: ResetActivityRequest) -> Result<ResetActivityResponse, Status> {
    use reset_activity_request::Activity;
    let selected = request.activity.map(|activity| match activity {
        Activity::Id(id) => Selected::Id(id),
        Activity::Type(kind) => Selected::Type(kind),
        Activity::MatchAll(_) => Selected::All,
    });
    let (key, ids) = find(core, &request.namespace, request.execution, selected)?;
    let how = ActivityReset { reset_heartbeat: request.reset_heartbeat, keep_paused: request.keep_paused };
    let originals = if request.restore_original_options { scheduled_events(core, key, &ids)? } else { Vec::new() };
    for (at, id) in ids.into_iter().enumerate() {
        let delay = random_below(request.jitter.as_ref());
        core.unqueue_activity(key, id);
        core.update(key, |e, now| e.reset_activity(now, id, how, originals.get(at), delay));
    }
    Ok(ResetActivityResponse {})
}

/// Gives activities of a run other options.
///
/// # Errors
/// There is no such run, it has no such activity, or the options cannot be.
pub(super) fn update_options(
    core: &mut Core,
    request: UpdateActivityOptionsRequest,
) -> Result<UpdateActivityOptionsResponse, Status> {
    use update_activity_options_request::Activity;
    let selected = request.activity.map(|activity| match activity {
        Activity::Id(id) => Selected::Id(id),
        Activity::Type(kind) => Selected::Type(kind),
        Activity::MatchAll(_) => Selected::All,
    });
    let mask = request.update_mask.map(|mask| mask.paths);
    if request.restore_original && mask.as_ref().is_some_and(|paths| !paths.is_empty()) {
        return Err(Status::invalid_argument("Both UpdateMask and RestoreOriginal are provided"));
    }
    let (key, ids) = find(core, &request.namespace, request.execution, selected)?;
    let options = if request.restore_original {
        scheduled_events(core, key, &ids)?.iter().map(options_of).collect()
    } else {
        let from =
            request.activity_options.ok_or_else(|| Status::invalid_argument("ActivityOptions are not provided"))?;
        let mask = mask.ok_or_else(|| Status::invalid_argument("UpdateMask is not provided"))?;
        let activities = core.live.get(&key).map(|live| &live.execution.activities);
        let found = ids.iter().filter_map(|id| activities?.get(id));
        found.map(|activity| activity_options::merged(activity, &from, &mask)).collect::<Result<Vec<_>, _>>()?
    };
    let answer = options.last().cloned();
    for (id, options) in ids.into_iter().zip(options) {
        core.unqueue_activity(key, id);
        core.update(key, |e, now| e.set_activity_options(now, id, options));
    }
    Ok(UpdateActivityOptionsResponse { activity_options: answer })
}

/// The open run that is meant, and those of its activities that are.
fn find(
    core: &Core,
    namespace: &str,
    execution: Option<WorkflowExecution>,
    selected: Option<Selected>,
) -> Result<(i64, Vec<i64>), Status> {
    let execution = execution.unwrap_or_default();
    require_id(&execution.workflow_id, "WorkflowId")?;
    require_run_id(&execution.run_id)?;
    let selected = selected
        .ok_or_else(|| Status::invalid_argument("Either Activity.Id or Activity.Type should be set on request."))?;
    core.require_namespace(namespace)?;
    let key = core.find_open(namespace, &execution)?;
    let activities = core.live.get(&key).map(|live| &live.execution.activities).into_iter().flatten();
    let ids: Vec<i64> = activities
        .filter(|(_, activity)| match &selected {
            Selected::Id(id) => activity.activity_id() == id,
            Selected::Type(kind) => activity.activity_type().is_some_and(|known| known.name == *kind),
            Selected::All => true,
        })
        .map(|(id, _)| *id)
        .collect();
    if ids.is_empty() {
        let message = "Can't find pending activity with such ID. Invalid activityID or activity already completed";
        return Err(Status::not_found(message));
    }
    Ok((key, ids))
}

/// What the workflow once asked for.
fn scheduled_events(core: &Core, key: i64, ids: &[i64]) -> Result<Vec<ActivityTaskScheduledEventAttributes>, Status> {
    let scheduled = |id: &i64| match core.event(key, *id)?.attributes {
        Some(Attributes::ActivityTaskScheduledEventAttributes(scheduled)) => Ok(scheduled),
        _ => Err(Status::data_loss("an activity's scheduled event is something else")),
    };
    ids.iter().map(scheduled).collect()
}

/// A length of time below `most`, by chance.
pub(super) fn random_below(most: Option<&Duration>) -> Nanos {
    let (_, random) = Uuid::new_v4().as_u64_pair();
    match u64::try_from(from_duration(most)) {
        // The highest bits of such an id say what kind of id it is.
        Ok(most) if most > 0 => Nanos::try_from((random & (u64::MAX >> 8)) % most).unwrap_or(0),
        _ => 0,
    }
}
