//! From single looks to minutes: how long each service was up and down, and what it used. Pure; time is an argument, in
//! milliseconds since the epoch.
//!
//! Changes may be told late: a check that fails three times in a row was failing since the first. What had been counted
//! since then is counted anew, in minutes that are complete too ([`Minute`]s with negative times are such corrections).

use std::collections::HashMap;

use dixmgr_model::Availability;

/// Length of a minute.
pub(super) const MINUTE: u64 = 60_000;

/// A service's number in this process; the store has its own.
pub(super) type ServiceId = usize;

/// What happened to a service within one minute, or is to be added to what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Minute {
    pub(super) service: ServiceId,
    /// Its beginning.
    pub(super) start: u64,
    pub(super) up_ms: i64,
    pub(super) down_ms: i64,
    pub(super) cpu: Series,
    pub(super) memory: Series,
    pub(super) response: Series,
}

/// Values of one kind within a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Series {
    pub(super) count: u32,
    sum: f64,
    max: f64,
}

/// All services.
#[derive(Debug, Default)]
pub(super) struct Fold {
    tracks: HashMap<ServiceId, Track>,
    /// Minutes that are complete, or corrected.
    done: Vec<Minute>,
}

/// One service.
#[derive(Debug)]
struct Track {
    availability: Availability,
    since: u64,
    /// Counted up to here.
    until: u64,
    minute: Minute,
}

impl Series {
    fn add(&mut self, value: f64) {
        self.max = if self.count == 0 { value } else { self.max.max(value) };
        self.count += 1;
        self.sum += value;
    }

    /// The average; absent when there was none.
    pub(super) fn average(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    /// The largest; absent when there was none.
    pub(super) fn largest(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }
}

impl Minute {
    fn empty(service: ServiceId, at: u64) -> Self {
        let (cpu, memory, response) = Default::default();
        Self { service, start: at - at % MINUTE, up_ms: 0, down_ms: 0, cpu, memory, response }
    }

    fn is_empty(&self) -> bool {
        self.up_ms == 0 && self.down_ms == 0 && self.cpu.count == 0 && self.response.count == 0
    }

    fn add_time(&mut self, availability: Availability, ms: u64, sign: i64) {
        let ms = sign * i64::try_from(ms).unwrap_or(0);
        match availability {
            Availability::Up => self.up_ms += ms,
            Availability::Down => self.down_ms += ms,
            Availability::Unknown => {}
        }
    }
}

impl Fold {
    /// A service is in this state since `at`.
    pub(super) fn state(&mut self, service: ServiceId, availability: Availability, at: u64) {
        let Some(track) = self.tracks.get_mut(&service) else {
            let minute = Minute::empty(service, at);
            self.tracks.insert(service, Track { availability, since: at, until: at, minute });
            return;
        };
        let before = track.availability;
        let at = at.max(track.since);
        if at < track.until {
            // What was taken for granted since then was otherwise.
            let (from, to) = (at, track.until);
            for (start, ms) in minutes_between(from, to) {
                let mut late = Minute::empty(service, start);
                let minute = if start == track.minute.start { &mut track.minute } else { &mut late };
                minute.add_time(before, ms, -1);
                minute.add_time(availability, ms, 1);
                if !late.is_empty() {
                    self.done.push(late);
                }
            }
        } else {
            advance(track, at, &mut self.done);
        }
        (track.availability, track.since) = (availability, at);
    }

    /// What a service's processes used: percent of a core, and bytes.
    pub(super) fn used(&mut self, service: ServiceId, cpu_percent: f64, memory_bytes: f64, at: u64) {
        if let Some(minute) = self.minute(service, at) {
            minute.cpu.add(cpu_percent);
            minute.memory.add(memory_bytes);
        }
    }

    /// How long, in seconds, an answer of a service took.
    pub(super) fn answered(&mut self, service: ServiceId, seconds: f64, at: u64) {
        if let Some(minute) = self.minute(service, at) {
            minute.response.add(seconds);
        }
    }

    /// Time has come to `now` for all.
    pub(super) fn advance(&mut self, now: u64) {
        for track in self.tracks.values_mut() {
            advance(track, now, &mut self.done);
        }
    }

    /// A service is watched no more.
    pub(super) fn forget(&mut self, service: ServiceId, at: u64) {
        self.state(service, Availability::Unknown, at);
        if let Some(track) = self.tracks.remove(&service) {
            self.done.extend((!track.minute.is_empty()).then_some(track.minute));
        }
    }

    /// The minutes that are complete, and corrections of such.
    pub(super) fn take_done(&mut self) -> Vec<Minute> {
        std::mem::take(&mut self.done)
    }

    /// All that is counted, complete or not: this fold ends.
    pub(super) fn finish(mut self) -> Vec<Minute> {
        self.done.extend(self.tracks.into_values().map(|track| track.minute).filter(|minute| !minute.is_empty()));
        self.done
    }

    /// The minute of a service in which `at` is.
    fn minute(&mut self, service: ServiceId, at: u64) -> Option<&mut Minute> {
        let track = self.tracks.get_mut(&service)?;
        advance(track, at, &mut self.done);
        Some(&mut track.minute)
    }
}

/// Counts a service up to `to`, and hands over the minutes that are complete by then.
fn advance(track: &mut Track, to: u64, done: &mut Vec<Minute>) {
    while track.until < to {
        let end = track.minute.start + MINUTE;
        if track.availability == Availability::Unknown && track.minute.is_empty() {
            // Nothing is known of all that time.
            (track.until, track.minute) = (to, Minute::empty(track.minute.service, to));
            return;
        }
        let step = to.min(end);
        track.minute.add_time(track.availability, step.saturating_sub(track.until), 1);
        track.until = step;
        if step == end {
            let next = Minute::empty(track.minute.service, end);
            let minute = std::mem::replace(&mut track.minute, next);
            done.extend((!minute.is_empty()).then_some(minute));
        }
    }
}

/// The parts of a time, minute by minute: when the minute begins, and how much of it.
fn minutes_between(from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    let first = from - from % MINUTE;
    (0..).map(move |index| first + index * MINUTE).take_while(move |start| *start < to).map(move |start| {
        let (begin, end) = (start.max(from), (start + MINUTE).min(to));
        (start, end - begin)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Sums by minute, for one service.
    fn sums(minutes: Vec<Minute>) -> BTreeMap<u64, (i64, i64)> {
        let mut sums: BTreeMap<u64, (i64, i64)> = BTreeMap::new();
        for minute in minutes {
            let sum = sums.entry(minute.start).or_default();
            (sum.0, sum.1) = (sum.0 + minute.up_ms, sum.1 + minute.down_ms);
        }
        sums
    }

    #[test]
    fn time_is_split_at_minutes_and_changes() {
        let mut fold = Fold::default();
        fold.state(1, Availability::Up, 30_000);
        fold.state(1, Availability::Down, 90_000);
        fold.state(1, Availability::Unknown, 100_000);
        fold.advance(400_000);
        let expected = BTreeMap::from([(0, (30_000, 0)), (60_000, (30_000, 10_000))]);
        assert_eq!(sums(fold.finish()), expected);
    }

    #[test]
    fn what_was_failing_all_along_is_counted_anew() {
        let mut fold = Fold::default();
        fold.state(1, Availability::Up, 0);
        fold.advance(150_000);
        assert_eq!(fold.take_done().len(), 2);
        fold.state(1, Availability::Down, 90_000);
        let corrections = fold.take_done();
        assert_eq!((corrections[0].start, corrections[0].up_ms, corrections[0].down_ms), (60_000, -30_000, 30_000));
        assert_eq!(sums(fold.finish()), BTreeMap::from([(120_000, (0, 30_000))]));
    }

    #[test]
    fn values_belong_to_the_minute_in_which_they_were_seen() {
        let mut fold = Fold::default();
        fold.used(1, 1.0, 1.0, 0);
        fold.state(1, Availability::Up, 1);
        fold.used(1, 10.0, 100.0, 10);
        fold.used(1, 30.0, 300.0, 20);
        fold.answered(1, 0.5, 70_000);
        let minutes = fold.finish();
        let first = &minutes[0];
        assert_eq!((first.cpu.average(), first.cpu.largest(), first.cpu.count), (Some(20.0), Some(30.0), 2));
        assert_eq!((minutes[1].start, minutes[1].response.average()), (60_000, Some(0.5)));
    }

    proptest! {
        /// Whenever one looks, and however late one is told: the sums are those of the changes themselves.
        #[test]
        fn sums_do_not_depend_on_when_one_looks(
            changes in prop::collection::vec((1u64..200_000, 0u8..3, 0u64..100_000), 1..20),
        ) {
            let word = |n: u8| [Availability::Up, Availability::Down, Availability::Unknown][usize::from(n)];
            let (mut looked, mut plain) = (Fold::default(), Fold::default());
            let mut at = 0;
            for (gap, availability, late) in changes {
                at += gap;
                plain.state(1, word(availability), at);
                looked.advance(at + late.min(gap));
                looked.state(1, word(availability), at);
            }
            looked.advance(at + 1_000_000);
            plain.advance(at + 1_000_000);
            let without_zeros = |sums: BTreeMap<u64, (i64, i64)>| {
                sums.into_iter().filter(|(_, sum)| *sum != (0, 0)).collect::<Vec<_>>()
            };
            prop_assert_eq!(without_zeros(sums(looked.finish())), without_zeros(sums(plain.finish())));
        }
    }
}
