//! The engine through its public gRPC surface, with requests by hand: what it promises when processes die, disks fill, time
//! passes and clients ask for nonsense. Where behaviour is Temporal's to define, a real server is asked the same.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "a test says what went wrong by panicking")]
#![allow(clippy::large_futures, reason = "a test's futures live once")]
#![allow(clippy::unnecessary_wraps, reason = "protobuf fields are optional")]

mod acting;
mod activities;
mod attributes;
mod batches;
mod deletion;
mod deployments;
mod endpoints;
mod file;
mod full;
mod hand;
mod home;
mod ids;
mod kill;
mod limits;
mod namespaces;
mod nexus;
mod queries;
mod reading;
mod refusals;
mod reopen;
mod resets;
mod runs;
mod schedules;
mod skipping;
mod task_queues;
mod tasks;
mod timeouts;
mod updates;
mod waits;
mod workers;

use home::Home;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporal_server_answers_the_same() {
    let Some(server) = Home::server().await else { return };
    let engine = Home::engine();
    // A server that has only just begun loses polls.
    for number in 0..3 {
        let id = format!("warm-up-{number}");
        server.start(&id).await;
        let task = server.workflow_task(&id).await;
        server.complete(task.task_token, vec![hand::complete()]).await.unwrap();
    }
    // The many starts of the table come after what has to be in time.
    let (timeouts, tasks, refusals, runs) = tokio::join!(
        Box::pin(timeouts::scenarios(&server)),
        Box::pin(tasks::scenario(&server)),
        Box::pin(refusals::scenario(&server)),
        Box::pin(runs::scenarios(&server))
    );
    let resets = Box::pin(resets::scenarios(&server)).await;
    let updates = Box::pin(updates::scenarios(&server)).await;
    let attributes = Box::pin(attributes::scenario(&server)).await;
    let namespaces = Box::pin(namespaces::scenario(&server)).await;
    let limits = Box::pin(limits::scenario(&server)).await;
    let ids = Box::pin(ids::table(&server)).await;
    let theirs =
        [ids, timeouts.concat(), tasks, refusals, runs, resets, updates, attributes, namespaces, limits].concat();
    let ours = [
        Box::pin(ids::table(&engine)).await,
        Box::pin(timeouts::scenarios(&engine)).await.concat(),
        Box::pin(tasks::scenario(&engine)).await,
        Box::pin(refusals::scenario(&engine)).await,
        Box::pin(runs::scenarios(&engine)).await,
        Box::pin(resets::scenarios(&engine)).await,
        Box::pin(updates::scenarios(&engine)).await,
        Box::pin(attributes::scenario(&engine)).await,
        Box::pin(namespaces::scenario(&engine)).await,
        Box::pin(limits::scenario(&engine)).await,
    ]
    .concat();
    let differ = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs);
    let differ: Vec<_> = differ.map(|(ours, theirs)| format!("engine {ours}\nserver {theirs}")).collect();
    assert!(differ.is_empty(), "\n{}", differ.join("\n"));
    assert_eq!(ours.len(), theirs.len());
}
