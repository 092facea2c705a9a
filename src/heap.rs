//! Memory that a burst of work leaves behind is given back to the system, and so is code that only a start runs.

use std::time::Duration;

use tokio::time::sleep;

/// A start is over, of few services or of thousands, after so long.
const AFTER_START: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(20)];
/// What later bursts leave behind, as storms and reloads, lies no longer.
const LATER: Duration = Duration::from_mins(1);

/// Gives back what is free now and then. Never ends.
pub(crate) async fn keep_small() {
    for wait in AFTER_START {
        sleep(wait).await;
        trim().await;
        dixmgr_heap::release_code();
    }
    loop {
        sleep(LATER).await;
        trim().await;
    }
}

async fn trim() {
    // It walks the heap: not on a thread that others wait for.
    let _ = tokio::task::spawn_blocking(dixmgr_heap::trim).await;
}
