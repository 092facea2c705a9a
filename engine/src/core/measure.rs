//! What is there at the moment, for whoever asks for the metrics.

use tonic::Status;

use super::{Core, CoreHandle};
use crate::metrics::Gauges;

impl CoreHandle {
    /// Brings the gauges up to date.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn measure(&self) -> Result<(), Status> {
        let requests_waiting = self.sender.waiting();
        self.call(move |core, reply| {
            core.metrics.set(Gauges { requests_waiting, ..core.gauges() });
            core.reply(reply, Ok(()));
        })
        .await
    }
}

impl Core {
    fn gauges(&self) -> Gauges {
        let (tasks, pollers) = self.queues.waiting();
        let (database_bytes, log_bytes) = self.store.file_bytes();
        Gauges { open_executions: self.live.len(), tasks, pollers, database_bytes, log_bytes, ..Gauges::default() }
    }
}
