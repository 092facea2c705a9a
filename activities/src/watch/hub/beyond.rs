//! What is unusual, and what will be too much: every few minutes the history is asked, and its answers are one more look.
//!
//! What is usual at an hour is worked out once in it, service by service, so that a long history is never in memory as a
//! whole. Without a history, and where no rule wants to know, nothing of this runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dixmgr_alerting::baseline::HOUR;
use dixmgr_alerting::beyond::{self, Expected, HORIZON, Judgement, Means};
use dixmgr_model::ServiceSpec;
use tokio::time::{Instant, sleep};

use super::{Event, Id, State};
use crate::history::HistoryError;
use crate::history::event::millis;
use crate::history::read::{Period, Query, Reader, Step};

/// Time between two questions.
const EVERY: Duration = Duration::from_mins(5);
/// The first question: what was written before dixmgr ended is there, and all services are.
const FIRST: Duration = Duration::from_secs(15);
/// Services that are asked about at a time, and the pause after them.
const AT_A_TIME: usize = 10;
const PAUSE: Duration = Duration::from_millis(20);
/// What is judged: the mean of the last half hour, if this many of its minutes are known.
const RECENT: u64 = 30 * 60_000;
const RECENT_MOST: u32 = 30;
const RECENT_ENOUGH: usize = 10;

/// What the history said, signal by signal.
#[derive(Debug)]
pub(super) struct Judged {
    services: Vec<(Id, Judgement)>,
    expectations: Expectations,
}

/// What is expected of services in one hour.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    hour: u64,
    services: HashMap<String, Expected>,
}

/// When the history is asked next, and what it said of this hour.
#[derive(Debug)]
pub(super) struct Asking {
    /// Absent while it is being asked.
    known: Option<Expectations>,
    next: Instant,
}

/// A service that is asked about.
#[derive(Debug, Clone)]
struct Asked {
    id: Id,
    spec: Arc<ServiceSpec>,
    limit: Option<f64>,
}

impl Asking {
    pub(super) fn new() -> Self {
        Self { known: Some(Expectations::default()), next: Instant::now() + FIRST }
    }

    /// When it is time to ask.
    pub(super) fn due(&self) -> Option<Instant> {
        self.known.is_some().then_some(self.next)
    }
}

impl State {
    /// Asks the history, if it is time and somebody wants to know. The answer is an event.
    pub(super) fn ask_history(&mut self, now: Instant) {
        if self.asking.due().is_none_or(|due| due > now) {
            return;
        }
        self.asking.next = now + EVERY;
        let policy = &Arc::clone(&self.options.in_force.borrow().alerts);
        let Some(history) = self.options.history.as_ref().filter(|_| beyond::is_wanted(policy)) else { return };
        let asked: Vec<Asked> = self
            .entries
            .iter()
            .map(|(id, entry)| {
                let spec = Arc::clone(&entry.spec);
                Asked { id: *id, limit: beyond::memory_limit(policy, &spec), spec }
            })
            .collect();
        let Some(known) = self.asking.known.take() else { return };
        let (reader, events, at) = (history.reader(), self.events.clone(), millis(self.clock.now()));
        tokio::spawn(async move {
            let judged = ask(&reader, &asked, known, at).await;
            // Nobody to tell: the hub has ended.
            let _ = events.send(Event::Judged(judged)).await;
        });
    }

    /// The history has answered.
    pub(super) fn judged(&mut self, judged: Judged) {
        let Judged { services, expectations } = judged;
        self.asking.known = Some(expectations);
        let now = self.clock.now();
        for (id, signals) in services {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.foretold(&signals, EVERY, now);
                entry.report();
            }
        }
    }
}

/// What the history says of all services at `at`, a few at a time: restarts do not wait for a machine that is busy with this.
async fn ask(reader: &Reader, asked: &[Asked], mut known: Expectations, at: u64) -> Judged {
    let mut services = Vec::with_capacity(asked.len());
    for some in asked.chunks(AT_A_TIME) {
        let (some, mut before) = (some.to_vec(), std::mem::take(&mut known));
        let answer = reader.ask(move |query| Ok((judge(query, &some, &mut before, at)?, before)));
        match answer.await {
            Ok((judged, after)) => {
                services.extend(judged);
                known = after;
            }
            Err(error) => {
                tracing::debug!(%error, "what is usual is not known: {error}");
                return Judged { services: Vec::new(), expectations: Expectations::default() };
            }
        }
        sleep(PAUSE).await;
    }
    Judged { services, expectations: known }
}

/// What the history says of each service at `at`.
fn judge(
    query: &Query,
    asked: &[Asked],
    known: &mut Expectations,
    at: u64,
) -> Result<Vec<(Id, Judgement)>, HistoryError> {
    if known.hour != at / HOUR {
        *known = Expectations { hour: at / HOUR, services: HashMap::new() };
    }
    let mut judged = Vec::with_capacity(asked.len());
    for Asked { id, spec, limit } in asked {
        let expected = if let Some(expected) = known.services.get(&spec.name) {
            *expected
        } else {
            let expected = query.past(&spec.name, at.saturating_sub(HORIZON), at)?.expected(at, *limit);
            known.services.insert(spec.name.clone(), expected);
            expected
        };
        let minutes = query.periods(&spec.name, Step::Minute, at.saturating_sub(RECENT), at, RECENT_MOST)?;
        judged.push((*id, expected.signals(recent(&minutes))));
    }
    Ok(judged)
}

/// The means of some minutes; nothing of what too few of them know.
fn recent(minutes: &[Period]) -> Means {
    let means: Vec<Means> = minutes.iter().map(Period::means).collect();
    let mean = |read: fn(&Means) -> Option<f64>| {
        let values: Vec<f64> = means.iter().filter_map(read).collect();
        (values.len() >= RECENT_ENOUGH).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Means { cpu: mean(|of| of.cpu), memory: mean(|of| of.memory), response: mean(|of| of.response) }
}
