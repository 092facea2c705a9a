//! The decision log: one line a decision, with its named reason, and none while history is replayed.

use std::time::{Duration, UNIX_EPOCH};

use temporalio_sdk::WorkflowContext;

/// Target of the decision log, for filters.
pub const TARGET: &str = "dixmgr::decision";

/// Logs one decision about `service`. `detail` continues a sentence that begins with the service's name.
pub(crate) fn decision<W>(ctx: &WorkflowContext<W>, service: &str, decision: &str, reason: &str, detail: &str) {
    if !ctx.is_replaying() {
        tracing::info!(target: TARGET, service, decision, reason, "{service} {detail}");
    }
}

/// Workflow time in milliseconds since the Unix epoch.
pub(crate) fn now<W>(ctx: &WorkflowContext<W>) -> u64 {
    let since_epoch = ctx.workflow_time().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    u64::try_from(since_epoch.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX)
}
