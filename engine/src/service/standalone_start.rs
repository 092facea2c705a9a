//! Starting activities that stand alone: checks, and what has the id already.

use temporalio_common::protos::temporal::api::{
    command::v1::ScheduleActivityTaskCommandAttributes,
    common::v1::{
        Link,
        link::{Activity as ActivityLink, Variant},
    },
    enums::v1::{
        ActivityExecutionStatus, ActivityIdConflictPolicy as Conflict, ActivityIdReusePolicy as Reuse, TaskQueueKind,
    },
    errordetails::v1::ActivityExecutionAlreadyStartedFailure,
    history::v1::ActivityTaskScheduledEventAttributes,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{StartActivityExecutionRequest, StartActivityExecutionResponse},
};
use tonic::{Code, Status};
use uuid::Uuid;

use super::{Service, limits, standalone::check_length, status::with_detail};
use crate::{
    core::Core,
    history::{
        activity_policy::Timeouts,
        retry_policy::{check_policy, complete_policy, fault_of_length},
        state::PendingActivity,
        time::{Nanos, duration, from_duration},
    },
    standalone::Record,
};

/// Links that one request brings.
const MAX_LINKS: usize = 10;
/// Links that one activity has (as many as a server takes callbacks, each with a link).
const MAX_LINKS_KEPT: usize = 2_000;

impl Service {
    pub(super) async fn start_activity_execution(
        &self,
        request: StartActivityExecutionRequest,
    ) -> Result<StartActivityExecutionResponse, Status> {
        let scheduled = scheduled(&request)?;
        self.core
            .call(move |core, reply| {
                let answer = start(core, &request, scheduled);
                core.reply(reply, answer);
            })
            .await
    }
}

/// Checks a start, and completes what it says of attempts (`ValidateAndNormalizeStandaloneActivity`).
fn scheduled(request: &StartActivityExecutionRequest) -> Result<ActivityTaskScheduledEventAttributes, Status> {
    let invalid = |text: String| Err(Status::invalid_argument(text));
    if !request.completion_callbacks.is_empty() {
        // As the server has it unless it is configured otherwise.
        return invalid("completion callbacks are not enabled for this namespace".to_owned());
    }
    check_links(request)?;
    if let Some(fault) = fault_of_length(request.start_delay.as_ref()) {
        return invalid(format!("invalid StartDelay: {fault}"));
    }
    let queue = request.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default();
    if queue.is_empty() {
        return invalid("taskQueue is not set".to_owned());
    }
    let kind = request.activity_type.clone().unwrap_or_default();
    for (field, value) in [("activityId", &request.activity_id), ("activityType", &kind.name)] {
        if value.is_empty() {
            return invalid(format!("{field} is not set"));
        }
    }
    let policy = complete_policy(request.retry_policy.as_ref());
    check_policy(&policy).map_err(Status::invalid_argument)?;
    check_length("activityId", &request.activity_id)?;
    check_length("activityType", &kind.name)?;
    check_length("taskQueue", &queue)?;
    check_length("request ID", &request.request_id)?;
    check_length("identity", &request.identity)?;
    limits::check_blob(request.input.as_ref()).map_err(|_| Status::invalid_argument("input exceeds length limit"))?;
    let limits = timeouts(request, &kind.name)?;
    let written = |length: Nanos| Some(duration(length).unwrap_or_default());
    Ok(ActivityTaskScheduledEventAttributes {
        activity_id: request.activity_id.clone(),
        activity_type: Some(kind),
        task_queue: Some(TaskQueue { name: queue, kind: TaskQueueKind::Normal.into(), normal_name: String::new() }),
        schedule_to_close_timeout: written(limits.schedule_to_close),
        schedule_to_start_timeout: written(limits.schedule_to_start),
        start_to_close_timeout: written(limits.start_to_close),
        heartbeat_timeout: written(limits.heartbeat),
        retry_policy: Some(policy),
        priority: request.priority.clone(),
        ..Default::default()
    })
}

/// Checks what the activity is to be linked to, and what of that goes to one that is there already.
fn check_links(request: &StartActivityExecutionRequest) -> Result<(), Status> {
    let invalid = |text: &str| Err(Status::invalid_argument(text));
    if request.links.len() > MAX_LINKS {
        let given = request.links.len();
        return invalid(&format!("cannot attach more than {MAX_LINKS} links per request, got {given}"));
    }
    if request.links.iter().any(|link| link.variant.is_none()) {
        return invalid("unsupported link variant");
    }
    match request.on_conflict_options {
        Some(options) if options.attach_completion_callbacks && !options.attach_request_id => {
            invalid("on_conflict_options: attach_completion_callbacks requires attach_request_id to be set")
        }
        Some(options) if options.attach_request_id && request.links.is_empty() => {
            invalid("on_conflict_options: attach_request_id requires at least one completion callback or link")
        }
        _ => Ok(()),
    }
}

fn timeouts(request: &StartActivityExecutionRequest, kind: &str) -> Result<Timeouts, Status> {
    let given = [
        ("ScheduleToCloseTimeout", request.schedule_to_close_timeout.as_ref()),
        ("ScheduleToStartTimeout", request.schedule_to_start_timeout.as_ref()),
        ("StartToCloseTimeout", request.start_to_close_timeout.as_ref()),
        ("HeartbeatTimeout", request.heartbeat_timeout.as_ref()),
    ];
    for (field, length) in given {
        if let Some(fault) = fault_of_length(length) {
            return Err(Status::invalid_argument(format!("invalid {field}: {fault}")));
        }
    }
    let is_set = |length| from_duration(length) > 0;
    if !is_set(request.schedule_to_close_timeout.as_ref()) && !is_set(request.start_to_close_timeout.as_ref()) {
        return Err(Status::invalid_argument(format!(
            "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. ActivityId={} ActivityType={kind}",
            request.activity_id
        )));
    }
    let command = ScheduleActivityTaskCommandAttributes {
        schedule_to_close_timeout: request.schedule_to_close_timeout,
        schedule_to_start_timeout: request.schedule_to_start_timeout,
        start_to_close_timeout: request.start_to_close_timeout,
        heartbeat_timeout: request.heartbeat_timeout,
        ..Default::default()
    };
    Ok(Timeouts::of(&command, 0))
}

fn start(
    core: &mut Core,
    request: &StartActivityExecutionRequest,
    scheduled: ActivityTaskScheduledEventAttributes,
) -> Result<StartActivityExecutionResponse, Status> {
    core.require_registered(&request.namespace)?;
    let search_attributes = core.admit_search_attributes(&request.namespace, request.search_attributes.clone())?;
    if let Some((key, run_id)) = existing(core, request)? {
        attach(core, key, request)?;
        return Ok(response(request, run_id, false));
    }
    let (now, run_id) = (core.now(), Uuid::now_v7().to_string());
    let delay = from_duration(request.start_delay.as_ref());
    let activity = PendingActivity {
        scheduled: Some(scheduled),
        // All timeouts begin when a delay ends.
        scheduled_time: now.saturating_add(delay),
        attempt: 1,
        attempt_scheduled_time: now.saturating_add(delay),
        backing_off: delay != 0,
        ..Default::default()
    };
    let record = Record {
        namespace: request.namespace.clone(),
        run_id: run_id.clone(),
        activity,
        status: ActivityExecutionStatus::Running.into(),
        schedule_time: now,
        search_attributes,
        user_metadata: request.user_metadata.clone(),
        header: request.header.clone(),
        start_request_id: request.request_id.clone(),
        transitions: 1,
        links: request.links.clone(),
        ..Default::default()
    };
    core.start_activity_execution(record, request.input.as_ref());
    Ok(response(request, run_id, true))
}

/// Links the activity that is there already to what the request names, if that is asked for.
fn attach(core: &mut Core, key: i64, request: &StartActivityExecutionRequest) -> Result<(), Status> {
    let Some(record) = core.activities.get(key).filter(|record| record.start_request_id != request.request_id) else {
        return Ok(());
    };
    if request.on_conflict_options.is_none_or(|options| !options.attach_links) {
        return Ok(());
    }
    let new: Vec<Link> = request.links.iter().filter(|link| !record.links.contains(link)).cloned().collect();
    if record.links.len().saturating_add(new.len()) > MAX_LINKS_KEPT {
        return Err(Status::failed_precondition(format!("an activity has {MAX_LINKS_KEPT} links at the most")));
    }
    if !new.is_empty() {
        core.update_activity(key, |record, _| {
            record.links.extend(new);
            record.transitions += 1;
        });
    }
    Ok(())
}

/// The run that stands for the one that is asked for, if there is one.
///
/// # Errors
/// `ALREADY_EXISTS`: there is one, and the policies say no.
fn existing(core: &Core, request: &StartActivityExecutionRequest) -> Result<Option<(i64, String)>, Status> {
    let (key, found) = match core.find_activity(&request.namespace, &request.activity_id, "") {
        Ok(found) => found,
        Err(status) if status.code() == Code::NotFound => return Ok(None),
        Err(status) => return Err(status),
    };
    let same = !request.request_id.is_empty() && found.start_request_id == request.request_id;
    let joins = found.is_open() && request.id_conflict_policy() == Conflict::UseExisting;
    if same || joins {
        return Ok(Some((key, found.run_id)));
    }
    let again = match request.id_reuse_policy() {
        Reuse::RejectDuplicate => false,
        Reuse::AllowDuplicateFailedOnly => found.status() != ActivityExecutionStatus::Completed,
        Reuse::AllowDuplicate | Reuse::Unspecified => true,
    };
    if !found.is_open() && again {
        return Ok(None);
    }
    let detail =
        ActivityExecutionAlreadyStartedFailure { start_request_id: found.start_request_id, run_id: found.run_id };
    let name = "temporal.api.errordetails.v1.ActivityExecutionAlreadyStartedFailure";
    Err(with_detail(Code::AlreadyExists, "activity execution already started", name, &detail))
}

fn response(request: &StartActivityExecutionRequest, run_id: String, started: bool) -> StartActivityExecutionResponse {
    let (namespace, activity_id) = (request.namespace.clone(), request.activity_id.clone());
    let link = ActivityLink { namespace, activity_id, run_id: run_id.clone() };
    StartActivityExecutionResponse { run_id, started, link: Some(Link { variant: Some(Variant::Activity(link)) }) }
}
