//! A Temporal server that is killed in the middle of things and comes back with what it had made durable.

use std::time::Duration;

use dixmgr_testkit::TemporalServer;
use dixmgr_workflows::restart::{Reason, Standing};

use super::WARM;
use super::backend::patient_client;
use super::harness::Harness;

/// Longer than it takes to kill the server, so that the wait ends while it is away or later.
const BACKOFF: Duration = Duration::from_secs(2);

#[tokio::test]
async fn what_happens_while_the_server_is_away_is_answered_once() {
    let Some(server) = TemporalServer::start() else { return };
    let client = patient_client(&server).await;
    let story = async { away(Harness::start(client, "outage", WARM), server).await };
    tokio::task::LocalSet::new().run_until(story).await;
}

async fn away(harness: Harness, server: TemporalServer) {
    for unit in ["db.service", "web.service", "cache.service"] {
        harness.world.runs(unit);
    }
    let mut db = harness.spec("db");
    (db.restart.initial_backoff, db.restart.max_backoff) = (BACKOFF, BACKOFF);
    let mut web = harness.needing("web", &["cache"]);
    web.restart.max_restarts = 0;
    let db = harness.start_node(db).await;
    let cache = harness.start_node(harness.spec("cache")).await;
    let web = harness.start_dependent(web).await;
    web.until("all are ready", |status| status.ready && status.waiting_for.is_empty()).await;
    db.until("ready", |status| status.ready).await;
    harness.world.dies("db.service");
    db.until("restarted", |status| status.ready && status.streak == 1).await;
    harness.world.dies("db.service");
    db.until("backing off", |status| status.standing == Standing::BackingOff).await;

    // The backoff ends, one service dies and one comes to its limit, all while nobody can be told.
    let server = absent(server, || {
        harness.world.dies("cache.service");
        harness.world.dies("web.service");
    })
    .await;

    let status = db.until("restarted again", |status| status.ready && status.streak == 2).await;
    assert_eq!(status.reason, Reason::Restarted);
    cache.until("restarted", |status| status.ready && status.streak == 1).await;
    web.until("quarantine", |status| status.standing == Standing::Quarantined).await;
    web.restart_now().await;
    web.until("freed", |status| status.ready).await;

    // Once more, with nothing going on: all stays as it was.
    let server = absent(server, || {}).await;
    for node in [&db, &cache, &web] {
        node.until("ready still", |status| status.ready).await;
    }
    let count = |unit: &str| harness.world.effects(unit).len();
    assert_eq!((count("db.service"), count("cache.service"), count("web.service")), (2, 1, 1));
    drop(server);
}

/// Kills the server, lets `meanwhile` happen, and starts it again.
async fn absent(mut server: TemporalServer, meanwhile: impl FnOnce()) -> TemporalServer {
    server.kill();
    meanwhile();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let restart = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    });
    restart.await.expect("the server comes back")
}
