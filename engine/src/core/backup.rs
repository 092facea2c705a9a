//! A copy of the store while work goes on: some pages of it between any two batches.

use std::{path::PathBuf, time::Duration};

use tonic::Status;

use super::{Core, CoreHandle, Inbox, Reply, run::Turn, shut_down, status_of};
use crate::store::{StoreError, backup::Target};

/// A copy that is asked for.
pub(super) struct BackupRequest {
    to: PathBuf,
    reply: Reply<u64>,
}

/// How a copy ended: its bytes; or the thread has something else to do than to finish it.
enum Ended {
    Whole(u64),
    Interrupted(Turn),
}

impl CoreHandle {
    /// Copies the store to a new file. Answers its bytes.
    ///
    /// # Errors
    /// As [`crate::Engine::backup`].
    pub(crate) async fn backup(&self, to: PathBuf) -> Result<u64, Status> {
        self.call(move |core, reply| {
            if core.backing_up {
                return core.reply(reply, Err(Status::already_exists("a backup is under way; wait for its end")));
            }
            core.backing_up = true;
            core.backup = Some(BackupRequest { to, reply });
        })
        .await
    }
}

impl Core {
    /// Makes the copy. Takes a turn between any two steps.
    pub(super) fn back_up(&mut self, request: BackupRequest, inbox: &Inbox) -> Turn {
        let ended = self.copy(&request, inbox);
        self.backing_up = false;
        let (answer, turn) = match ended {
            Ok(Ended::Whole(bytes)) => (Ok(bytes), Turn::Done),
            Ok(Ended::Interrupted(turn)) => (Err(shut_down()), turn),
            Err(error) => (Err(status_of(&error)), Turn::Done),
        };
        // Whoever has asked may have gone.
        let _ = request.reply.send(answer);
        turn
    }

    fn copy(&mut self, request: &BackupRequest, inbox: &Inbox) -> Result<Ended, StoreError> {
        let source = self.store.source();
        let mut target = Target::create(&request.to)?;
        let copying = target.copy_from(&source)?;
        while !copying.step()? {
            match self.turn(inbox, Duration::ZERO) {
                Turn::Done => {}
                turn => return Ok(Ended::Interrupted(turn)),
            }
        }
        drop(copying);
        target.finish().map(Ended::Whole)
    }
}
