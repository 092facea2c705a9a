//! Sync checks against servers that speak JSON-RPC like a node, and against some that do not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use dixmgr_activities::http::{HttpChecker, HttpError};
use dixmgr_activities::sync::{SyncChecker, SyncError};
use dixmgr_alerting::sync::SyncReading;
use dixmgr_model::SyncCheck;
use dixmgr_testkit::{HttpFixture, Reply};
use serde_json::{Value, json};

fn checker() -> SyncChecker {
    SyncChecker::new(&HttpChecker::new())
}

fn check(endpoint: &str) -> SyncCheck {
    serde_json::from_value(json!({"endpoint": endpoint, "timeout": "2s"})).unwrap()
}

/// A node that is at block 0x64, finalized at 0x61, and knows of 101.
fn node(method: &str, params: &Value) -> Value {
    match method {
        "system_health" => json!({"isSyncing": false, "peers": 12, "shouldHavePeers": true}),
        "system_syncState" => json!({"startingBlock": 1, "currentBlock": 99, "highestBlock": 101}),
        "chain_getFinalizedHead" => json!("0xabcdef"),
        "chain_getHeader" if params == &json!(["0xabcdef"]) => json!({"number": "0x61"}),
        "chain_getHeader" if params == &json!([]) => json!({"number": "0x64", "digest": {"logs": []}}),
        other => panic!("a node was asked {other} {params}"),
    }
}

/// Serves `answers`: the method's parameters in, a whole JSON-RPC answer's body out.
fn serve(answers: impl Fn(&str, &Value) -> Value + Send + 'static) -> HttpFixture {
    HttpFixture::start(move |request| {
        let call: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((request.method.as_str(), &call["jsonrpc"]), ("POST", &json!("2.0")));
        let mut answer = answers(call["method"].as_str().unwrap(), &call["params"]);
        answer["id"] = call["id"].clone();
        Reply::json(&answer)
    })
}

fn serve_results(results: impl Fn(&str, &Value) -> Value + Send + 'static) -> HttpFixture {
    serve(move |method, params| json!({"jsonrpc": "2.0", "result": results(method, params)}))
}

#[tokio::test]
async fn a_node_says_where_it_stands() {
    let server = serve_results(node);
    let reading = checker().check(&check(&server.url("/"))).await;
    let expected = SyncReading {
        is_syncing: false,
        peers: 12,
        should_have_peers: true,
        best: Some(0x64),
        finalized: Some(0x61),
        highest: Some(101),
    };
    assert_eq!(reading, Ok(expected));
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_node_that_keeps_methods_to_itself_is_judged_by_the_rest() {
    let server = serve(|method, params| match method {
        "system_health" => json!({"result": node(method, params)}),
        "system_syncState" => json!({"result": {"startingBlock": 1, "currentBlock": 99}}),
        _ => json!({"error": {"code": -32601, "message": "Method not found"}}),
    });
    let reading = checker().check(&check(&server.url("/"))).await.unwrap();
    assert_eq!((reading.best, reading.finalized, reading.highest), (Some(99), None, None));
}

#[tokio::test]
async fn garbage_from_a_node_is_a_typed_error_that_names_the_method() {
    let cases: [(&str, Value); 8] = [
        ("system_health", json!({"isSyncing": "no", "peers": 1, "shouldHavePeers": true})),
        ("system_health", json!({"isSyncing": false, "peers": -1, "shouldHavePeers": true})),
        ("system_health", json!([1, 2, 3])),
        ("system_health", Value::Null),
        ("system_syncState", json!({"currentBlock": "many"})),
        ("chain_getHeader", json!({"number": "0xnothex"})),
        ("chain_getFinalizedHead", json!("0x'; drop table blocks")),
        ("chain_getFinalizedHead", json!(7)),
    ];
    for (broken, result) in cases {
        let answer = result.clone();
        let server =
            serve_results(move |method, params| if method == broken { answer.clone() } else { node(method, params) });
        let error = checker().check(&check(&server.url("/"))).await.unwrap_err();
        let SyncError::Garbage { method, .. } = &error else { panic!("{broken} {result}: {error:?}") };
        assert_eq!(*method, broken, "{error}");
    }
}

#[tokio::test]
async fn what_is_not_json_rpc_is_a_typed_error() {
    for body in ["<html>it works</html>", "", "{}", "[]", "7", r#"{"id": 2, "result": {}}"#, "\u{0}"] {
        let server = HttpFixture::always(Reply::status(200).body(body));
        let error = checker().check(&check(&server.url("/"))).await.unwrap_err();
        assert!(matches!(error, SyncError::Garbage { method: "system_health", .. }), "{body:?}: {error:?}");
    }
    let server = serve(|_, _| json!({"error": {"code": -32000, "message": "x".repeat(5000)}}));
    let error = checker().check(&check(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, SyncError::Rpc { code: -32000, .. }) && error.to_string().len() < 300, "{error:?}");
    let server = HttpFixture::always(Reply::status(403));
    let error = checker().check(&check(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, SyncError::Status { status: 403, .. }), "{error:?}");
    let server = HttpFixture::always(Reply::endless(2 << 30));
    let error = checker().check(&check(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, SyncError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_silent_node_and_no_node() {
    let server = HttpFixture::always(Reply::stall());
    let mut asked = check(&server.url("/"));
    asked.timeout = Duration::from_millis(60);
    let started = Instant::now();
    let error = checker().check(&asked).await.unwrap_err();
    assert!(matches!(error, SyncError::Timeout { method: "system_health", .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(1));
    asked.endpoint = format!("http://127.0.0.1:{}", dixmgr_testkit::free_port());
    let error = checker().check(&asked).await.unwrap_err();
    assert!(matches!(error, SyncError::Http(HttpError::Refused { .. })), "{error:?}");
    asked.endpoint = "localhost:9944".to_owned();
    let error = checker().check(&asked).await.unwrap_err();
    assert!(matches!(error, SyncError::BadEndpoint(_)), "{error:?}");
}
