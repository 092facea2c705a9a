//! The workflow suite: what must hold on every backend, against a scripted world.
//!
//! A backend gives a client; each case runs its own worker on its own task queue, so all cases share one server.
#![allow(
    clippy::default_trait_access,
    clippy::duration_suboptimal_units,
    clippy::needless_for_each,
    clippy::redundant_closure_for_method_calls,
    clippy::unused_async,
    reason = "what the macros want, and brevity in scripts"
)]
#![allow(dead_code, unreachable_pub, reason = "each test binary includes the suite whole and uses its own part")]

pub mod cases;
pub mod harness;
pub mod world;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};
use temporalio_client::Client;

use harness::Harness;

/// One case of the suite.
pub type Case = (&'static str, fn(Harness) -> LocalBoxFuture<'static, ()>);

/// Runs `cases` side by side on one backend, and reports all that failed together.
///
/// # Panics
/// When a case fails.
pub async fn run(client: Client, cached_workflows: usize, cases: &[Case]) {
    let local = tokio::task::LocalSet::new();
    let outcomes = local
        .run_until(join_all(cases.iter().map(|(name, case)| {
            let client = client.clone();
            async move {
                let harness = Harness::start(client, name, cached_workflows);
                let outcome = AssertUnwindSafe(case(harness)).catch_unwind().await;
                (*name, outcome.is_ok())
            }
        })))
        .await;
    let failed: Vec<_> = outcomes.iter().filter(|(_, passed)| !passed).map(|(name, _)| *name).collect();
    assert!(failed.is_empty(), "failed: {failed:?} of {} cases", outcomes.len());
}
