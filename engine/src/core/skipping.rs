//! Time skipping, for tests of workflows: while nobody is at work and skipping is not locked, time jumps to whatever comes
//! due next. The rules are those of Temporal's own test server: locks are counted, one is held at the start, and what a worker
//! has, or could have, lets time go at its own pace.

use std::{
    collections::BTreeMap,
    sync::mpsc::{RecvTimeoutError, TryRecvError},
    time::Duration,
};

use tonic::Status;

use super::{Core, Message, Reply, inbox::Inbox};
use crate::{clock::Timestamp, history::time::Nanos};

/// Clients that may wait for a time.
const MAX_SLEEPERS: usize = 1_000;

/// What an engine knows that may skip time.
#[derive(Default)]
pub(crate) struct Skipping {
    /// How many locks are held; time is skipped while there is none.
    locks: u64,
    /// Who waits for which time, those of the same time in order of their coming.
    sleepers: BTreeMap<(Nanos, u64), Sleeper>,
    next_sleeper: u64,
}

/// A client that waits for a time.
struct Sleeper {
    reply: Reply<()>,
    /// Whether it has given up a lock meanwhile, which it takes again.
    relocks: bool,
}

impl Skipping {
    /// Of an engine whose tests have not begun: locked.
    pub(super) fn new() -> Self {
        Self { locks: 1, ..Self::default() }
    }

    /// When the next client wants to be told.
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        self.sleepers.first_key_value().map(|((time, _), _)| *time)
    }

    fn unlock(&mut self) -> Result<(), Status> {
        let unbalanced =
            || Status::failed_precondition("time skipping is not locked: more unlocks than locks were asked for");
        self.locks = self.locks.checked_sub(1).ok_or_else(unbalanced)?;
        Ok(())
    }
}

impl Core {
    /// Holds one lock more.
    ///
    /// # Errors
    /// This engine skips no time.
    pub(crate) fn lock_time_skipping(&mut self) -> Result<(), Status> {
        let skipping = self.skipping()?;
        skipping.locks = skipping.locks.saturating_add(1);
        Ok(())
    }

    /// Gives one lock up.
    ///
    /// # Errors
    /// None is held, or this engine skips no time.
    pub(crate) fn unlock_time_skipping(&mut self) -> Result<(), Status> {
        self.skipping()?.unlock()
    }

    /// Answers once that time has come; `unlocked` gives a lock up until then.
    pub(crate) fn sleep_until(&mut self, time: Nanos, unlocked: bool, reply: Reply<()>) {
        if let Err(status) = self.add_sleeper(time, unlocked, reply) {
            let (status, reply) = *status;
            let _ = reply.send(Err(status));
        }
    }

    fn add_sleeper(&mut self, time: Nanos, unlocked: bool, reply: Reply<()>) -> Result<(), Box<(Status, Reply<()>)>> {
        let skipping = match self.skipping() {
            Ok(skipping) => skipping,
            Err(status) => return Err(Box::new((status, reply))),
        };
        if skipping.sleepers.len() >= MAX_SLEEPERS {
            return Err(Box::new((Status::resource_exhausted("too many clients wait for a time"), reply)));
        }
        if unlocked && let Err(status) = skipping.unlock() {
            return Err(Box::new((status, reply)));
        }
        let number = skipping.next_sleeper;
        skipping.next_sleeper += 1;
        skipping.sleepers.insert((time, number), Sleeper { reply, relocks: unlocked });
        Ok(())
    }

    /// Tells those whose time has come.
    pub(super) fn wake_sleepers(&mut self, now: Nanos) {
        while let Some(sleeper) = self.due_sleeper(now) {
            self.reply(sleeper.reply, Ok(()));
        }
    }

    fn due_sleeper(&mut self, now: Nanos) -> Option<Sleeper> {
        let skipping = self.skipping.as_mut()?;
        let first = skipping.sleepers.first_entry().filter(|first| first.key().0 <= now)?;
        let sleeper = first.remove();
        skipping.locks += u64::from(sleeper.relocks);
        Some(sleeper)
    }

    /// Waits for a message, no longer than until `deadline`. Where there is none and time may be skipped, `deadline` has come
    /// when this returns.
    pub(super) fn wait_or_skip(
        &self,
        inbox: &Inbox,
        deadline: Option<Nanos>,
        patience: Duration,
    ) -> Result<Message, RecvTimeoutError> {
        match inbox.try_next() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        if deadline.is_some_and(|deadline| self.skip_to(deadline)) {
            return Err(RecvTimeoutError::Timeout);
        }
        let next = deadline.map_or(self.next_sweep, |deadline| deadline.min(self.next_sweep));
        inbox.next(self.clock.real_wait(Timestamp(next)).map_or(patience, |wait| wait.min(patience)))
    }

    /// Moves time on to `deadline` if nothing stands against it. Answers whether it did.
    fn skip_to(&self, deadline: Nanos) -> bool {
        let unlocked = self.skipping.as_ref().is_some_and(|skipping| skipping.locks == 0);
        let skips = unlocked && deadline > self.now() && !self.is_at_work();
        if skips {
            self.clock.skip_to(Timestamp(deadline));
        }
        skips
    }

    /// Whether a worker has something to do, or would have if there were one. Walks over all that is open.
    fn is_at_work(&self) -> bool {
        let of_workflows = self.live.values().any(|live| {
            let execution = &live.execution;
            let activities = &mut execution.activities.values();
            let task = execution.info.workflow_task.as_ref();
            let may_go_on = !execution.is_paused();
            !live.queries.is_empty()
                || task.is_some_and(|task| task.started_event_id != 0 || may_go_on)
                || execution.operations.values().any(|operation| operation.call().is_some())
                || activities.any(|activity| activity.is_started() || (activity.is_due() && may_go_on))
        });
        of_workflows || !self.closed_queries.is_empty() || self.activities.is_at_work()
    }

    fn skipping(&mut self) -> Result<&mut Skipping, Status> {
        self.skipping.as_mut().ok_or_else(|| {
            Status::unimplemented(
                "this engine skips no time; one for tests is started with `dixmgr engine -time-skipping`",
            )
        })
    }
}
