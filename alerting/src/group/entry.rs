//! One alert of a group: how it is, and what each receiver heard of it.

use std::time::Duration;

use dixmgr_model::{Alert, AlertStatus, Delivery, Severity};
use serde::{Deserialize, Serialize};

use super::after;
use super::line::Heard;
use crate::silence::Silences;

/// Whoever lacked something is given so many times `group_wait` to come back when that is back: it has to start, and in a storm
/// it is one of many.
const RELEASE: u32 = 3;

/// How an alert is, as its own workflow says.
#[allow(clippy::struct_excessive_bools, reason = "they are independent facts")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The alert.
    pub alert: Alert,
    /// Whether it fires.
    pub status: AlertStatus,
    /// When it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<u64>,
    /// Another alert is its cause, and is told in its stead.
    #[serde(default)]
    pub suppressed: bool,
    /// Somebody takes care of it.
    #[serde(default)]
    pub acknowledged: bool,
    /// It has a silence of its own until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_until: Option<u64>,
    /// It is told in another group from now on; here, only its end is.
    #[serde(default)]
    pub moved: bool,
}

/// One alert of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// How it is.
    pub report: Report,
    /// Nobody is told before.
    ready_at: u64,
    /// When the first message of this time round was sent: escalation counts from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_told_at: Option<u64>,
    /// What each receiver heard; those at the end that heard nothing may be left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    heard: Vec<Option<Heard>>,
    /// From when to when silences are for it, with their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quiet: Vec<Quiet>,
}

/// A time in which an alert is silenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Quiet {
    from: u64,
    until: u64,
    id: String,
}

impl Entry {
    /// An alert that was reported at `now`, with its texts if it is to be `full`.
    pub(super) fn new(mut report: Report, delivery: &Delivery, full: bool, now: u64) -> Self {
        if !full {
            report.alert.annotations.clear();
        }
        let ready_at = after(now, delivery.group_wait);
        Self { report, ready_at, first_told_at: None, heard: Vec::new(), quiet: Vec::new() }
    }

    pub(super) fn update(&mut self, mut report: Report, delivery: &Delivery, now: u64) {
        let again = self.is_over() && report.status == AlertStatus::Firing;
        let freed = self.report.suppressed && !report.suppressed;
        if again {
            self.first_told_at = None;
        }
        if again || freed {
            let wait = if freed { delivery.group_wait.saturating_mul(RELEASE) } else { delivery.group_wait };
            self.ready_at = self.ready_at.max(after(now, wait));
        }
        if self.report.alert.annotations.is_empty() {
            report.alert.annotations.clear();
        }
        self.report = report;
    }

    pub(super) fn set_silences(&mut self, silences: &Silences) {
        let own = silences.selecting(&self.report.alert.labels);
        self.quiet = own.map(|own| Quiet { from: own.starts_at, until: own.ends_at, id: own.id.clone() }).collect();
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.report.status == AlertStatus::Resolved
    }

    /// Whether nobody is to be told that it fires.
    #[must_use]
    pub fn is_muted(&self, now: u64) -> bool {
        self.report.suppressed || self.is_silenced(now)
    }

    /// Whether a silence is for it.
    #[must_use]
    pub fn is_silenced(&self, now: u64) -> bool {
        self.report.silenced_until.is_some_and(|until| until > now) || self.silenced_by(now).is_some()
    }

    /// The silence that is for it now, if it has none of its own.
    #[must_use]
    pub fn silenced_by(&self, now: u64) -> Option<(&str, u64)> {
        let own = self.quiet.iter().find(|quiet| quiet.from <= now && now < quiet.until)?;
        Some((&own.id, own.until))
    }

    /// What a receiver heard of it last.
    pub(super) fn heard(&self, receiver: usize) -> Option<Heard> {
        self.heard.get(receiver).copied().flatten()
    }

    pub(super) fn heard_firing(&self, receiver: usize) -> Option<Heard> {
        self.heard(receiver).filter(|heard| heard.status == AlertStatus::Firing)
    }

    /// Nobody is told before.
    pub(super) fn ready_at(&self) -> u64 {
        self.ready_at
    }

    /// Whether a receiver has to hear something of it that it has not heard.
    pub(super) fn is_news(&self, receiver: usize, delivery: &Delivery, now: u64) -> bool {
        let waits = !self.is_over() && self.heard_firing(receiver).is_none() && now < self.ready_at;
        !waits && self.is_to_be_told(receiver, delivery, now)
    }

    /// Since when a receiver that has to hear of it could have: for ever, if it heard of it before.
    pub(super) fn waits_since(&self, receiver: usize) -> u64 {
        if self.heard_firing(receiver).is_some() { 0 } else { self.ready_at }
    }

    /// The same, whether or not the wait before its first message is over.
    pub(super) fn is_to_be_told(&self, receiver: usize, delivery: &Delivery, now: u64) -> bool {
        let heard = self.heard_firing(receiver);
        if self.is_over() {
            return heard.is_some();
        }
        if self.report.moved || self.is_muted(now) {
            return false;
        }
        match heard {
            Some(heard) => self.report.alert.severity > heard.severity,
            None => self.is_fresh(receiver, delivery, now) && self.has_turn(receiver, delivery, now),
        }
    }

    /// Whether it stands in a message that a receiver gets now, be it as news or not.
    pub(super) fn is_told(&self, receiver: usize, delivery: &Delivery, now: u64) -> bool {
        let known =
            !self.is_over() && !self.report.moved && !self.is_muted(now) && self.heard_firing(receiver).is_some();
        known || self.is_news(receiver, delivery, now)
    }

    pub(super) fn is_to_be_repeated(&self, receiver: usize, now: u64) -> bool {
        let Report { acknowledged, moved, .. } = self.report;
        !self.is_over() && !acknowledged && !moved && !self.is_muted(now) && self.heard_firing(receiver).is_some()
    }

    /// Whether the last message that it fires is long enough ago.
    pub(super) fn is_fresh(&self, receiver: usize, delivery: &Delivery, now: u64) -> bool {
        self.heard(receiver).is_none_or(|heard| now >= after(heard.fired_at, delivery.dedupe_window))
    }

    /// Whether it is a receiver's turn: at once, or when nobody acknowledged it for so long.
    pub(super) fn has_turn(&self, receiver: usize, delivery: &Delivery, now: u64) -> bool {
        let wait = delivery.receivers.get(receiver).map_or(Duration::ZERO, |to| to.after);
        wait.is_zero()
            || (!self.report.acknowledged && self.first_told_at.is_some_and(|first| now >= after(first, wait)))
    }

    pub(super) fn tell(&mut self, receiver: usize, now: u64) {
        let firing = !self.is_over();
        let fired_at = if firing { now } else { self.heard(receiver).map_or(now, |heard| heard.fired_at) };
        let heard = Heard { status: self.report.status, severity: self.severity(), at: now, fired_at };
        if self.heard.len() <= receiver {
            self.heard.resize(receiver + 1, None);
        }
        self.heard[receiver] = Some(heard);
        if firing {
            self.first_told_at.get_or_insert(now);
        }
    }

    /// When it may become due by itself.
    pub(super) fn wakes(&self, delivery: &Delivery) -> impl Iterator<Item = u64> {
        let heard = self.heard.iter().flatten().map(|heard| after(heard.fired_at, delivery.dedupe_window));
        let first = self.first_told_at;
        let steps = delivery.receivers.iter().filter_map(move |to| Some(after(first?, to.after)));
        let quiet = self.quiet.iter().flat_map(|quiet| [quiet.from, quiet.until]);
        let ready = [self.ready_at, after(self.ready_at, delivery.group_wait)];
        heard.chain(steps).chain(quiet).chain(self.report.silenced_until).chain(ready)
    }

    /// Whether it is over, everyone knows, and it would be news again.
    pub(super) fn is_settled(&self, window: Duration, now: u64) -> bool {
        let settled = |heard: &Heard| heard.status == AlertStatus::Resolved && now >= after(heard.fired_at, window);
        self.is_over() && self.heard.iter().flatten().all(settled)
    }

    fn severity(&self) -> Severity {
        self.report.alert.severity
    }
}
