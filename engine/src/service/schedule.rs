//! Schedules: created, looked at, changed and deleted.

use prost_wkt_types::Timestamp;
use temporalio_common::protos::temporal::api::{
    errordetails::v1::{QueryFailedFailure, WorkflowExecutionAlreadyStartedFailure},
    schedule::v1::SchedulePatch,
    workflowservice::v1::{
        CreateScheduleRequest, CreateScheduleResponse, DeleteScheduleRequest, DeleteScheduleResponse,
        DescribeScheduleRequest, DescribeScheduleResponse, ListScheduleMatchingTimesRequest,
        ListScheduleMatchingTimesResponse, PatchScheduleRequest, PatchScheduleResponse, UpdateScheduleRequest,
        UpdateScheduleResponse,
    },
};
use tonic::{Code, Status};

use super::{
    Service,
    schedule_check::{change_of, check_given, check_new_id, check_patch, check_request_id, not_found},
    schedule_list::own_search_attributes,
    status::with_detail,
};
use crate::{
    core::Core,
    history::time::from_timestamp,
    schedule::{Change, Machine, Record},
};

impl Service {
    pub(super) async fn create_schedule(
        &self,
        request: CreateScheduleRequest,
    ) -> Result<CreateScheduleResponse, Status> {
        check_new_id(&request.schedule_id)?;
        if request.request_id.is_empty() {
            return Err(Status::invalid_argument("RequestId is not set on request."));
        }
        let change = change_of(request.schedule, request.memo, request.search_attributes, request.request_id)?;
        check_given(&request.schedule_id)?;
        let patch = request.initial_patch.map(|patch| check_patch(Some(patch))).transpose()?.unwrap_or_default();
        let (namespace, schedule_id) = (request.namespace, request.schedule_id);
        self.core
            .call(move |core, reply| {
                let created = create(core, namespace, schedule_id, change, patch);
                core.reply(reply, created);
            })
            .await
    }

    pub(super) async fn describe_schedule(
        &self,
        request: DescribeScheduleRequest,
    ) -> Result<DescribeScheduleResponse, Status> {
        self.core
            .call(move |core, reply| {
                core.reply_with(reply, move |core| {
                    let key = find(core, &request.namespace, &request.schedule_id)?;
                    let machine = core.schedules.get(key).ok_or_else(|| not_found(&request.schedule_id))?;
                    let (schedule, info) = machine.describe(core.now());
                    let record = machine.record();
                    Ok(DescribeScheduleResponse {
                        schedule: Some(schedule),
                        info: Some(info),
                        memo: record.memo.clone(),
                        search_attributes: own_search_attributes(record),
                        conflict_token: token(record),
                    })
                });
            })
            .await
    }

    pub(super) async fn update_schedule(
        &self,
        request: UpdateScheduleRequest,
    ) -> Result<UpdateScheduleResponse, Status> {
        let change = change_of(request.schedule, request.memo, request.search_attributes, request.request_id)?;
        if change.action.is_none() {
            return Err(Status::invalid_argument("Only StartWorkflow action is supported for schedules"));
        }
        let expected = request.conflict_token.first_chunk().map_or(0, |token| i64::from_be_bytes(*token));
        self.core
            .call(move |core, reply| {
                let updated = admitted(core, &request.namespace, change).and_then(|change| {
                    change_schedule(core, &request.namespace, &request.schedule_id, |machine, now| {
                        machine
                            .update(change, expected, now)
                            .map_err(|refused| Status::failed_precondition(refused.to_string()))
                    })
                });
                core.reply(reply, updated.map(|()| UpdateScheduleResponse::default()));
            })
            .await
    }

    pub(super) async fn patch_schedule(&self, request: PatchScheduleRequest) -> Result<PatchScheduleResponse, Status> {
        check_request_id(&request.request_id)?;
        let patch = check_patch(request.patch)?;
        self.core
            .call(move |core, reply| {
                let patched = change_schedule(core, &request.namespace, &request.schedule_id, |machine, now| {
                    machine.patch(patch, &request.request_id, now);
                    Ok(())
                });
                core.reply(reply, patched.map(|()| PatchScheduleResponse::default()));
            })
            .await
    }

    pub(super) async fn list_schedule_matching_times(
        &self,
        request: ListScheduleMatchingTimesRequest,
    ) -> Result<ListScheduleMatchingTimesResponse, Status> {
        self.core
            .call(move |core, reply| {
                core.reply_with(reply, move |core| {
                    let key = find(core, &request.namespace, &request.schedule_id)?;
                    let machine = core.schedules.get(key).ok_or_else(|| not_found(&request.schedule_id))?;
                    let (start, end) = stretch(request.start_time.as_ref(), request.end_time.as_ref())?;
                    Ok(ListScheduleMatchingTimesResponse { start_time: machine.matching_times(start, end) })
                });
            })
            .await
    }

    pub(super) async fn delete_schedule(
        &self,
        request: DeleteScheduleRequest,
    ) -> Result<DeleteScheduleResponse, Status> {
        self.core
            .call(move |core, reply| {
                let found = find(core, &request.namespace, &request.schedule_id);
                let deleted = found.map(|key| core.schedules.delete(key));
                core.reply(reply, deleted.map(|()| DeleteScheduleResponse::default()));
            })
            .await
    }
}

fn create(
    core: &mut Core,
    namespace: String,
    schedule_id: String,
    change: Change,
    patch: SchedulePatch,
) -> Result<CreateScheduleResponse, Status> {
    let change = admitted(core, &namespace, change)?;
    if let Some(key) = core.schedules.key(&namespace, &schedule_id) {
        return asked_before(core, key, &change);
    }
    let namespace_id = core.namespace_id(&namespace);
    let record = Record { namespace, namespace_id, schedule_id, ..Record::default() };
    let now = core.now();
    let mut machine = Machine::create(record, change, now);
    let conflict_token = token(machine.record());
    machine.patch(patch, "", now);
    let key = core.add_schedule(machine)?;
    core.run_schedule(key);
    Ok(CreateScheduleResponse { conflict_token })
}

/// The change, if its search attributes and those of its action are such as the namespace has.
fn admitted(core: &Core, namespace: &str, mut change: Change) -> Result<Change, Status> {
    core.require_namespace(namespace)?;
    change.search_attributes = core.admit_search_attributes(namespace, change.search_attributes.take())?;
    if let Some(start) = &mut change.action {
        start.search_attributes = core.admit_search_attributes(namespace, start.search_attributes.take())?;
    }
    Ok(change)
}

/// The schedule of that id, as it was created by this very request: the answer was lost, and the client asks again.
fn asked_before(core: &Core, key: i64, change: &Change) -> Result<CreateScheduleResponse, Status> {
    let record = core.schedules.get(key).map(Machine::record);
    if let Some(record) = record.filter(|record| record.create_request_id == change.request_id) {
        return Ok(CreateScheduleResponse { conflict_token: token(record) });
    }
    let (schedule_id, start_request_id) =
        record.map(|r| (r.schedule_id.clone(), r.create_request_id.clone())).unwrap_or_default();
    let message = format!("schedule {schedule_id:?} is already registered");
    let detail = WorkflowExecutionAlreadyStartedFailure { start_request_id, ..Default::default() };
    let name = "temporal.api.errordetails.v1.WorkflowExecutionAlreadyStartedFailure";
    Err(with_detail(Code::AlreadyExists, &message, name, &detail))
}

fn find(core: &Core, namespace: &str, schedule_id: &str) -> Result<i64, Status> {
    check_given(schedule_id)?;
    core.require_namespace(namespace)?;
    core.schedules.key(namespace, schedule_id).ok_or_else(|| not_found(schedule_id))
}

/// Changes a schedule, and gives it its turn.
fn change_schedule(
    core: &mut Core,
    namespace: &str,
    schedule_id: &str,
    change: impl FnOnce(&mut Machine, i64) -> Result<(), Status>,
) -> Result<(), Status> {
    let key = find(core, namespace, schedule_id)?;
    let now = core.now();
    let changed = core.schedules.get_mut(key).map_or(Ok(()), |machine| change(machine, now));
    // The look at the clock that goes before a change stands, even where the change is refused.
    core.run_schedule(key);
    changed
}

fn token(record: &Record) -> Vec<u8> {
    record.conflict_token.to_be_bytes().to_vec()
}

/// The stretch of time that is asked for. The server's answer comes from a query of the schedule's workflow.
fn stretch(start: Option<&Timestamp>, end: Option<&Timestamp>) -> Result<(i64, i64), Status> {
    if start.is_none() || end.is_none() {
        let (name, detail) = ("temporal.api.errordetails.v1.QueryFailedFailure", QueryFailedFailure::default());
        return Err(with_detail(Code::InvalidArgument, "missing or invalid query", name, &detail));
    }
    Ok((from_timestamp(start), from_timestamp(end)))
}
