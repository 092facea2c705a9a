//! Runs cases side by side on one backend: each has its own worker on its own task queue.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};
use temporalio_client::Client;

use super::harness::Harness;

/// One case of the suite.
pub(crate) type Case = (&'static str, fn(Harness) -> LocalBoxFuture<'static, ()>);

/// Runs `cases` on one backend, and reports all that failed together.
///
/// # Panics
/// When a case fails.
pub(crate) async fn run(client: Client, cached_workflows: usize, cases: &[Case]) {
    run_then(client, cached_workflows, cases, |_| async {}).await;
}

/// The same; calls `then` with the name of each case that passed, while its worker still runs, and answers with the results.
///
/// # Panics
/// When a case fails.
pub(crate) async fn run_then<T, F: Future<Output = T>>(
    client: Client,
    cached_workflows: usize,
    cases: &[Case],
    then: impl Fn(&'static str) -> F,
) -> Vec<T> {
    let local = tokio::task::LocalSet::new();
    let outcomes = local
        .run_until(join_all(cases.iter().map(|(name, case)| {
            let (client, then) = (client.clone(), &then);
            async move {
                let harness = Harness::start(client, name, cached_workflows);
                let _running = harness.keep_worker();
                let outcome = AssertUnwindSafe(case(harness)).catch_unwind().await;
                match outcome {
                    Ok(()) => Ok(then(name).await),
                    Err(_) => Err(*name),
                }
            }
        })))
        .await;
    let (results, failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    let failed: Vec<_> = failed.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "failed: {failed:?} of {} cases", cases.len());
    results.into_iter().filter_map(Result::ok).collect()
}
