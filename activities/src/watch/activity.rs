//! The Temporal side of a watch: heartbeats, cancellation, and the answer.

use std::sync::Arc;
use std::time::Duration;

use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Hub, Known, Subscription, WatchProgress};
use crate::api::{WatchReport, WatchRequest};
use crate::error::{Failure, retryable};

/// Longest time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_mins(1);

/// Watches until there is something to decide.
pub(crate) async fn watch_service(
    hub: &Hub,
    context: &ActivityContext,
    request: WatchRequest,
) -> Result<WatchReport, ActivityError> {
    // Progress that cannot be read is of another version: the watch begins anew, which is safe.
    let resume = context.heartbeat_details().deserialize::<WatchProgress>().ok().flatten().map(Arc::new);
    let every = heartbeat_interval(context.info().heartbeat_timeout);
    // Thousands of watches wait below; what is only needed here, and for a heartbeat, is not kept in each of them.
    let known = Known { state: request.known, alerts: request.alerts };
    let subscription = Box::pin(hub.watch(request.spec, known, resume.clone())).await;
    let Subscription { mut report, mut progress } = subscription.map_err(crate::error::watch)?;
    let mut newest = resume;
    loop {
        tokio::select! {
            biased;
            report = &mut report => {
                return match report {
                    Ok(report) => Ok(report),
                    Err(_) => Err(retryable(Failure::Watch, "another watch of this service has taken its place")),
                };
            }
            () = context.cancelled() => return Err(ActivityError::cancelled()),
            told = next(&mut progress) => newest = told.or(newest),
            () = sleep(every) => {}
        }
        Box::pin(beat(context, newest.as_deref())).await;
    }
}

/// The next progress; waits for ever when the hub has none any more, since the report then ends too.
async fn next(progress: &mut watch::Receiver<Option<Arc<WatchProgress>>>) -> Option<Arc<WatchProgress>> {
    match progress.changed().await {
        Ok(()) => progress.borrow_and_update().clone(),
        Err(_) => std::future::pending().await,
    }
}

async fn beat(context: &ActivityContext, progress: Option<&WatchProgress>) {
    if let Err(error) = context.record_heartbeat(progress.cloned()).await {
        tracing::debug!(%error, "a heartbeat could not be written");
    }
}

/// At most a minute, and well within the timeout.
pub(crate) fn heartbeat_interval(timeout: Option<Duration>) -> Duration {
    timeout.filter(|timeout| !timeout.is_zero()).map_or(HEARTBEAT, |timeout| (timeout / 3).min(HEARTBEAT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_come_in_time() {
        assert_eq!(heartbeat_interval(None), HEARTBEAT);
        assert_eq!(heartbeat_interval(Some(Duration::ZERO)), HEARTBEAT);
        assert_eq!(heartbeat_interval(Some(Duration::from_secs(30))), Duration::from_secs(10));
        assert_eq!(heartbeat_interval(Some(Duration::from_mins(10))), HEARTBEAT);
    }
}
