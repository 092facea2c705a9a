//! Schedules by hand, one request each. What comes of them is in the rooms below.

mod asked;
mod lived;

use std::time::Duration;

use temporalio_common::protos::temporal::api::{
    command::v1::Command,
    common::v1::WorkflowType,
    enums::v1::{ScheduleOverlapPolicy as Policy, WorkflowExecutionStatus as RunStatus},
    schedule::v1::{
        Schedule, ScheduleAction, ScheduleActionResult, SchedulePatch, SchedulePolicies, ScheduleSpec,
        TriggerImmediatelyRequest, schedule_action::Action,
    },
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::{
        CountSchedulesRequest, CountSchedulesResponse, CreateScheduleRequest, CreateScheduleResponse,
        DeleteScheduleRequest, DeleteScheduleResponse, DescribeScheduleRequest, DescribeScheduleResponse,
        ListSchedulesRequest, ListSchedulesResponse, PatchScheduleRequest, PatchScheduleResponse,
        UpdateScheduleRequest, UpdateScheduleResponse,
    },
};
use tonic::Status;

use crate::{
    hand::{payloads, queue},
    home::{Home, NAMESPACE},
};

const HOUR: Duration = Duration::from_hours(1);
/// The first full hour of the virtual clock, which begins at 22:13:20.
const TO_FULL_HOUR: Duration = Duration::from_secs(46 * 60 + 40);

fn cron(strings: &[&str]) -> ScheduleSpec {
    ScheduleSpec { cron_string: strings.iter().map(|&string| string.to_owned()).collect(), ..Default::default() }
}

/// What is started: a workflow whose id, type and queue are all of that name.
fn action(id: &str) -> NewWorkflowExecutionInfo {
    NewWorkflowExecutionInfo {
        workflow_id: id.into(),
        workflow_type: Some(WorkflowType { name: id.into() }),
        task_queue: queue(id),
        input: payloads(b"input"),
        ..Default::default()
    }
}

fn starts(action: NewWorkflowExecutionInfo) -> Option<ScheduleAction> {
    Some(ScheduleAction { action: Some(Action::StartWorkflow(action)) })
}

/// A schedule that starts a workflow of its own name.
fn schedule(id: &str, spec: ScheduleSpec, policy: Policy) -> Schedule {
    let policies = SchedulePolicies { overlap_policy: policy.into(), ..Default::default() };
    Schedule { spec: Some(spec), action: starts(action(id)), policies: Some(policies), state: None }
}

fn create(id: &str, schedule: Schedule) -> CreateScheduleRequest {
    CreateScheduleRequest {
        namespace: NAMESPACE.into(),
        schedule_id: id.into(),
        schedule: Some(schedule),
        request_id: uuid::Uuid::now_v7().to_string(),
        ..Default::default()
    }
}

fn trigger(policy: Policy) -> SchedulePatch {
    let trigger = TriggerImmediatelyRequest { overlap_policy: policy.into(), scheduled_time: None };
    SchedulePatch { trigger_immediately: Some(trigger), ..Default::default() }
}

impl Home {
    async fn try_create(&self, request: CreateScheduleRequest) -> Result<CreateScheduleResponse, Status> {
        self.call("CreateSchedule", request).await
    }

    async fn create_hourly(&self, id: &str, policy: Policy) {
        self.try_create(create(id, schedule(id, cron(&["@hourly"]), policy))).await.unwrap();
    }

    async fn try_describe_schedule(&self, id: &str) -> Result<DescribeScheduleResponse, Status> {
        let request = DescribeScheduleRequest { namespace: NAMESPACE.into(), schedule_id: id.into() };
        self.call("DescribeSchedule", request).await
    }

    async fn describe_schedule(&self, id: &str) -> DescribeScheduleResponse {
        self.try_describe_schedule(id).await.unwrap()
    }

    async fn patch_schedule(&self, id: &str, patch: SchedulePatch, request_id: &str) -> Result<(), Status> {
        let request = PatchScheduleRequest {
            namespace: NAMESPACE.into(),
            schedule_id: id.into(),
            patch: Some(patch),
            request_id: request_id.into(),
            ..Default::default()
        };
        self.call::<_, PatchScheduleResponse>("PatchSchedule", request).await.map(drop)
    }

    async fn update_schedule(&self, id: &str, schedule: Schedule, token: Vec<u8>) -> Result<(), Status> {
        let request = UpdateScheduleRequest {
            namespace: NAMESPACE.into(),
            schedule_id: id.into(),
            schedule: Some(schedule),
            conflict_token: token,
            request_id: uuid::Uuid::now_v7().to_string(),
            ..Default::default()
        };
        self.call::<_, UpdateScheduleResponse>("UpdateSchedule", request).await.map(drop)
    }

    async fn delete_schedule(&self, id: &str) -> Result<(), Status> {
        let request =
            DeleteScheduleRequest { namespace: NAMESPACE.into(), schedule_id: id.into(), ..Default::default() };
        self.call::<_, DeleteScheduleResponse>("DeleteSchedule", request).await.map(drop)
    }

    async fn list_schedules(&self, query: &str, size: i32, token: Vec<u8>) -> Result<ListSchedulesResponse, Status> {
        let request = ListSchedulesRequest {
            namespace: NAMESPACE.into(),
            maximum_page_size: size,
            next_page_token: token,
            query: query.into(),
        };
        self.call("ListSchedules", request).await
    }

    async fn count_schedules(&self, query: &str) -> Result<CountSchedulesResponse, Status> {
        self.call("CountSchedules", CountSchedulesRequest { namespace: NAMESPACE.into(), query: query.into() }).await
    }

    /// Ids of the runs that the schedule tells of, and how each stands.
    async fn runs(&self, id: &str) -> Vec<(String, RunStatus)> {
        let info = self.describe_schedule(id).await.info.unwrap();
        let run = |action: &ScheduleActionResult| {
            let run = action.start_workflow_result.clone().unwrap();
            (run.workflow_id, action.start_workflow_status())
        };
        info.recent_actions.iter().map(run).collect()
    }

    /// Lets the worker of a queue answer its next task.
    async fn answer(&self, id: &str, command: Command) {
        let task = self.workflow_task(id).await;
        self.complete(task.task_token, vec![command]).await.unwrap();
    }
}
