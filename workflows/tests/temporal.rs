//! The workflow suite on a real Temporal server: the oracle for every other backend.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests run outside of workflows"
)]

// The SDK's `activities` macro names the crate `futures`; what it uses of it is in futures-util.
extern crate futures_util as futures;

mod suite;

use dixmgr_testkit::TemporalServer;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions, Url};

async fn client(server: &TemporalServer) -> Client {
    let target: Url = server.url().parse().expect("a URL");
    let connection = Connection::connect(ConnectionOptions::new(target).build()).await.expect("a connection");
    Client::new(connection, ClientOptions::new(dixmgr_testkit::temporal::NAMESPACE).build()).expect("a client")
}

#[tokio::test]
async fn the_suite_holds_on_a_temporal_server() {
    let Some(server) = TemporalServer::start() else { return };
    suite::run(client(&server).await, 1_000, suite::cases::ALL).await;
}

/// Every step replays the whole history: what a warm cache hides shows here.
#[tokio::test]
async fn the_suite_holds_when_nothing_is_cached() {
    let Some(server) = TemporalServer::start() else { return };
    suite::run(client(&server).await, 0, suite::cases::ALL).await;
}
