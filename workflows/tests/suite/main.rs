//! The workflow suite: what must hold on every backend, against a scripted world.
//!
//! The backends are a real Temporal server, which is the oracle, and the embedded engine. On each the suite runs twice:
//! as in production, and with nothing cached, so that every step replays the whole history and what a warm cache hides
//! shows.
#![allow(
    clippy::default_trait_access,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::duration_suboptimal_units,
    clippy::expect_used,
    clippy::needless_for_each,
    clippy::redundant_closure_for_method_calls,
    clippy::unused_async,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "tests run outside of workflows; what the macros want, and brevity in scripts"
)]

// The SDK's `activities` macro names the crate `futures`; what it uses of it is in futures-util.
extern crate futures_util as futures;

mod agreement;
mod alerts;
mod backend;
mod cases;
mod harness;
mod outage;
mod run;
mod silences;
#[allow(dead_code, reason = "the SDK's macro makes a constant of every activity")]
mod world;

use backend::Backend;

/// Cached workflows of a worker in production.
const WARM: usize = 1_000;

#[tokio::test]
async fn the_suite_holds_on_a_temporal_server() {
    let Some(backend) = Backend::server() else { return };
    run::run(backend.client().await, WARM, cases::ALL).await;
}

#[tokio::test]
async fn the_suite_holds_on_a_temporal_server_when_nothing_is_cached() {
    let Some(backend) = Backend::server() else { return };
    run::run(backend.client().await, 0, cases::ALL).await;
}

#[tokio::test]
async fn the_suite_holds_on_the_engine() {
    run::run(Backend::engine().client().await, WARM, cases::ALL).await;
}

#[tokio::test]
async fn the_suite_holds_on_the_engine_when_nothing_is_cached() {
    run::run(Backend::engine().client().await, 0, cases::ALL).await;
}
