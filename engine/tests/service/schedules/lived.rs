//! What time, the ends of runs, full stores and deaths of the process bring to schedules.

use std::time::Duration;

use dixmgr_engine::store::StoreOptions;
use temporalio_common::protos::temporal::api::{
    command::v1::{ContinueAsNewWorkflowExecutionCommandAttributes, command::Attributes as Command},
    common::v1::{Memo, Payload, RetryPolicy, SearchAttributes},
    enums::v1::{IndexedValueType, ScheduleOverlapPolicy as Policy, WorkflowExecutionStatus as RunStatus},
    history::v1::history_event::Attributes,
    schedule::v1::{BackfillRequest, Schedule, SchedulePatch, SchedulePolicies, ScheduleState},
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::{
        CountWorkflowExecutionsRequest, CountWorkflowExecutionsResponse, CreateScheduleRequest,
        SignalWorkflowExecutionResponse,
    },
};
use tonic::{Code, Status};

use super::{HOUR, TO_FULL_HOUR, action, create, cron, schedule, starts, trigger};
use crate::{
    hand::{attempts, command, complete, complete_with, fail, name, payloads, seconds, signal, soon},
    home::{Home, NAMESPACE},
    namespaces::{delete, deletion, register, registration},
};

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
async fn a_run_that_continues_as_new_is_over_when_its_last_run_is() {
    let home = Home::engine();
    home.create_hourly("chain", Policy::BufferOne).await;
    home.pass(TO_FULL_HOUR).await;
    let again = ContinueAsNewWorkflowExecutionCommandAttributes::default();
    home.answer("chain", command(Command::ContinueAsNewWorkflowExecutionCommandAttributes(again))).await;
    home.pass(HOUR).await;
    let info = home.describe_schedule("chain").await.info.unwrap();
    assert_eq!((info.running_workflows.len(), info.buffer_size, info.action_count), (1, 1, 1));
    home.answer("chain", complete_with(b"at last")).await;
    let (first, second) = ("chain-2023-11-14T23:00:00Z", "chain-2023-11-15T00:00:00Z");
    let expected = [(first.to_owned(), RunStatus::Completed), (second.to_owned(), RunStatus::Running)];
    assert_eq!(home.runs("chain").await, expected);
    let started = home.history(second).await.remove(0);
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(a)) = started.attributes else { panic!() };
    assert_eq!(a.last_completion_result, payloads(b"at last"));
}

#[tokio::test]
async fn a_schedule_with_nothing_more_to_do_is_forgotten_after_a_week() {
    const HOURS_OF_A_WEEK: u64 = 7 * 24;
    let mut home = Home::engine();
    let spent = ScheduleState { limited_actions: true, remaining_actions: 1, ..Default::default() };
    let schedule = Schedule { state: Some(spent), ..schedule("spent", cron(&["@hourly"]), Policy::Skip) };
    home.try_create(create("spent", schedule)).await.unwrap();
    home.create_hourly("goes on", Policy::Skip).await;
    home.pass(TO_FULL_HOUR).await;
    home.crash().await;
    home.pass(Duration::from_hours(HOURS_OF_A_WEEK - 1)).await;
    assert_eq!(home.describe_schedule("spent").await.info.unwrap().action_count, 1);
    home.pass(HOUR).await;
    assert_eq!(home.try_describe_schedule("spent").await.unwrap_err().code(), Code::NotFound);
    home.crash().await;
    assert_eq!(home.count_schedules("").await.unwrap().count, 1);
    home.answer("spent", complete()).await;
}

#[tokio::test]
async fn many_schedules_of_one_hour_share_a_few_commits() {
    const MANY: usize = 600;
    let home = Home::engine();
    for number in 0..MANY {
        home.create_hourly(&format!("many-{number}"), Policy::Skip).await;
    }
    home.pass(TO_FULL_HOUR).await;
    home.settle().await;
    let query = "TemporalScheduledStartTime = '2023-11-14T23:00:00Z'".to_owned();
    let request = CountWorkflowExecutionsRequest { namespace: NAMESPACE.into(), query };
    let counted: CountWorkflowExecutionsResponse = home.call("CountWorkflowExecutions", request).await.unwrap();
    assert_eq!(usize::try_from(counted.count), Ok(MANY));
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
        let answer: Result<SignalWorkflowExecutionResponse, _> = home.call("SignalWorkflowExecution", request).await;
        if answer.is_err() {
            bytes /= 4;
        }
    }
    home.embedded().advance(TO_FULL_HOUR);
    for _ in 0..2 {
        // What is asked while the start is tried is refused with it.
        let refused = |status: Status| status.code() == Code::ResourceExhausted;
        while home.try_describe_schedule("squeezed").await.is_err_and(refused) {}
        assert_eq!(home.runs("squeezed").await, [], "there was no room for it");
        home.embedded().advance(Duration::from_secs(2));
    }
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
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
    let tag = Payload { metadata, data: b"\"red\"".to_vec(), ..Default::default() };
    let tags = SearchAttributes { indexed_fields: [("Colour".to_owned(), tag)].into() };
    let tagged = CreateScheduleRequest {
        search_attributes: Some(tags.clone()),
        ..create("list-x", schedule("list-x", cron(&["@hourly"]), Policy::Skip))
    };
    assert_eq!(home.try_create(tagged).await.unwrap_err().code(), Code::InvalidArgument, "nobody has added Colour");
    crate::attributes::add(&home, &[("Colour", IndexedValueType::Keyword.into())]).await.unwrap();
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
    let shown = found[0].search_attributes.as_ref().unwrap();
    assert_eq!(shown.indexed_fields["Colour"].data, tags.indexed_fields["Colour"].data);
    let info = found[1].info.as_ref().unwrap();
    assert_eq!((info.paused, info.notes.as_str(), info.future_action_times.len()), (true, "list-3", 5));
    for (query, count) in [
        ("", 5),
        ("TemporalSchedulePaused = true", 1),
        ("Colour = 'red'", 1),
        ("ScheduleId = 'list-2' OR TemporalScheduleId = 'list-0'", 2),
        ("ScheduleId STARTS_WITH 'list' AND NOT TemporalSchedulePaused = true", 4),
    ] {
        assert_eq!(usize::try_from(home.count_schedules(query).await.unwrap().count), Ok(count), "{query}");
        assert_eq!(home.list_schedules(query, 0, vec![]).await.unwrap().schedules.len(), count, "{query}");
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

#[tokio::test]
async fn schedules_go_with_their_namespace() {
    let mut home = Home::engine();
    register(&home, registration("doomed")).await.unwrap();
    let theirs = || CreateScheduleRequest {
        namespace: "doomed".to_owned(),
        ..create("theirs", schedule("theirs", cron(&["@hourly"]), Policy::Skip))
    };
    home.try_create(theirs()).await.unwrap();
    home.create_hourly("ours", Policy::Skip).await;
    delete(&home, deletion("doomed")).await.unwrap();
    home.crash().await;
    home.pass(2 * HOUR).await;
    assert_eq!(home.try_create(theirs()).await.unwrap_err().code(), Code::NotFound);
    soon(async { while register(&home, registration("doomed")).await.is_err() {} }).await;
    // Of the one that was there before, nothing is left that could be in the way.
    home.try_create(theirs()).await.unwrap();
    assert_eq!(home.count_schedules("").await.unwrap().count, 1);
}
