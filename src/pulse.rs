//! How fast what makes workflows durable is: the mean time of the engine's commits, or of a cluster's answer.

use std::time::Duration;

use dixmgr_engine::Engine;
use temporalio_client::Client;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::home;

/// Time between two measurements.
const EVERY: Duration = Duration::from_secs(5);
/// A cluster that takes longer does not answer.
const LONGEST: Duration = Duration::from_secs(10);

/// Says every few seconds how long a commit took lately; nothing when there was none. Never ends.
pub(crate) async fn of_engine(engine: Engine, latest: watch::Sender<Option<Duration>>) {
    let mut ticks = ticks();
    let (mut count, mut seconds) = engine.commits();
    loop {
        ticks.tick().await;
        let now = engine.commits();
        #[allow(clippy::cast_precision_loss, reason = "commits of some seconds")]
        let mean = (now.0 > count).then(|| (now.1 - seconds).max(0.0) / (now.0 - count) as f64);
        (count, seconds) = now;
        latest.send_replace(mean.and_then(|mean| Duration::try_from_secs_f64(mean).ok()));
    }
}

/// Says every few seconds how long a cluster took to answer, as soon as there is a client. Never ends.
pub(crate) async fn of_cluster(client: watch::Receiver<Option<Client>>, latest: watch::Sender<Option<Duration>>) {
    let mut ticks = ticks();
    loop {
        ticks.tick().await;
        let Some(client) = client.borrow().clone() else { continue };
        let asked = Instant::now();
        // One that refuses is as bad as one that is silent.
        let well = matches!(timeout(LONGEST, home::ping(&client)).await, Ok(Ok(())));
        latest.send_replace(Some(if well { asked.elapsed() } else { LONGEST }));
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
