//! Search attributes of one's own: added, set by clients and by workflows, found by, taken away; and what is refused.

use std::{collections::BTreeMap, time::Duration};

use temporalio_common::protos::temporal::api::{
    command::v1::{
        Command, ContinueAsNewWorkflowExecutionCommandAttributes, StartChildWorkflowExecutionCommandAttributes,
        UpsertWorkflowSearchAttributesCommandAttributes, command::Attributes,
    },
    common::v1::{Payload, SearchAttributes, WorkflowType},
    enums::v1::IndexedValueType,
    operatorservice::v1::{
        AddSearchAttributesRequest, AddSearchAttributesResponse, ListSearchAttributesRequest,
        ListSearchAttributesResponse, RemoveSearchAttributesRequest, RemoveSearchAttributesResponse,
    },
    workflowservice::v1::{
        CountWorkflowExecutionsRequest, CountWorkflowExecutionsResponse, ListWorkflowExecutionsRequest,
        ListWorkflowExecutionsResponse, SignalWithStartWorkflowExecutionRequest,
        SignalWithStartWorkflowExecutionResponse, StartWorkflowExecutionRequest,
    },
};
use tonic::Status;

use crate::{
    hand::{command, queue, start},
    home::{Home, NAMESPACE},
};

/// One of each type.
const MINE: [(&str, IndexedValueType); 7] = [
    ("Kw", IndexedValueType::Keyword),
    ("Txt", IndexedValueType::Text),
    ("Num", IndexedValueType::Int),
    ("Dbl", IndexedValueType::Double),
    ("Flag", IndexedValueType::Bool),
    ("When", IndexedValueType::Datetime),
    ("Tags", IndexedValueType::KeywordList),
];

/// Adds attributes to the namespace.
pub(crate) async fn add(home: &Home, attributes: &[(&str, i32)]) -> Result<(), Status> {
    let request = AddSearchAttributesRequest {
        namespace: NAMESPACE.into(),
        search_attributes: attributes.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect(),
    };
    home.operate::<_, AddSearchAttributesResponse>("AddSearchAttributes", request).await.map(drop)
}

async fn remove(home: &Home, names: &[&str]) -> Result<(), Status> {
    let search_attributes = names.iter().map(|name| (*name).to_owned()).collect();
    let request = RemoveSearchAttributesRequest { namespace: NAMESPACE.into(), search_attributes };
    home.operate::<_, RemoveSearchAttributesResponse>("RemoveSearchAttributes", request).await.map(drop)
}

async fn add_mine(home: &Home) {
    add(home, &MINE.map(|(name, kind)| (name, kind.into()))).await.unwrap();
}

/// Attributes as JSON, without their types.
fn attributes(values: &[(&str, &str)]) -> Option<SearchAttributes> {
    let payload = |json: &str| Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: json.as_bytes().to_vec(),
        ..Default::default()
    };
    let indexed_fields = values.iter().map(|(name, json)| ((*name).to_owned(), payload(json))).collect();
    Some(SearchAttributes { indexed_fields })
}

async fn start_with(home: &Home, id: &str, values: &[(&str, &str)]) -> Result<(), Status> {
    let request = StartWorkflowExecutionRequest { search_attributes: attributes(values), ..start(id) };
    home.try_start(request).await.map(drop)
}

fn upsert(values: Option<SearchAttributes>) -> Command {
    let attributes = UpsertWorkflowSearchAttributesCommandAttributes { search_attributes: values };
    command(Attributes::UpsertWorkflowSearchAttributesCommandAttributes(attributes))
}

fn child(id: &str, values: &[(&str, &str)]) -> Command {
    command(Attributes::StartChildWorkflowExecutionCommandAttributes(StartChildWorkflowExecutionCommandAttributes {
        workflow_id: format!("{id}-child"),
        workflow_type: Some(WorkflowType { name: "child".into() }),
        task_queue: queue("children"),
        search_attributes: attributes(values),
        ..Default::default()
    }))
}

fn again(values: Option<SearchAttributes>) -> Command {
    let attributes =
        ContinueAsNewWorkflowExecutionCommandAttributes { search_attributes: values, ..Default::default() };
    command(Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(attributes))
}

/// Types and values of what a run is described with, but for what the server adds of its own.
async fn described(home: &Home, id: &str) -> BTreeMap<String, String> {
    let info = home.describe(id).await.workflow_execution_info.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let shown = |payload: Payload| format!("{} {}", text(&payload.metadata["type"]), text(&payload.data));
    let fields = info.search_attributes.unwrap_or_default().indexed_fields;
    fields.into_iter().filter(|(name, _)| name != "BuildIds").map(|(name, payload)| (name, shown(payload))).collect()
}

async fn listed(home: &Home, query: &str) -> Result<Vec<String>, Status> {
    let request =
        ListWorkflowExecutionsRequest { namespace: NAMESPACE.into(), query: query.into(), ..Default::default() };
    let answer: ListWorkflowExecutionsResponse = home.call("ListWorkflowExecutions", request).await?;
    let ids = answer.executions.into_iter().map(|found| found.execution.unwrap().workflow_id);
    Ok(ids.collect::<std::collections::BTreeSet<_>>().into_iter().collect())
}

/// What is refused, and what comes of what is not; the same from the engine and from a server.
pub(crate) async fn scenario(home: &Home) -> Vec<String> {
    add_mine(home).await;
    // A server notices after a while.
    while let Err(status) =
        start_with(home, "attributes", &[("Kw", r#""a""#), ("Tags", r#"["x"]"#), ("Num", "null")]).await
    {
        assert!(status.message().contains("no mapping defined"), "{status}");
        home.pass(Duration::from_millis(200)).await;
    }
    let mut answers = vec![format!("started: {:?}", described(home, "attributes").await)];
    for (name, kind) in
        [("WorkflowId", 2), ("TemporalMine", 2), ("BuildIds", 7), ("Other", 0), ("Other", 99), ("Kw", 3), ("Kw", 2)]
    {
        answers.push(format!("add {name} as {kind}: {:?}", said(add(home, &[(name, kind)]).await)));
    }
    answers.push(format!("add nothing: {:?}", said(add(home, &[]).await)));
    for names in [&["Unheard"][..], &["WorkflowId"], &[]] {
        answers.push(format!("remove {names:?}: {:?}", said(remove(home, names).await)));
    }
    let long = format!("\"{}\"", "x".repeat(2_048));
    for (name, json) in [
        ("Kw", "5"),
        ("Kw", r#"["a","b"]"#),
        ("Kw", long.as_str()),
        ("Txt", "5"),
        ("Num", r#""5""#),
        ("Num", "5.5"),
        ("Num", "12345678.5"),
        ("Num", "true"),
        ("Dbl", r#""5""#),
        ("Flag", "1"),
        ("When", r#""2026-01-01""#),
        ("When", "5"),
        ("Tags", r#""a""#),
        ("Tags", "[1]"),
        ("Unknown", r#""a""#),
        ("RunId", r#""a""#),
        ("TemporalWorkerDeployment", r#""a""#),
    ] {
        answers.push(format!("start with {name}: {:?}", said(start_with(home, "refused", &[(name, json)]).await)));
    }
    let request = SignalWithStartWorkflowExecutionRequest {
        signal_name: "s".into(),
        search_attributes: attributes(&[("Num", r#""x""#)]),
        ..as_signal(start("refused"))
    };
    let answer: Result<SignalWithStartWorkflowExecutionResponse, _> =
        home.call("SignalWithStartWorkflowExecution", request).await;
    answers.push(format!("signal with start: {:?}", said(answer.map(drop))));
    answers.extend(commands(home, &long).await);
    answers
}

/// What comes of commands that set attributes.
async fn commands(home: &Home, long: &str) -> Vec<String> {
    let mut answers = Vec::new();
    for (what, command) in [
        ("upsert", upsert(attributes(&[("Kw", r#""b""#), ("Dbl", "1.5")]))),
        ("upsert null", upsert(attributes(&[("Kw", "null")]))),
        ("upsert no list", upsert(attributes(&[("Kw", "[]")]))),
        ("upsert nothing", upsert(None)),
        ("upsert none", upsert(attributes(&[]))),
        ("upsert unknown", upsert(attributes(&[("Unknown", "1")]))),
        ("upsert of the system", upsert(attributes(&[("WorkflowId", "1")]))),
        ("upsert wrong", upsert(attributes(&[("Num", r#""b""#)]))),
        ("upsert long", upsert(attributes(&[("Kw", long)]))),
        ("child unknown", child("c", &[("Unknown", "1")])),
        ("child wrong", child("c", &[("Num", r#""b""#)])),
        ("child long", child("c", &[("Kw", long)])),
        ("again unknown", again(attributes(&[("Unknown", "1")]))),
        ("again long", again(attributes(&[("Kw", long)]))),
        ("again with none", again(None)),
        ("again with others", again(attributes(&[("Kw", r#""n""#), ("Tags", "[]")]))),
    ] {
        let id = what.replace(' ', "-");
        start_with(home, &id, &[("Kw", r#""a""#), ("Num", "1")]).await.unwrap();
        let task = home.workflow_task(&id).await;
        let run_id = task.workflow_execution.unwrap().run_id;
        let answer = said(home.complete(task.task_token, vec![command]).await);
        // A task that is tried again shows in a server's history before it begins.
        let names = home.names_of_run(&id, &run_id).await.into_iter().filter(|name| *name != "WORKFLOW_TASK_SCHEDULED");
        answers.push(format!("{what}: {answer:?} {:?} {:?}", names.collect::<Vec<_>>(), described(home, &id).await));
    }
    answers
}

fn said(answer: Result<(), Status>) -> Result<(), String> {
    answer.map_err(|status| format!("{:?}: {}", status.code(), status.message()))
}

fn as_signal(start: StartWorkflowExecutionRequest) -> SignalWithStartWorkflowExecutionRequest {
    SignalWithStartWorkflowExecutionRequest {
        namespace: start.namespace,
        workflow_id: start.workflow_id,
        workflow_type: start.workflow_type,
        task_queue: start.task_queue,
        request_id: start.request_id,
        ..Default::default()
    }
}

#[tokio::test]
async fn what_a_workflow_sets_is_found_and_survives_a_crash() {
    let mut home = Home::engine();
    add_mine(&home).await;
    let all = [
        ("Kw", r#""a""#),
        ("Txt", r#""some words""#),
        ("Num", "5"),
        ("Dbl", "[0.5]"),
        ("Flag", "true"),
        ("When", r#""2026-01-01T00:00:00Z""#),
        ("Tags", r#"["x","y"]"#),
    ];
    start_with(&home, "all", &all).await.unwrap();
    start_with(&home, "few", &[("Num", "7")]).await.unwrap();
    home.crash().await;
    let filters = [
        "Kw = 'a'",
        "Txt = 'words'",
        "Num < 6",
        "Dbl = 0.5",
        "Flag = true",
        "When = '2026-01-01T00:00:00Z'",
        "Tags = 'y'",
        "Num BETWEEN 1 AND 6 AND Kw IS NOT NULL",
    ];
    for filter in filters {
        assert_eq!(listed(&home, filter).await.unwrap(), ["all"], "{filter}");
    }
    let request =
        ListWorkflowExecutionsRequest { namespace: NAMESPACE.into(), query: "Kw = 'a'".into(), ..Default::default() };
    let mut answer: ListWorkflowExecutionsResponse = home.call("ListWorkflowExecutions", request).await.unwrap();
    let shown = answer.executions.remove(0).search_attributes.unwrap().indexed_fields;
    assert_eq!(shown["Dbl"].data, b"0.5", "a list of one is listed as its element");
    let task = home.workflow_task("few").await;
    let changes = attributes(&[("Num", "null"), ("Kw", r#""b""#)]);
    home.complete(task.task_token, vec![upsert(changes)]).await.unwrap();
    home.crash().await;
    assert_eq!(listed(&home, "Kw > 'a'").await.unwrap(), ["few"]);
    assert_eq!(listed(&home, "Num IS NULL").await.unwrap(), ["few"]);
    assert_eq!(described(&home, "few").await, [("Kw".to_owned(), "Keyword \"b\"".to_owned())].into());
}

#[tokio::test]
async fn attributes_that_are_taken_away_are_not_shown_until_they_are_back() {
    let mut home = Home::engine();
    add_mine(&home).await;
    start_with(&home, "a", &[("Kw", r#""x""#)]).await.unwrap();
    remove(&home, &["Kw"]).await.unwrap();
    home.crash().await;
    assert!(listed(&home, "Kw = 'x'").await.unwrap_err().message().contains("neither a field nor"));
    assert!(start_with(&home, "b", &[("Kw", r#""x""#)]).await.unwrap_err().message().contains("no mapping"));
    assert_eq!(described(&home, "a").await, BTreeMap::new());
    // Executions that were there before have the attribute again, in the type that it had.
    add(&home, &[("Kw", IndexedValueType::Int.into())]).await.unwrap();
    assert!(listed(&home, "Kw = 5").await.unwrap().is_empty());
    remove(&home, &["Kw"]).await.unwrap();
    add(&home, &[("Kw", IndexedValueType::Keyword.into())]).await.unwrap();
    assert_eq!(listed(&home, "Kw = 'x'").await.unwrap(), ["a"]);
    let request = ListSearchAttributesRequest { namespace: NAMESPACE.into() };
    let answer: ListSearchAttributesResponse = home.operate("ListSearchAttributes", request).await.unwrap();
    assert_eq!(answer.custom_attributes.len(), MINE.len());
    assert_eq!(answer.system_attributes["ExecutionStatus"], i32::from(IndexedValueType::Keyword));
}

#[tokio::test]
async fn counts_come_in_groups_by_the_names_of_their_status() {
    let home = Home::engine();
    for id in ["a", "b", "c"] {
        home.start(id).await;
    }
    home.terminate("b").await.unwrap();
    let query = "GROUP BY ExecutionStatus".to_owned();
    let request = CountWorkflowExecutionsRequest { namespace: NAMESPACE.into(), query };
    let answer: CountWorkflowExecutionsResponse = home.call("CountWorkflowExecutions", request).await.unwrap();
    let groups = answer.groups.iter().map(|group| (group.group_values[0].data.as_slice(), group.count));
    assert_eq!(groups.collect::<Vec<_>>(), [(&b"\"Running\""[..], 2), (&b"\"Terminated\""[..], 1)]);
}
