//! Batches on a clock that the test moves: how fast they go, what a crash leaves of them, and what is forgotten.

use std::time::Duration;

use temporalio_common::protos::temporal::api::{
    batch::v1::{BatchOperationSignal, BatchOperationTermination},
    enums::v1::BatchOperationState as State,
    workflowservice::v1::{
        DescribeBatchOperationRequest, DescribeBatchOperationResponse, ListBatchOperationsRequest,
        ListBatchOperationsResponse, StartBatchOperationRequest, StartBatchOperationResponse,
        StopBatchOperationRequest, StopBatchOperationResponse, start_batch_operation_request::Operation,
    },
};
use tonic::{Code, Status};

use crate::home::{Home, NAMESPACE};

const EXECUTIONS: i64 = 20;

/// A batch that signals every workflow, two a second.
fn signals(job_id: &str) -> StartBatchOperationRequest {
    let signal = BatchOperationSignal { signal: "s".into(), ..Default::default() };
    StartBatchOperationRequest {
        namespace: NAMESPACE.into(),
        visibility_query: "WorkflowType = 'by hand'".into(),
        job_id: job_id.into(),
        reason: "why".into(),
        max_operations_per_second: 2.0,
        operation: Some(Operation::SignalOperation(signal)),
        ..Default::default()
    }
}

async fn full() -> Home {
    let home = Home::engine();
    for number in 0..EXECUTIONS {
        home.start(&format!("batch-{number}")).await;
    }
    home
}

async fn begin(home: &Home, request: StartBatchOperationRequest) -> Result<(), Status> {
    home.call("StartBatchOperation", request).await.map(|_: StartBatchOperationResponse| ())
}

async fn described(home: &Home, job_id: &str) -> Result<DescribeBatchOperationResponse, Status> {
    let request = DescribeBatchOperationRequest { namespace: NAMESPACE.into(), job_id: job_id.into() };
    home.call("DescribeBatchOperation", request).await
}

async fn signalled(home: &Home) -> Vec<usize> {
    let mut counts = Vec::new();
    for number in 0..EXECUTIONS {
        let names = home.names(&format!("batch-{number}")).await;
        counts.push(names.iter().filter(|name| **name == "WORKFLOW_EXECUTION_SIGNALED").count());
    }
    counts
}

#[tokio::test]
async fn a_batch_keeps_its_rate_and_a_crash_neither_repeats_nor_omits_anything() {
    let mut home = full().await;
    begin(&home, signals("job")).await.unwrap();
    home.settle().await;
    let mut done = 0;
    for _ in 0..4 * EXECUTIONS {
        home.pass(Duration::from_millis(500)).await;
        let found = described(&home, "job").await.unwrap();
        assert!(found.complete_operation_count <= done + 2, "two a second: {found:?} after {done}");
        done = found.complete_operation_count;
        if found.state() == State::Completed {
            break;
        }
        home.crash().await;
    }
    let found = described(&home, "job").await.unwrap();
    assert_eq!((found.total_operation_count, done, found.failure_operation_count), (EXECUTIONS, EXECUTIONS, 0));
    assert_eq!(signalled(&home).await, vec![1; usize::try_from(EXECUTIONS).unwrap()]);
}

#[tokio::test]
async fn a_stopped_batch_stays_where_it_was_and_another_can_begin() {
    let home = full().await;
    begin(&home, signals("first")).await.unwrap();
    home.pass(Duration::from_millis(500)).await;
    let refused = begin(&home, signals("second")).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::ResourceExhausted, "Max concurrent batch operations is reached")
    );
    let stop = StopBatchOperationRequest {
        namespace: NAMESPACE.into(),
        job_id: "first".into(),
        reason: "enough".into(),
        identity: String::new(),
    };
    let _: StopBatchOperationResponse = home.call("StopBatchOperation", stop).await.unwrap();
    home.pass(Duration::from_mins(1)).await;
    let found = described(&home, "first").await.unwrap();
    assert!(found.state() == State::Failed && found.complete_operation_count < EXECUTIONS, "{found:?}");
    assert_eq!(begin(&home, signals("first")).await.unwrap_err().code(), Code::AlreadyExists);
    begin(&home, signals("second")).await.unwrap();
}

#[tokio::test]
async fn a_batch_is_forgotten_with_the_executions_of_its_time() {
    let mut home = full().await;
    let ending = Some(Operation::TerminationOperation(BatchOperationTermination::default()));
    begin(&home, StartBatchOperationRequest { operation: ending, ..signals("job") }).await.unwrap();
    for _ in 0..EXECUTIONS {
        home.pass(Duration::from_secs(1)).await;
    }
    assert_eq!(described(&home, "job").await.unwrap().state(), State::Completed);
    home.crash().await;
    let list = || ListBatchOperationsRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let listed: ListBatchOperationsResponse = home.call("ListBatchOperations", list()).await.unwrap();
    assert_eq!(listed.operation_info.len(), 1);
    home.pass(Duration::from_hours(24 * 40)).await;
    home.pass(Duration::from_hours(1)).await;
    let listed: ListBatchOperationsResponse = home.call("ListBatchOperations", list()).await.unwrap();
    assert_eq!(listed.operation_info, []);
    home.crash().await;
    assert_eq!(described(&home, "job").await.unwrap_err().code(), Code::NotFound);
}
