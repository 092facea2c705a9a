//! A place for at most one operation in flight.

use futures_util::FutureExt;
use futures_util::future::{Fuse, FusedFuture, LocalBoxFuture};
use temporalio_sdk::WorkflowCancellationToken;

/// A place for at most one operation in flight, such as the running watch. An empty one never resolves.
pub(crate) struct Slot<'a, T> {
    /// For `select!`.
    pub(crate) future: Fuse<LocalBoxFuture<'a, T>>,
    token: WorkflowCancellationToken,
}

impl<'a, T> Slot<'a, T> {
    /// An empty slot.
    pub(crate) fn empty() -> Self {
        Self { future: Fuse::terminated(), token: WorkflowCancellationToken::new() }
    }

    /// Fills the slot; what was in it is cancelled. `token` must be the one that the operation was started with.
    pub(crate) fn fill(&mut self, token: WorkflowCancellationToken, future: impl Future<Output = T> + 'a) {
        self.cancel();
        self.token = token;
        self.future = future.boxed_local().fuse();
    }

    /// Cancels what is in flight and forgets it.
    pub(crate) fn cancel(&mut self) {
        if self.is_busy() {
            self.token.cancel();
            self.future = Fuse::terminated();
        }
    }

    /// Whether an operation is in flight.
    pub(crate) fn is_busy(&self) -> bool {
        !self.future.is_terminated()
    }
}
