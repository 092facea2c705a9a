//! A namespace is deleted with everything in it, a part at a time; kills in between change nothing of the end.

use temporalio_common::protos::temporal::api::workflowservice::v1::{
    CountWorkflowExecutionsRequest, CountWorkflowExecutionsResponse, StartWorkflowExecutionRequest,
};
use tonic::{Code, Status};

use crate::{
    hand::{soon, start},
    home::{Home, NAMESPACE},
    namespaces::{delete, deletion, register, registration},
};

const DOOMED: &str = "doomed";
/// More than are forgotten in one step.
const EXECUTIONS: usize = 350;

async fn count(home: &Home, namespace: &str) -> Result<i64, Status> {
    let request = CountWorkflowExecutionsRequest { namespace: namespace.into(), query: String::new() };
    home.call("CountWorkflowExecutions", request).await.map(|answer: CountWorkflowExecutionsResponse| answer.count)
}

/// A home with a namespace full of open executions, and one elsewhere.
async fn full() -> Home {
    let home = Home::engine();
    register(&home, registration(DOOMED)).await.unwrap();
    for number in 0..EXECUTIONS {
        let request = StartWorkflowExecutionRequest { namespace: DOOMED.into(), ..start(&format!("doomed-{number}")) };
        home.try_start(request).await.unwrap();
    }
    home.start("spared").await;
    assert_eq!(count(&home, DOOMED).await.unwrap(), i64::try_from(EXECUTIONS).unwrap());
    home
}

/// Registers the namespace anew, which is possible once the last of its executions is gone.
async fn await_end(home: &Home) -> usize {
    let anew = async {
        let mut refused = 0;
        while let Err(status) = register(home, registration(DOOMED)).await {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            refused += 1;
        }
        refused
    };
    soon(anew).await
}

#[tokio::test]
async fn a_deleted_namespace_is_gone_at_once_and_its_executions_soon() {
    let home = full().await;
    let name = delete(&home, deletion(DOOMED)).await.unwrap();
    assert!(name.starts_with("doomed-deleted-") && name.len() == "doomed-deleted-".len() + 5, "{name}");
    assert_eq!(count(&home, DOOMED).await.unwrap_err().code(), Code::NotFound);
    let request = StartWorkflowExecutionRequest { namespace: DOOMED.into(), ..start("late") };
    assert_eq!(home.try_start(request).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(delete(&home, deletion(DOOMED)).await.unwrap_err().code(), Code::NotFound);
    await_end(&home).await;
    assert_eq!(count(&home, DOOMED).await.unwrap(), 0);
    assert_eq!(count(&home, NAMESPACE).await.unwrap(), 1);
}

#[tokio::test]
async fn a_deletion_goes_on_after_a_crash() {
    let mut home = full().await;
    delete(&home, deletion(DOOMED)).await.unwrap();
    let mut lives = 0;
    // Each life gets a little further.
    while let Err(status) = register(&home, registration(DOOMED)).await {
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        home.crash().await;
        lives += 1;
    }
    assert!(lives > 0, "{EXECUTIONS} executions were gone in one step");
    home.crash().await;
    assert_eq!(count(&home, DOOMED).await.unwrap(), 0);
    assert_eq!(count(&home, NAMESPACE).await.unwrap(), 1);
    assert!(home.embedded().handle().outlook().await.is_ok());
}

#[tokio::test]
async fn what_the_engine_cannot_do_without_is_not_deleted() {
    let home = Home::engine();
    for name in ["default", NAMESPACE] {
        assert_eq!(delete(&home, deletion(name)).await.unwrap_err().code(), Code::FailedPrecondition);
    }
}
