//! What becomes of specifications, and what is refused: asked of an engine and of a Temporal server.

use futures::future::join_all;
use temporalio_common::protos::temporal::api::{
    enums::v1::{ScheduleOverlapPolicy as Policy, WorkflowIdReusePolicy},
    schedule::v1::{CalendarSpec, IntervalSpec, Range, Schedule, SchedulePatch, ScheduleSpec, StructuredCalendarSpec},
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::{CreateScheduleRequest, ListScheduleMatchingTimesRequest, ListScheduleMatchingTimesResponse},
};
use tonic::Status;

use super::{action, create, cron, schedule, starts, trigger};
use crate::{
    hand::seconds,
    home::{Home, NAMESPACE},
};

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
    for (what, request) in vec![
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
