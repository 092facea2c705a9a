//! Namespaces: registered, changed, taken out of use, deleted; and what is refused.

use std::time::Duration;

use prost_wkt_types::Duration as Proto;
use temporalio_common::protos::temporal::api::{
    enums::v1::NamespaceState,
    filter::v1::{StartTimeFilter, StatusFilter, WorkflowExecutionFilter, WorkflowTypeFilter},
    namespace::v1::{NamespaceConfig, UpdateNamespaceInfo},
    operatorservice::v1::{DeleteNamespaceRequest, DeleteNamespaceResponse},
    replication::v1::NamespaceReplicationConfig,
    workflowservice::v1::{
        DeprecateNamespaceRequest, DeprecateNamespaceResponse, DescribeNamespaceRequest, DescribeNamespaceResponse,
        ListArchivedWorkflowExecutionsRequest, ListArchivedWorkflowExecutionsResponse,
        ListClosedWorkflowExecutionsRequest, ListClosedWorkflowExecutionsResponse, ListOpenWorkflowExecutionsRequest,
        ListOpenWorkflowExecutionsResponse, ListTaskQueuePartitionsRequest, ListTaskQueuePartitionsResponse,
        RegisterNamespaceRequest, RegisterNamespaceResponse, ScanWorkflowExecutionsRequest,
        ScanWorkflowExecutionsResponse, StartWorkflowExecutionRequest, UpdateNamespaceRequest, UpdateNamespaceResponse,
        list_closed_workflow_executions_request::Filters as Closed,
        list_open_workflow_executions_request::Filters as Open,
    },
};
use tonic::{Code, Status};

use crate::{
    hand::{queue, seconds, start},
    home::{Home, NAMESPACE},
};

const DAY: i64 = 86_400;

/// A request to register, with a retention of a day.
pub(crate) fn registration(name: &str) -> RegisterNamespaceRequest {
    RegisterNamespaceRequest {
        namespace: name.into(),
        workflow_execution_retention_period: seconds(DAY),
        ..Default::default()
    }
}

/// Registers a namespace.
pub(crate) async fn register(home: &Home, request: RegisterNamespaceRequest) -> Result<(), Status> {
    home.call::<_, RegisterNamespaceResponse>("RegisterNamespace", request).await.map(drop)
}

/// Deletes a namespace; answers the name that it has from then on.
pub(crate) async fn delete(home: &Home, request: DeleteNamespaceRequest) -> Result<String, Status> {
    home.operate::<_, DeleteNamespaceResponse>("DeleteNamespace", request).await.map(|answer| answer.deleted_namespace)
}

/// A request to delete by name.
pub(crate) fn deletion(name: &str) -> DeleteNamespaceRequest {
    DeleteNamespaceRequest { namespace: name.into(), ..Default::default() }
}

async fn describe(home: &Home, name: &str) -> Result<DescribeNamespaceResponse, Status> {
    let request = DescribeNamespaceRequest { namespace: name.into(), ..Default::default() };
    home.call("DescribeNamespace", request).await
}

async fn update(home: &Home, request: UpdateNamespaceRequest) -> Result<UpdateNamespaceResponse, Status> {
    home.call("UpdateNamespace", request).await
}

async fn deprecate(home: &Home, name: &str) -> Result<(), Status> {
    let request = DeprecateNamespaceRequest { namespace: name.into(), ..Default::default() };
    home.call::<_, DeprecateNamespaceResponse>("DeprecateNamespace", request).await.map(drop)
}

async fn start_in(home: &Home, namespace: &str) -> Result<(), Status> {
    let request = StartWorkflowExecutionRequest { namespace: namespace.into(), ..start("in-a-namespace") };
    home.try_start(request).await.map(drop)
}

fn said<T>(answer: Result<T, Status>) -> Result<(), String> {
    answer.map(drop).map_err(|status| format!("{:?}: {}", status.code(), status.message()))
}

/// What clients are told; the same from the engine and from a server.
pub(crate) async fn scenario(home: &Home) -> Vec<String> {
    let mut answers = registrations(home).await;
    answers.extend(updates(home).await);
    answers.extend(ends(home).await);
    answers.extend(listings(home).await);
    answers
}

async fn registrations(home: &Home) -> Vec<String> {
    let retention = |length: Option<Proto>| RegisterNamespaceRequest {
        workflow_execution_retention_period: length,
        ..registration("short")
    };
    let mut answers = Vec::new();
    for (what, request) in [
        ("no name", registration("")),
        ("no retention", retention(None)),
        ("a short retention", retention(seconds(59))),
        ("a negative retention", retention(seconds(-1))),
        ("a global one", RegisterNamespaceRequest { is_global_namespace: true, ..registration("global") }),
        ("another cluster", RegisterNamespaceRequest { active_cluster_name: "other".into(), ..registration("far") }),
        ("one", RegisterNamespaceRequest { description: "first".into(), ..registration("changed") }),
        ("one again", registration("changed")),
    ] {
        answers.push(format!("register {what}: {:?}", said(register(home, request).await)));
    }
    // A server notices after a while.
    while describe(home, "changed").await.is_err() {
        home.pass(Duration::from_millis(200)).await;
    }
    answers
}

async fn updates(home: &Home) -> Vec<String> {
    let named = |namespace: &str| UpdateNamespaceRequest { namespace: namespace.into(), ..Default::default() };
    let info = |info: UpdateNamespaceInfo| UpdateNamespaceRequest { update_info: Some(info), ..named("changed") };
    let config = |config: NamespaceConfig| UpdateNamespaceRequest { config: Some(config), ..named("changed") };
    let alias = |field: &str, name: &str| {
        let custom_search_attribute_aliases = [(field.to_owned(), name.to_owned())].into();
        config(NamespaceConfig { custom_search_attribute_aliases, ..Default::default() })
    };
    let retention =
        |length| NamespaceConfig { workflow_execution_retention_ttl: seconds(length), ..Default::default() };
    let text = |text: &str| text.to_owned();
    let mut answers = Vec::new();
    for request in [
        named(""),
        named("nowhere"),
        named("changed"),
        info(UpdateNamespaceInfo {
            description: text("second"),
            data: [(text("a"), text("b"))].into(),
            ..Default::default()
        }),
        info(UpdateNamespaceInfo {
            owner_email: text("me"),
            data: [(text("c"), text("d"))].into(),
            ..Default::default()
        }),
        config(retention(2 * DAY)),
        config(retention(10)),
        config(retention(0)),
        alias("Keyword01", "Mine"),
        alias("Keyword01", "Yours"),
        alias("Keyword01", ""),
        UpdateNamespaceRequest { promote_namespace: true, ..named("changed") },
        UpdateNamespaceRequest { delete_bad_binary: text("x"), ..named("changed") },
        UpdateNamespaceRequest {
            replication_config: Some(NamespaceReplicationConfig {
                active_cluster_name: text("other"),
                ..Default::default()
            }),
            ..named("changed")
        },
        info(UpdateNamespaceInfo { state: NamespaceState::Deprecated.into(), ..Default::default() }),
        info(UpdateNamespaceInfo { state: NamespaceState::Registered.into(), ..Default::default() }),
    ] {
        let answer = update(home, request).await.map(|answer| {
            let (info, config) = (answer.namespace_info.unwrap(), answer.config.unwrap());
            let data: std::collections::BTreeMap<_, _> = info.data.into_iter().collect();
            let retention = config.workflow_execution_retention_ttl.unwrap().seconds;
            let aliases = config.custom_search_attribute_aliases;
            format!("{} {} {} {data:?} {retention} {aliases:?}", info.state, info.description, info.owner_email)
        });
        answers.push(format!(
            "update: {:?}",
            answer.map_err(|status| format!("{:?}: {}", status.code(), status.message()))
        ));
    }
    answers
}

async fn ends(home: &Home) -> Vec<String> {
    let mut answers = Vec::new();
    for name in ["", "nowhere", "changed", "changed"] {
        answers.push(format!("deprecate {name:?}: {:?}", said(deprecate(home, name).await)));
    }
    let refused = loop {
        match start_in(home, "changed").await {
            Err(status) if status.code() == Code::FailedPrecondition => break status,
            // A server notices after a while.
            _ => home.pass(Duration::from_millis(200)).await,
        }
    };
    answers.push(format!("start in a deprecated one: {}", refused.message()));
    let id = describe(home, "changed").await.unwrap().namespace_info.unwrap().id;
    let both = DeleteNamespaceRequest { namespace_id: id.clone(), ..deletion("changed") };
    for request in [deletion(""), deletion("nowhere"), both] {
        answers.push(format!("delete: {:?}", said(delete(home, request).await)));
    }
    let gone = delete(home, DeleteNamespaceRequest { namespace_id: id, ..deletion("") }).await.unwrap();
    answers.push(format!("deleted: {} {}", gone.trim_end_matches(|c: char| c.is_ascii_hexdigit()), gone.len()));
    answers.push(format!("describe a deleted one: {:?}", said(describe(home, "changed").await)));
    answers
}

async fn listings(home: &Home) -> Vec<String> {
    let mut answers = Vec::new();
    let time = |earliest, latest| {
        let at = |seconds| Some(prost_wkt_types::Timestamp { seconds, nanos: 0 });
        Some(StartTimeFilter { earliest_time: at(earliest), latest_time: at(latest) })
    };
    for status in [0, 1] {
        let filters = Some(Closed::StatusFilter(StatusFilter { status }));
        let request = ListClosedWorkflowExecutionsRequest {
            namespace: NAMESPACE.into(),
            start_time_filter: time(0, 5),
            filters,
            ..Default::default()
        };
        let answer: Result<ListClosedWorkflowExecutionsResponse, _> =
            home.call("ListClosedWorkflowExecutions", request).await;
        answers.push(format!("closed of status {status}: {:?}", said(answer)));
    }
    for namespace in [NAMESPACE, "nowhere"] {
        let request = ListArchivedWorkflowExecutionsRequest { namespace: namespace.into(), ..Default::default() };
        let answer: Result<ListArchivedWorkflowExecutionsResponse, _> =
            home.call("ListArchivedWorkflowExecutions", request).await;
        answers.push(format!("archived in {namespace}: {:?}", said(answer)));
    }
    let request = ListOpenWorkflowExecutionsRequest {
        namespace: NAMESPACE.into(),
        start_time_filter: time(6, 5),
        ..Default::default()
    };
    let answer: Result<ListOpenWorkflowExecutionsResponse, _> = home.call("ListOpenWorkflowExecutions", request).await;
    answers.push(format!("open before it began: {:?}", said(answer)));
    let request = ListTaskQueuePartitionsRequest { namespace: NAMESPACE.into(), task_queue: None };
    let answer: Result<ListTaskQueuePartitionsResponse, _> = home.call("ListTaskQueuePartitions", request).await;
    answers.push(format!("partitions of no queue: {:?}", said(answer)));
    answers
}

#[tokio::test]
async fn open_and_closed_executions_are_listed_by_time_id_type_and_status() {
    let home = Home::engine();
    for id in ["a", "b", "c"] {
        home.start(id).await;
    }
    home.terminate("b").await.unwrap();
    let open = async |filters| {
        let request = ListOpenWorkflowExecutionsRequest { namespace: NAMESPACE.into(), filters, ..Default::default() };
        let answer: ListOpenWorkflowExecutionsResponse =
            home.call("ListOpenWorkflowExecutions", request).await.unwrap();
        let ids = answer.executions.into_iter().map(|found| found.execution.unwrap().workflow_id);
        ids.collect::<Vec<_>>()
    };
    assert_eq!(open(None).await, ["c", "a"]);
    let id = |id: &str| WorkflowExecutionFilter { workflow_id: id.into(), run_id: String::new() };
    assert_eq!(open(Some(Open::ExecutionFilter(id("a")))).await, ["a"]);
    assert!(open(Some(Open::ExecutionFilter(id("b")))).await.is_empty());
    assert_eq!(open(Some(Open::TypeFilter(WorkflowTypeFilter { name: "by hand".into() }))).await.len(), 2);
    assert!(open(Some(Open::TypeFilter(WorkflowTypeFilter { name: "it's".into() }))).await.is_empty());
    let closed = async |filters, start_time_filter| {
        let namespace = NAMESPACE.into();
        let request =
            ListClosedWorkflowExecutionsRequest { namespace, filters, start_time_filter, ..Default::default() };
        let answer: ListClosedWorkflowExecutionsResponse =
            home.call("ListClosedWorkflowExecutions", request).await.unwrap();
        answer.executions.into_iter().map(|found| found.execution.unwrap().workflow_id).collect::<Vec<_>>()
    };
    assert_eq!(closed(None, None).await, ["b"]);
    assert_eq!(closed(Some(Closed::ExecutionFilter(id("b"))), None).await, ["b"]);
    assert_eq!(closed(Some(Closed::StatusFilter(StatusFilter { status: 5 })), None).await, ["b"]);
    assert!(closed(Some(Closed::StatusFilter(StatusFilter { status: 2 })), None).await.is_empty());
    let long_ago = StartTimeFilter { earliest_time: None, latest_time: Some(prost_wkt_types::Timestamp::default()) };
    assert!(closed(None, Some(long_ago)).await.is_empty());

    let request = ScanWorkflowExecutionsRequest { namespace: NAMESPACE.into(), page_size: 2, ..Default::default() };
    let first: ScanWorkflowExecutionsResponse = home.call("ScanWorkflowExecutions", request.clone()).await.unwrap();
    let request = ScanWorkflowExecutionsRequest { next_page_token: first.next_page_token, ..request };
    let second: ScanWorkflowExecutionsResponse = home.call("ScanWorkflowExecutions", request).await.unwrap();
    assert_eq!((first.executions.len(), second.executions.len()), (2, 1));
    let request = ListTaskQueuePartitionsRequest { namespace: NAMESPACE.into(), task_queue: queue("q") };
    let answer: ListTaskQueuePartitionsResponse = home.call("ListTaskQueuePartitions", request).await.unwrap();
    assert_eq!(answer.workflow_task_queue_partitions[0].key, "q");
}

#[tokio::test]
async fn a_namespace_does_not_grow_without_end() {
    let home = Home::engine();
    register(&home, registration("fat")).await.unwrap();
    let more = |number: usize| UpdateNamespaceRequest {
        namespace: "fat".into(),
        update_info: Some(UpdateNamespaceInfo {
            data: [(number.to_string(), "x".repeat(30_000))].into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    for number in 0..4 {
        update(&home, more(number)).await.unwrap();
    }
    assert_eq!(update(&home, more(4)).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(describe(&home, "fat").await.unwrap().namespace_info.unwrap().data.len(), 4);
}

#[tokio::test]
async fn changes_of_a_namespace_survive_a_crash() {
    let mut home = Home::engine();
    register(&home, registration("kept")).await.unwrap();
    let request = UpdateNamespaceRequest {
        namespace: "kept".into(),
        update_info: Some(UpdateNamespaceInfo { description: "changed".into(), ..Default::default() }),
        ..Default::default()
    };
    update(&home, request).await.unwrap();
    deprecate(&home, "kept").await.unwrap();
    home.crash().await;
    let info = describe(&home, "kept").await.unwrap().namespace_info.unwrap();
    assert_eq!((info.description.as_str(), info.state()), ("changed", NamespaceState::Deprecated));
    let refused = start_in(&home, "kept").await.unwrap_err();
    assert_eq!(refused.message(), "Namespace has invalid state: Deprecated. Must be Registered.");
}
