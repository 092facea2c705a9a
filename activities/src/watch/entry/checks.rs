//! The HTTP and sync checks of a service: what their results mean for it, and which are due.

use std::time::Duration;

use dixmgr_alerting::health::CheckVerdict;

use super::Entry;
use crate::watch::probe::{Facts, ProbeId, ProbeResult};

impl Entry {
    /// Takes in the result of a check, and answers the wait until its next run.
    pub(in crate::watch) fn checked(&mut self, id: ProbeId, result: ProbeResult, now: Duration) -> Option<Duration> {
        self.record_check(id, &result);
        let facts = Facts::of(&result);
        self.telling.answered(&facts, now);
        let next = self.readiness.fold(id, result, now);
        self.moved = true;
        self.record(now);
        let looked = match facts {
            Facts::Http(time) => {
                let health = self.readiness.health().status;
                self.alerts.health(&self.spec, health, time, &self.metrics, now)
            }
            Facts::Sync(peers) => {
                let sync = self.readiness.sync().map(|sync| sync.status);
                self.alerts.sync(&self.spec, sync, peers, &self.metrics, now)
            }
        };
        self.judged(looked, now);
        self.tell_progress();
        next
    }

    /// The interval of a check that may be spared; nothing of one whose result is waited for.
    pub(in crate::watch) fn settled(&self, id: ProbeId) -> Option<Duration> {
        self.readiness.settled(id)
    }

    /// A check was not made, since what it asks is left alone for a while. The verdict of those before stands, also for rules.
    pub(in crate::watch) fn spared(&mut self, id: ProbeId, now: Duration) {
        let looked = match id {
            ProbeId::Http(_) => {
                let health = self.readiness.health().status;
                self.alerts.health(&self.spec, health, None, &self.metrics, now)
            }
            ProbeId::Sync => {
                let sync = self.readiness.sync().map(|sync| sync.status);
                self.alerts.sync(&self.spec, sync, None, &self.metrics, now)
            }
        };
        self.judged(looked, now);
        self.tell_progress();
    }

    fn record_check(&self, id: ProbeId, result: &ProbeResult) {
        let check = match id {
            ProbeId::Http(index) => index,
            ProbeId::Sync => self.spec.probes.http.len(),
        };
        match result {
            ProbeResult::Http { verdict, answered_in } => {
                self.metrics.check_ran(check, *verdict == CheckVerdict::Passed, *answered_in);
            }
            ProbeResult::Sync(answer) => self.metrics.check_ran(check, answer.is_ok(), None),
        }
        if let ProbeResult::Sync(Ok(reading)) = result {
            self.metrics.set_peers(reading.peers);
            self.metrics.set_blocks([reading.best, reading.finalized, reading.highest]);
        }
    }

    /// The checks of this run.
    pub(in crate::watch) fn probes(&self) -> Vec<ProbeId> {
        self.readiness.probes().collect()
    }
}
