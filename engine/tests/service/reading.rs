//! Histories read in pages, backwards, and while they grow.

use std::time::Duration;

use temporalio_common::protos::temporal::api::{
    enums::v1::HistoryEventFilterType,
    workflowservice::v1::{
        GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryResponse,
        GetWorkflowExecutionHistoryReverseRequest, GetWorkflowExecutionHistoryReverseResponse,
    },
};

use crate::{
    hand::{complete, execution, name, soon},
    home::{Home, NAMESPACE},
};

#[tokio::test]
async fn pages_are_the_history_forwards_and_backwards() {
    let mut home = Home::engine();
    home.start("long").await;
    for number in 0..20 {
        home.signal("long", &format!("signal {number}")).await.unwrap();
    }
    for reopened in [false, true] {
        if reopened {
            home.crash().await;
        }
        for size in [1, 3, 7, 22, 100] {
            let (mut ids, mut token) = (Vec::new(), Vec::new());
            loop {
                let page = home.page("long", size, false, token).await.unwrap();
                let events = page.history.unwrap().events;
                assert!(events.len() <= usize::try_from(size).unwrap());
                ids.extend(events.iter().map(|event| event.event_id));
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(ids, (1..=22).collect::<Vec<_>>(), "pages of {size}");
            assert_eq!(backwards(&home, size).await, (1..=22).rev().collect::<Vec<_>>(), "pages of {size}");
        }
    }
}

async fn backwards(home: &Home, maximum_page_size: i32) -> Vec<i64> {
    let (mut ids, mut next_page_token) = (Vec::new(), Vec::new());
    loop {
        let request = GetWorkflowExecutionHistoryReverseRequest {
            namespace: NAMESPACE.into(),
            execution: execution("long"),
            maximum_page_size,
            next_page_token,
        };
        let page: GetWorkflowExecutionHistoryReverseResponse =
            home.call("GetWorkflowExecutionHistoryReverse", request).await.unwrap();
        ids.extend(page.history.unwrap().events.iter().map(|event| event.event_id));
        next_page_token = page.next_page_token;
        if next_page_token.is_empty() {
            return ids;
        }
    }
}

#[tokio::test]
async fn a_reader_that_waits_hears_of_the_next_event_and_of_the_end() {
    let home = Home::engine();
    home.start("grows").await;
    let page = home.page("grows", 100, true, Vec::new()).await.unwrap();
    assert_eq!(page.history.unwrap().events.len(), 2);
    assert!(!page.next_page_token.is_empty(), "an open run goes on");

    let next = home.page("grows", 100, true, page.next_page_token.clone());
    let news = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        home.signal("grows", "news").await.unwrap();
    };
    let (page, ()) = soon(async { tokio::join!(next, news) }).await;
    let page = page.unwrap();
    assert_eq!(page.history.unwrap().events.iter().map(name).collect::<Vec<_>>(), ["WORKFLOW_EXECUTION_SIGNALED"]);

    let close = GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.into(),
        execution: execution("grows"),
        wait_new_event: true,
        history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
        ..Default::default()
    };
    let next = home.page("grows", 100, true, page.next_page_token);
    let closed = home.call::<_, GetWorkflowExecutionHistoryResponse>("GetWorkflowExecutionHistory", close);
    let end = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let task = home.workflow_task("grows").await;
        home.complete(task.task_token, vec![complete()]).await.unwrap();
    };
    let (page, closed, ()) = soon(async { tokio::join!(next, closed, end) }).await;
    assert!(!page.unwrap().history.unwrap().events.is_empty());
    let closed = closed.unwrap();
    assert_eq!(closed.history.unwrap().events.iter().map(name).collect::<Vec<_>>(), ["WORKFLOW_EXECUTION_COMPLETED"]);
    assert!(closed.next_page_token.is_empty(), "a closed run has no next page");
}
