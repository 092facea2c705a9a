//! What the hub does because its time has come: ticks, looks that were put off, checks, and forgetting.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use dixmgr_model::ServiceSpec;
use tokio::time::Instant;

use super::{Id, State};

/// Shortest interval between two looks, whatever is configured.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// How long a service that nobody watches and that is not in the plan is remembered: one that left it while no dixmgr ran.
const LINGER: Duration = Duration::from_secs(10);

impl State {
    /// When there is something to do if nothing happens.
    pub(super) fn next_wake(&self) -> Instant {
        let check = self.checks.peek().map(|Reverse((at, ..))| *at);
        let ticks = self.ticks.values().copied();
        let others =
            [check, self.begun.1, self.chatter.1, self.retry.1, self.windows.1, self.leaving.1, self.asking.due()];
        let soonest = others.into_iter().flatten().chain(ticks).min();
        soonest.unwrap_or_else(|| Instant::now() + LINGER)
    }

    /// Takes in all that is due.
    pub(super) fn take_due(&mut self, now: Instant) {
        self.ask_history(now);
        move_due(&mut self.begun, &mut self.urgent.wanted, now);
        move_due(&mut self.chatter, &mut self.urgent.wanted, now);
        move_due(&mut self.retry, &mut self.urgent.wanted, now);
        move_due(&mut self.windows, &mut self.to_sample, now);
        self.let_go(now);
        while let Some(Reverse((at, id, epoch, probe))) = self.checks.peek().copied()
            && at <= now
        {
            self.checks.pop();
            self.start_check(at, id, epoch, probe);
        }
        let due: Vec<Duration> =
            self.ticks.iter().filter(|(_, at)| **at <= now).map(|(interval, _)| *interval).collect();
        for interval in due {
            self.tick(interval, now);
        }
    }

    /// An interval is over: all its services are looked at.
    fn tick(&mut self, due: Duration, now: Instant) {
        let (mut any, time) = (false, self.clock.now());
        let mut unwatched = Vec::new();
        for (id, entry) in &mut self.entries {
            if entry.is_watched() {
                entry.last_watched = time;
            } else if time.saturating_sub(entry.last_watched) > LINGER {
                unwatched.push(*id);
            }
            if interval(&entry.spec) == due {
                any = true;
                self.routine.wanted.insert(*id);
            }
        }
        if any {
            // Ticks that were missed (the machine was suspended) are not made up for.
            self.ticks.insert(due, now + due);
        } else {
            self.ticks.remove(&due);
        }
        self.forget(&unwatched);
    }

    /// Forgets services that left the plan.
    fn forget(&mut self, unwatched: &[Id]) {
        if unwatched.is_empty() {
            return;
        }
        let planned = self.planned();
        for id in unwatched {
            if self.entries.get(id).is_some_and(|entry| !planned.contains(&entry.spec.name)) {
                self.drop_service(*id);
            }
        }
    }
}

/// Time between two routine looks at a service.
pub(super) fn interval(spec: &ServiceSpec) -> Duration {
    spec.probes.interval.max(MIN_INTERVAL)
}

/// Moves what has waited long enough to where it is worked on.
fn move_due(waiting: &mut (BTreeSet<Id>, Option<Instant>), to: &mut BTreeSet<Id>, now: Instant) {
    if waiting.1.is_some_and(|at| at <= now) {
        waiting.1 = None;
        to.append(&mut waiting.0);
    }
}
