//! Schedules by hand: what is refused, on an engine and on a server, and what time, ends of runs and deaths of the process bring.

use std::time::Duration;

use dixmgr_engine::store::StoreOptions;
use futures::future::join_all;
use temporalio_common::protos::temporal::api::{
    common::v1::{Memo, Payload, RetryPolicy, SearchAttributes},
    enums::v1::{ScheduleOverlapPolicy as Policy, WorkflowExecutionStatus as RunStatus, WorkflowIdReusePolicy},
    history::v1::history_event::Attributes,
    schedule::v1::{
        BackfillRequest, CalendarSpec, IntervalSpec, Range, Schedule, ScheduleAction, SchedulePatch, SchedulePolicies,
        ScheduleSpec, ScheduleState, StructuredCalendarSpec, TriggerImmediatelyRequest, schedule_action::Action,
    },
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::{
        CountSchedulesRequest, CountSchedulesResponse, CreateScheduleRequest, CreateScheduleResponse,
        DeleteScheduleRequest, DeleteScheduleResponse, DescribeScheduleRequest, DescribeScheduleResponse,
        ListScheduleMatchingTimesRequest, ListScheduleMatchingTimesResponse, ListSchedulesRequest,
        ListSchedulesResponse, PatchScheduleRequest, PatchScheduleResponse, UpdateScheduleRequest,
        UpdateScheduleResponse,
    },
};
use tonic::{Code, Status};

use crate::{
    hand::{attempts, complete, complete_with, fail, name, payloads, queue, seconds, signal},
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
        workflow_type: Some(temporalio_common::protos::temporal::api::common::v1::WorkflowType { name: id.into() }),
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
        let run = |action: &temporalio_common::protos::temporal::api::schedule::v1::ScheduleActionResult| {
            let run = action.start_workflow_result.clone().unwrap();
            (run.workflow_id, action.start_workflow_status())
        };
        info.recent_actions.iter().map(run).collect()
    }

    /// Lets the worker of a queue answer its next task.
    async fn answer(&self, id: &str, command: temporalio_common::protos::temporal::api::command::v1::Command) {
        let task = self.workflow_task(id).await;
        self.complete(task.task_token, vec![command]).await.unwrap();
    }
}

fn told(status: &Status) -> String {
    let details = String::from_utf8_lossy(status.details()).into_owned();
    let details = details
        .split("temporal.api.errordetails.v1.")
        .nth(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_alphabetic).collect::<String>());
    format!("{:?} {:?} {details:?}", status.code(), status.message())
}

/// What each specification becomes, or why it is none.
async fn specs(home: &Home) -> Vec<String> {
    let zone = |name: &str, spec| ScheduleSpec { timezone_name: name.into(), ..spec };
    let mut specs: Vec<_> = [
        "5 4 3 2 1 2030 #  a # b ",
        "1,5-9/2 */7 * JAN-mar sund 2030",
        "0 0 * * 3-7",
        "0 0 * * 1-7/2",
        "@weekly",
        "@every 1d",
        "@every 1h/5m # note",
        "TZ=Europe/Berlin @every 1h",
        "TZ=Europe/Berlin 0 0 * * *",
        "15 10 1 1 * * *",
        "+5 * * * *",
        "60 * * * *",
        "@nope",
        "@every 1h/2h",
        "TZ=UTC",
        "CRON_TZ=Nowhere/X * * * * *",
    ]
    .map(|string| cron(&[string]))
    .into();
    let calendar = StructuredCalendarSpec {
        hour: vec![Range { start: 5, end: 3, step: 0 }],
        minute: vec![Range { start: 77, end: 0, step: -1 }],
        ..Default::default()
    };
    let texts = CalendarSpec { hour: "9-17/2".into(), comment: "office".into(), ..Default::default() };
    let interval = IntervalSpec { interval: seconds(10), phase: seconds(-1) };
    #[allow(deprecated, reason = "servers still have to take it")]
    specs.extend([
        ScheduleSpec { structured_calendar: vec![calendar], ..Default::default() },
        ScheduleSpec { structured_calendar: vec![StructuredCalendarSpec::default()], ..Default::default() },
        ScheduleSpec { calendar: vec![texts.clone()], exclude_calendar: vec![texts], ..Default::default() },
        ScheduleSpec { interval: vec![interval], ..Default::default() },
        zone("Europe/Berlin", cron(&["0 0 * * *"])),
        zone("Europe/Berlin", cron(&["TZ=UTC 0 0 * * *"])),
        zone("europe/berlin", ScheduleSpec::default()),
        zone("../x", ScheduleSpec::default()),
    ]);
    let answers = specs.into_iter().enumerate().map(async |(number, spec)| {
        let id = format!("spec-{number}");
        match home.try_create(create(&id, schedule(&id, spec, Policy::Unspecified))).await {
            Ok(_) => format!("{id}: {:?}", home.describe_schedule(&id).await.schedule.unwrap()),
            Err(status) => format!("{id}: {}", told(&status)),
        }
    });
    join_all(answers).await
}

/// What each wrong request is answered with.
async fn refusals(home: &Home) -> Vec<String> {
    let hourly = |id: &str| create(id, schedule(id, cron(&["@hourly"]), Policy::Skip));
    let starting = |action| create("wrong", Schedule { action: starts(action), ..Schedule::default() });
    let once = CreateScheduleRequest { request_id: "once".into(), ..hourly("once") };
    home.try_create(once.clone()).await.unwrap();
    let mut answers = Vec::new();
    for (what, request) in [
        ("the same request", once.clone()),
        ("another request", hourly("once")),
        ("no request id", CreateScheduleRequest { request_id: String::new(), ..hourly("wrong") }),
        ("a long request id", CreateScheduleRequest { request_id: "x".repeat(1_001), ..hourly("wrong") }),
        ("no id", CreateScheduleRequest { schedule_id: String::new(), ..hourly("wrong") }),
        ("a long id", hourly(&"x".repeat(1_001))),
        ("another namespace", CreateScheduleRequest { namespace: "nowhere".into(), ..hourly("wrong") }),
        ("no type", starting(NewWorkflowExecutionInfo { workflow_type: None, ..action("w") })),
        ("no queue", starting(NewWorkflowExecutionInfo { task_queue: None, ..action("w") })),
        ("a long workflow id", starting(NewWorkflowExecutionInfo { workflow_id: "x".repeat(990), ..action("w") })),
        ("a cron schedule", starting(NewWorkflowExecutionInfo { cron_schedule: "@daily".into(), ..action("w") })),
        (
            "a reuse policy",
            starting(NewWorkflowExecutionInfo {
                workflow_id_reuse_policy: WorkflowIdReusePolicy::RejectDuplicate.into(),
                ..action("w")
            }),
        ),
        ("a length", starting(NewWorkflowExecutionInfo { workflow_run_timeout: seconds(-1), ..action("w") })),
        ("nothing to start", CreateScheduleRequest { schedule: None, ..hourly("nothing") }),
    ] {
        let answer = home.try_create(request).await.map_err(|status| told(&status));
        answers.push(format!("create with {what}: {answer:?}"));
    }
    let mut note = |what: &str, status: Result<(), Status>| {
        answers.push(format!("{what}: {:?}", status.map_err(|status| told(&status))));
    };
    note("describe nobody", home.try_describe_schedule("nobody").await.map(drop));
    note("describe no id", home.try_describe_schedule("").await.map(drop));
    note("patch nobody", home.patch_schedule("nobody", trigger(Policy::Skip), "p").await);
    note("delete nobody", home.delete_schedule("nobody").await);
    note("update nobody", home.update_schedule("nobody", schedule("w", cron(&[]), Policy::Skip), vec![]).await);
    note("update to nothing", home.update_schedule("once", Schedule::default(), vec![]).await);
    let pause = |notes: String| SchedulePatch { pause: notes, ..Default::default() };
    note("long notes", home.patch_schedule("once", pause("x".repeat(1_001)), "n").await);
    let times = |id: &str| ListScheduleMatchingTimesRequest {
        namespace: NAMESPACE.into(),
        schedule_id: id.into(),
        ..Default::default()
    };
    for id in ["nobody", "once"] {
        let listed = home.call::<_, ListScheduleMatchingTimesResponse>("ListScheduleMatchingTimes", times(id)).await;
        note("times without a stretch", listed.map(drop));
    }
    for field in ["WorkflowId = 'x'", "ExecutionStatus = 'Running'", "TemporalScheduledById = 'x'", "StartTime IS NULL"]
    {
        note(field, home.list_schedules(field, 0, vec![]).await.map(drop));
        note(field, home.count_schedules(field).await.map(drop));
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporal_server_answers_requests_for_schedules_the_same() {
    let Some(server) = Home::server().await else { return };
    let engine = Home::engine();
    let ours = [specs(&engine).await, refusals(&engine).await].concat();
    let theirs = [specs(&server).await, refusals(&server).await].concat();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
}

#[tokio::test]
async fn a_scheduled_run_has_what_the_schedule_says() {
    let home = Home::engine();
    let memo = Some(Memo { fields: [("why".to_owned(), Payload::default())].into() });
    let start = NewWorkflowExecutionInfo { memo: memo.clone(), retry_policy: attempts(2), ..action("job") };
    let schedule = Schedule { action: starts(start), ..schedule("job", cron(&["@hourly"]), Policy::Skip) };
    home.try_create(create("job", schedule)).await.unwrap();
    home.pass(TO_FULL_HOUR).await;
    let task = home.workflow_task("job").await;
    assert_eq!(task.workflow_execution.as_ref().unwrap().workflow_id, "job-2023-11-14T23:00:00Z");
    let events = task.history.unwrap().events;
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(a)) = &events[0].attributes else { panic!() };
    assert_eq!((&a.input, &a.memo), (&payloads(b"input"), &memo));
    assert_eq!(a.identity, "temporal-scheduler-dotidx-job");
    assert_eq!(a.retry_policy.as_ref().map(|policy| policy.maximum_attempts), Some(2));
    let attributes = &a.search_attributes.as_ref().unwrap().indexed_fields;
    assert_eq!(attributes["TemporalScheduledStartTime"].data, b"\"2023-11-14T23:00:00Z\"");
    assert_eq!(attributes["TemporalScheduledById"].metadata["type"], b"Keyword");
    home.complete(task.task_token, vec![complete_with(b"done")]).await.unwrap();
    home.pass(HOUR).await;
    let task = home.workflow_task("job").await;
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(a)) = &task.history.unwrap().events[0].attributes
    else {
        panic!()
    };
    assert_eq!(a.last_completion_result, payloads(b"done"));
}

#[tokio::test]
async fn runs_that_overlap_are_cancelled_or_terminated_and_followed() {
    let home = Home::engine();
    for (id, policy) in [("cancels", Policy::CancelOther), ("terminates", Policy::TerminateOther)] {
        home.create_hourly(id, policy).await;
    }
    home.pass(TO_FULL_HOUR).await;
    home.pass(HOUR).await;
    let first = |id: &str| format!("{id}-2023-11-14T23:00:00Z");
    let events = home.history(&first("terminates")).await;
    let Some(Attributes::WorkflowExecutionTerminatedEventAttributes(a)) = &events.last().unwrap().attributes else {
        panic!()
    };
    assert_eq!(a.reason, "terminated by schedule overlap policy");
    assert_eq!(a.identity, "temporal-scheduler-dotidx-terminates");
    let running = RunStatus::Running;
    let second = ("terminates-2023-11-15T00:00:00Z".to_owned(), running);
    assert_eq!(home.runs("terminates").await, [(first("terminates"), RunStatus::Terminated), second]);

    let names = home.names(&first("cancels")).await;
    assert!(names.contains(&"WORKFLOW_EXECUTION_CANCEL_REQUESTED"), "{names:?}");
    assert_eq!(home.runs("cancels").await, [(first("cancels"), running)]);
    assert_eq!(home.describe_schedule("cancels").await.info.unwrap().buffer_size, 1);
    home.answer("cancels", complete()).await;
    let second = ("cancels-2023-11-15T00:00:00Z".to_owned(), running);
    assert_eq!(home.runs("cancels").await, [(first("cancels"), RunStatus::Completed), second]);
}

#[tokio::test]
async fn a_run_that_is_tried_again_is_over_when_its_last_attempt_is() {
    let home = Home::engine();
    let start = NewWorkflowExecutionInfo { retry_policy: attempts(2), ..action("tries") };
    let policies = SchedulePolicies { pause_on_failure: true, ..Default::default() };
    let schedule = Schedule {
        action: starts(start),
        policies: Some(policies),
        ..schedule("tries", cron(&["@hourly"]), Policy::Skip)
    };
    home.try_create(create("tries", schedule)).await.unwrap();
    home.pass(TO_FULL_HOUR).await;
    home.answer("tries", fail("Passing")).await;
    let described = home.describe_schedule("tries").await;
    assert_eq!(described.info.unwrap().running_workflows.len(), 1, "the second attempt is to come");
    home.pass(Duration::from_secs(2)).await;
    home.answer("tries", fail("Lasting")).await;
    let described = home.describe_schedule("tries").await;
    let state = described.schedule.unwrap().state.unwrap();
    assert!(state.paused);
    assert_eq!(state.notes, "paused due to workflow failure: tries-2023-11-14T23:00:00Z: boom");
    assert_eq!(described.info.unwrap().running_workflows.len(), 0);
}

#[tokio::test]
async fn what_a_dead_process_missed_is_made_up_for_once() {
    let mut home = Home::engine();
    home.create_hourly("late", Policy::BufferAll).await;
    let window = SchedulePolicies { catchup_window: seconds(5_400), ..Default::default() };
    let short = Schedule { policies: Some(window), ..schedule("short", cron(&["@hourly"]), Policy::Skip) };
    home.try_create(create("short", short)).await.unwrap();
    home.pass(TO_FULL_HOUR).await;
    home.crash().await;
    assert_eq!(home.runs("late").await, [("late-2023-11-14T23:00:00Z".to_owned(), RunStatus::Running)]);
    home.answer("short", complete()).await;
    // The clock goes on while nobody looks.
    home.embedded().sleep(3 * HOUR + HOUR / 4).await;
    let info = home.describe_schedule("late").await.info.unwrap();
    assert_eq!((info.action_count, info.buffer_size, info.missed_catchup_window), (1, 3, 0));
    let info = home.describe_schedule("short").await.info.unwrap();
    assert_eq!((info.action_count, info.overlap_skipped, info.missed_catchup_window), (2, 1, 1));
    for hour in ["23:00", "00:00", "01:00", "02:00"] {
        home.crash().await;
        let task = home.workflow_task("late").await;
        assert!(task.workflow_execution.unwrap().workflow_id.contains(hour));
        home.complete(task.task_token, vec![complete()]).await.unwrap();
    }
    home.crash().await;
    assert!(home.runs("late").await.iter().all(|(_, status)| *status == RunStatus::Completed));
    assert_eq!(home.describe_schedule("late").await.info.unwrap().action_count, 4);
}

#[tokio::test]
async fn a_start_that_cannot_be_stored_is_made_later_and_once() {
    let limited = |max_bytes| StoreOptions { max_bytes: Some(max_bytes), ..StoreOptions::default() };
    let mut home = Home::engine_with(limited(1 << 20));
    home.create_hourly("squeezed", Policy::Skip).await;
    home.start("fills").await;
    let mut bytes = 20_000;
    while bytes > 0 {
        let mut request = signal("fills", "big");
        request.input = payloads(&vec![7; bytes]);
        let answer: Result<
            temporalio_common::protos::temporal::api::workflowservice::v1::SignalWorkflowExecutionResponse,
            _,
        > = home.call("SignalWorkflowExecution", request).await;
        if answer.is_err() {
            bytes /= 4;
        }
    }
    home.embedded().advance(TO_FULL_HOUR);
    // What is asked while the start is tried is refused with it.
    while home.try_describe_schedule("squeezed").await.is_err_and(|status| status.code() == Code::ResourceExhausted) {}
    assert_eq!(home.runs("squeezed").await, [], "there was no room for it");
    home.embedded().reopen(limited(4 << 20)).await;
    home.settle().await;
    assert_eq!(home.runs("squeezed").await, [("squeezed-2023-11-14T23:00:00Z".to_owned(), RunStatus::Running)]);
    let names: Vec<_> = home.history("squeezed-2023-11-14T23:00:00Z").await.iter().map(name).collect();
    assert_eq!(names, ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED"]);
}

#[tokio::test]
async fn requests_that_are_repeated_are_carried_out_once() {
    let mut home = Home::engine();
    home.create_hourly("once", Policy::AllowAll).await;
    for _ in 0..2 {
        home.patch_schedule("once", trigger(Policy::Unspecified), "same").await.unwrap();
        home.crash().await;
    }
    assert_eq!(home.runs("once").await.len(), 1);
    home.pass(Duration::from_secs(1)).await;
    home.patch_schedule("once", trigger(Policy::Unspecified), "other").await.unwrap();
    assert_eq!(home.runs("once").await.len(), 2);
}

#[tokio::test]
async fn an_update_of_what_was_read_before_a_change_is_refused() {
    let home = Home::engine();
    home.create_hourly("read", Policy::Skip).await;
    let token = home.describe_schedule("read").await.conflict_token;
    assert_eq!(token, 1_i64.to_be_bytes());
    home.patch_schedule("read", SchedulePatch { pause: "p".into(), ..Default::default() }, "p").await.unwrap();
    let replaced = || schedule("read", cron(&["@daily"]), Policy::Skip);
    let status = home.update_schedule("read", replaced(), token).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "mismatched conflict token"));
    let token = home.describe_schedule("read").await.conflict_token;
    home.update_schedule("read", replaced(), token).await.unwrap();
    let described = home.describe_schedule("read").await;
    assert!(!described.schedule.unwrap().state.unwrap().paused);
    assert!(described.info.unwrap().update_time.is_some());
}

#[tokio::test]
async fn a_backfill_makes_up_for_a_stretch_of_time_at_a_bounded_rate() {
    let home = Home::engine();
    home.create_hourly("past", Policy::Skip).await;
    let stretch = BackfillRequest {
        start_time: "2023-01-02T00:00:00Z".parse().ok(),
        end_time: "2023-01-02T20:00:00Z".parse().ok(),
        overlap_policy: Policy::AllowAll.into(),
    };
    let patch = SchedulePatch { backfill_request: vec![stretch], ..Default::default() };
    home.patch_schedule("past", patch, "b").await.unwrap();
    let count = async || home.describe_schedule("past").await.info.unwrap().action_count;
    assert_eq!(count().await, 10);
    for expected in [20, 21, 21] {
        home.pass(Duration::from_secs(1)).await;
        assert_eq!(count().await, expected);
    }
    assert_eq!(home.runs("past").await.last().unwrap().0, "past-2023-01-02T20:00:00Z");
}

#[tokio::test]
async fn schedules_are_listed_by_pages_and_filters() {
    let mut home = Home::engine();
    let tag = Payload { data: b"\"red\"".to_vec(), ..Default::default() };
    let tags = SearchAttributes { indexed_fields: [("Colour".to_owned(), tag)].into() };
    for number in 0..5 {
        let id = format!("list-{number}");
        let state = ScheduleState { paused: number == 3, notes: id.clone(), ..Default::default() };
        let schedule = Schedule { state: Some(state), ..schedule(&id, cron(&["@hourly"]), Policy::Skip) };
        let search_attributes = (number == 4).then(|| tags.clone());
        home.try_create(CreateScheduleRequest { search_attributes, ..create(&id, schedule) }).await.unwrap();
        home.pass(Duration::from_secs(1)).await;
    }
    home.crash().await;
    let (mut found, mut token) = (Vec::new(), Vec::new());
    loop {
        let page = home.list_schedules("", 2, token).await.unwrap();
        assert!(page.schedules.len() <= 2);
        found.extend(page.schedules);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let ids: Vec<_> = found.iter().map(|entry| entry.schedule_id.as_str()).collect();
    assert_eq!(ids, ["list-4", "list-3", "list-2", "list-1", "list-0"], "the last one first");
    assert_eq!(found[0].search_attributes, Some(tags));
    let info = found[1].info.as_ref().unwrap();
    assert_eq!((info.paused, info.notes.as_str(), info.future_action_times.len()), (true, "list-3", 5));
    for (query, count) in [
        ("", 5),
        ("TemporalSchedulePaused = true", 1),
        ("ScheduleId = 'list-2' OR TemporalScheduleId = 'list-0'", 2),
        ("ScheduleId STARTS_WITH 'list' AND NOT TemporalSchedulePaused = true", 4),
    ] {
        assert_eq!(home.count_schedules(query).await.unwrap().count, count, "{query}");
        assert_eq!(home.list_schedules(query, 0, vec![]).await.unwrap().schedules.len(), count as usize, "{query}");
    }
    assert_eq!(home.list_schedules("", 1, b"x".to_vec()).await.unwrap_err().code(), Code::InvalidArgument);
    home.delete_schedule("list-1").await.unwrap();
    home.crash().await;
    assert_eq!(home.count_schedules("").await.unwrap().count, 4);
    assert_eq!(home.try_describe_schedule("list-1").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_start_that_is_refused_does_not_stop_the_schedule() {
    let home = Home::engine();
    let wrong = RetryPolicy { initial_interval: seconds(-1), ..Default::default() };
    let start = NewWorkflowExecutionInfo { retry_policy: Some(wrong), ..action("wrong") };
    let schedule = Schedule { action: starts(start), ..schedule("wrong", cron(&["@hourly"]), Policy::BufferAll) };
    home.try_create(create("wrong", schedule)).await.unwrap();
    home.pass(TO_FULL_HOUR).await;
    home.pass(2 * HOUR).await;
    let described = home.describe_schedule("wrong").await;
    let info = described.info.unwrap();
    assert_eq!((info.action_count, info.buffer_size), (0, 0));
    let right = Schedule { action: starts(action("wrong")), ..described.schedule.unwrap() };
    home.update_schedule("wrong", right, vec![]).await.unwrap();
    home.pass(HOUR).await;
    assert_eq!(home.describe_schedule("wrong").await.info.unwrap().action_count, 1);
}
