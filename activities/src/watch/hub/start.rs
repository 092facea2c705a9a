//! The work that the hub starts: looks, samples and checks, each a task that sends its [`Event`] when it is done.

use std::cmp::Reverse;
use std::sync::Arc;

use dixmgr_model::ServiceSpec;
use tokio::time::Instant;

use super::super::probe::{ProbeId, ProbeResult};
use super::super::sampling::{Wanted, sample};
use super::{Event, Id, Lane, State};
use crate::breakers::Target;
use crate::sync::SyncError;

impl State {
    /// Starts a look in each lane that is free and has something to look at.
    pub(super) fn start_looks(&mut self) {
        for lane in [Lane::Urgent, Lane::Routine] {
            let queue = self.queue(lane);
            if queue.in_flight || queue.wanted.is_empty() {
                continue;
            }
            let wanted = std::mem::take(&mut queue.wanted);
            let (ids, units): (Vec<Id>, Vec<String>) = wanted
                .into_iter()
                .filter_map(|id| Some((id, self.entries.get(&id)?.spec.unit_name().to_owned())))
                .unzip();
            if ids.is_empty() {
                continue;
            }
            self.queue(lane).in_flight = true;
            let number = self.next_look;
            self.next_look += 1;
            let (manager, events) = (Arc::clone(&self.options.manager), self.events.clone());
            let (watching, begun) = (Arc::clone(&self.watching), Instant::now());
            tokio::spawn(async move {
                let result = manager.statuses(&units).await;
                watching.answered(begun.elapsed());
                // The hub has ended: nobody waits for it.
                let _ = events.send(Event::Looked { lane, number, ids, result }).await;
            });
        }
    }

    /// Starts sampling, if anything is to be sampled and nothing is.
    pub(super) fn start_sampling(&mut self) {
        if self.sampling || self.to_sample.is_empty() {
            return;
        }
        let wanted: Vec<Wanted> = std::mem::take(&mut self.to_sample)
            .into_iter()
            .filter_map(|id| {
                let entry = self.entries.get(&id)?;
                Some(Wanted { id, unit: entry.has_processes().then(|| entry.spec.unit_name().to_owned()) })
            })
            .collect();
        self.sampling = true;
        let (manager, events, origin) = (Arc::clone(&self.options.manager), self.events.clone(), self.clock.origin);
        tokio::spawn(async move {
            let sampled = sample(manager, origin, wanted).await;
            let _ = events.send(Event::Sampled(sampled)).await;
        });
    }

    /// Starts one check of a service that was due at `at`, if it still belongs to this run and its target is not left alone.
    pub(super) fn start_check(&mut self, at: Instant, id: Id, epoch: u64, probe: ProbeId) {
        let now = self.clock.now();
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.epoch == epoch && entry.is_running()) else {
            return;
        };
        let call = match self.options.breakers.check(target(&entry.spec, probe), entry.settled(probe)) {
            Ok(call) => call,
            Err(wait) => {
                entry.spared(probe, now);
                entry.report();
                self.checks.push(Reverse((Instant::now() + wait, id, epoch, probe)));
                return;
            }
        };
        let (spec, slots, events) = (Arc::clone(&entry.spec), Arc::clone(&self.check_slots), self.events.clone());
        let (http, sync) = (self.options.http.clone(), self.options.sync.clone());
        let watching = Arc::clone(&self.watching);
        tokio::spawn(async move {
            let Ok(_slot) = slots.acquire().await else { return };
            watching.check_begins(at.elapsed());
            let (result, reached) = match probe {
                ProbeId::Http(index) => {
                    let Some(check) = spec.probes.http.get(index) else { return };
                    let (result, outcome) = http.examine(check).await;
                    let answered_in = result.status.map(|_| result.response_time);
                    let reached = outcome.map_or_else(|error| error.reached(), |()| Some(true));
                    (ProbeResult::Http { verdict: result.verdict(), answered_in }, reached)
                }
                ProbeId::Sync => {
                    let Some(check) = &spec.probes.sync else { return };
                    let answer = sync.check(check).await;
                    let reached = answer.as_ref().map_or_else(SyncError::reached, |_| Some(true));
                    (ProbeResult::Sync(answer.map_err(|error| error.to_string())), reached)
                }
            };
            call.ended(reached);
            let _ = events.send(Event::Checked { id, epoch, probe, result }).await;
        });
    }
}

/// What a check asks.
fn target(spec: &ServiceSpec, probe: ProbeId) -> Option<Target> {
    match probe {
        ProbeId::Http(index) => Target::http(&spec.probes.http.get(index)?.url),
        ProbeId::Sync => Target::rpc(&spec.probes.sync.as_ref()?.endpoint),
    }
}
