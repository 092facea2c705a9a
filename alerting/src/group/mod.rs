//! Alerts that are told together: who is to be told what about them, and when. Pure; time is an argument, in milliseconds
//! since the epoch.
//!
//! Each receiver is a line of its own with at most one message on its way. What is due follows from what the receiver was last
//! told of each alert and how the alert is now. So order is kept, what became stale while a receiver was away is never sent,
//! and whoever heard that an alert fires hears that it is over.
//!
//! | the alert | the receiver heard nothing of it, or that it is over | heard that it fires |
//! |---|---|---|
//! | fires | told, after `group_wait`, its `after` and the dedupe window | again when it is worse, or every `repeat_interval` |
//! | fires, acknowledged | told, unless it is an escalation step | again when it is worse |
//! | fires, silenced or held back by its cause | nothing | nothing |
//! | is over | nothing | told |
//!
//! Between two messages to one receiver lies `group_interval`: what comes meanwhile is in the next one.

mod entry;
mod line;

use std::collections::BTreeMap;

use dixmgr_model::{AlertGroup, AlertStatus, Delivery};
use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;
use crate::message::{LISTED, Message, MessageAlert};
use crate::millis;
use crate::silence::Silences;

pub use entry::{Entry, Report};
pub use line::{Heard, Line};

/// Alerts of one group; a state of that many fits into one workflow input. Of more than that, only their number is told.
const MAX_ENTRIES: usize = 2_000;
/// From so many alerts on, new ones go without their texts.
const FULL_ENTRIES: usize = 200;

/// Alerts that are told together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// What they have in common, and the workflow that this is the state of.
    pub group: AlertGroup,
    /// Who is told, and when: as the latest report had it.
    pub delivery: Delivery,
    /// The alerts, by fingerprint.
    pub entries: BTreeMap<String, Entry>,
    /// What happened to the messages.
    pub ledger: Ledger,
    /// The receivers, in the order of `delivery.receivers`.
    lines: Vec<Line>,
    /// Silences that there are or will be.
    #[serde(default)]
    silences: Silences,
    /// Alerts that found no place.
    #[serde(default)]
    overflow: u64,
    opened_at: u64,
    /// Messages so far.
    messages: u64,
}

/// A message that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Place of the receiver.
    pub receiver: usize,
    /// Channel to send it to.
    pub channel: String,
    /// What it says.
    pub message: Message,
}

impl Group {
    /// A group without alerts.
    #[must_use]
    pub fn new(group: AlertGroup, delivery: Delivery, now: u64) -> Self {
        let lines = delivery.receivers.iter().map(|_| Line::default()).collect();
        Self {
            group,
            delivery,
            entries: BTreeMap::new(),
            ledger: Ledger::default(),
            lines,
            silences: Silences::default(),
            overflow: 0,
            opened_at: now,
            messages: 0,
        }
    }

    /// An alert is as it says now.
    pub fn report(&mut self, report: Report, delivery: Delivery, now: u64) {
        if report.status == AlertStatus::Firing && !report.moved {
            self.adopt(delivery);
        }
        let print = report.alert.fingerprint.clone();
        if let Some(entry) = self.entries.get_mut(&print) {
            let fired = !entry.is_over();
            entry.update(report, &self.delivery, now);
            if fired && entry.is_over() {
                self.lines.iter_mut().enumerate().for_each(|(index, line)| line.miss(entry, index, now));
            }
        } else if report.status == AlertStatus::Firing && !report.moved {
            if self.entries.len() >= MAX_ENTRIES {
                self.overflow += 1;
                return;
            }
            let full = self.entries.len() < FULL_ENTRIES;
            self.entries.insert(print.clone(), Entry::new(report, &self.delivery, full, now));
        }
        if let Some(entry) = self.entries.get_mut(&print) {
            entry.set_silences(&self.silences);
        }
    }

    /// The silences are these now.
    pub fn set_silences(&mut self, silences: Silences) {
        self.silences = silences;
        self.entries.values_mut().for_each(|entry| entry.set_silences(&self.silences));
    }

    /// The messages that are due; each counts as on its way from now on. What has nothing left to tell is forgotten.
    pub fn take_due(&mut self, now: u64) -> Vec<Due> {
        let due: Vec<usize> = (0..self.lines.len()).filter(|index| self.is_due(*index, now)).collect();
        let due = due.into_iter().map(|index| self.send(index, now)).collect();
        self.forget(now);
        due
    }

    /// What was on its way when an earlier run ended: to be sent once more, by the same key.
    #[must_use]
    pub fn unanswered(&self) -> Vec<Due> {
        let lines = self.lines.iter().enumerate();
        let unanswered = lines.filter_map(|(receiver, line)| {
            let channel = self.delivery.receivers.get(receiver)?.channel.clone();
            Some(Due { receiver, channel, message: line.in_flight.as_deref()?.clone() })
        });
        unanswered.collect()
    }

    /// What became of a message. One that was given up counts as heard: it may have arrived.
    pub fn delivered(&mut self, receiver: usize, outcome: &Result<String, String>, now: u64) {
        let channel = self.delivery.receivers.get(receiver).map(|to| to.channel.clone()).unwrap_or_default();
        if let Some(line) = self.lines.get_mut(receiver) {
            line.in_flight = None;
        }
        match outcome {
            Ok(answer) => self.ledger.note(now, "delivered", &format!("{channel}: {answer}")),
            Err(error) => self.ledger.note(now, "undelivered", &format!("{channel}: {error}")),
        }
        self.forget(now);
    }

    /// When something may become due by itself.
    #[must_use]
    pub fn wake_at(&self, now: u64) -> Option<u64> {
        let delivery = &self.delivery;
        let lines = self.lines.iter().filter_map(|line| line.last_at);
        let lines = lines.flat_map(|at| [after(at, delivery.group_interval), after(at, delivery.repeat_interval)]);
        let entries = self.entries.values().flat_map(|entry| entry.wakes(delivery));
        lines.chain(entries).filter(|at| *at > now).min()
    }

    /// Whether there is nothing left to do: all is over, everyone knows, and what comes next need not wait for anything.
    #[must_use]
    pub fn is_done(&self, now: u64) -> bool {
        let settled = |line: &Line| {
            line.in_flight.is_none() && line.last_at.is_none_or(|at| now >= after(at, self.delivery.group_interval))
        };
        self.entries.is_empty() && self.lines.iter().all(settled)
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receivers(&self) -> usize {
        self.lines.len()
    }

    /// Why each receiver was told, or was not told, of an alert; one line each.
    #[must_use]
    pub fn explain(&self, fingerprint: &str, now: u64) -> Vec<String> {
        let Some(entry) = self.entries.get(fingerprint) else { return Vec::new() };
        let lines = self.lines.iter().zip(&self.delivery.receivers).enumerate();
        lines.map(|(index, (line, to))| format!("{}: {}", to.channel, line.explain(entry, index, self, now))).collect()
    }

    fn is_due(&self, index: usize, now: u64) -> bool {
        let line = &self.lines[index];
        let rested = line.last_at.is_none_or(|at| now >= after(at, self.delivery.group_interval));
        if line.in_flight.is_some() || !rested {
            return false;
        }
        let again = line.last_at.is_some_and(|at| now >= after(at, self.delivery.repeat_interval));
        if again && self.entries.values().any(|entry| entry.is_to_be_repeated(index, now)) {
            return true;
        }
        let news = self.entries.values().filter(|entry| entry.is_news(index, &self.delivery, now));
        let waited_since = news.map(|entry| entry.waits_since(index)).min();
        waited_since.is_some_and(|since| now >= after(since, self.delivery.group_wait) || !self.is_joined(index, now))
    }

    /// Whether an alert has just joined that may be told in a moment: who is told of the others can wait for it, so long.
    fn is_joined(&self, index: usize, now: u64) -> bool {
        self.entries.values().any(|entry| now < entry.ready_at() && entry.is_to_be_told(index, &self.delivery, now))
    }

    fn send(&mut self, index: usize, now: u64) -> Due {
        let told: Vec<&Entry> =
            self.entries.values().filter(|entry| entry.is_told(index, &self.delivery, now)).collect();
        let repeated = !told.iter().any(|entry| entry.is_news(index, &self.delivery, now));
        let message = self.message(index, &told, repeated);
        let listed: Vec<String> = told.iter().map(|entry| entry.report.alert.fingerprint.clone()).collect();
        for print in listed {
            if let Some(entry) = self.entries.get_mut(&print) {
                entry.tell(index, now);
            }
        }
        self.messages += 1;
        self.overflow = 0;
        let channel = self.delivery.receivers[index].channel.clone();
        let detail = format!("{channel}: {} firing, {} resolved", message.firing, message.resolved);
        self.ledger.note(now, "sending", &detail);
        self.lines[index] = Line { last_at: Some(now), in_flight: Some(Box::new(message.clone())), missed: 0 };
        Due { receiver: index, channel, message }
    }

    fn message(&self, index: usize, told: &[&Entry], repeated: bool) -> Message {
        let overflow = usize::try_from(self.overflow).unwrap_or(usize::MAX);
        let firing = told.iter().filter(|entry| !entry.is_over()).count();
        let resolved = told.len() - firing;
        let mut told = told.to_vec();
        told.sort_by_key(|entry| {
            let alert = &entry.report.alert;
            (entry.is_over(), std::cmp::Reverse(alert.severity), alert.starts_at, &alert.fingerprint)
        });
        let alerts = told.iter().take(LISTED).map(|entry| MessageAlert {
            alert: entry.report.alert.clone(),
            status: entry.report.status,
            ends_at: entry.report.ends_at,
        });
        let group = self.group.workflow_id.rsplit('.').next().unwrap_or_default().to_owned();
        let channel = &self.delivery.receivers[index].channel;
        Message {
            key: format!("{group}-{}-{}-{channel}", self.opened_at, self.messages),
            group,
            labels: self.group.labels.clone(),
            status: if firing > 0 { AlertStatus::Firing } else { AlertStatus::Resolved },
            alerts: alerts.collect(),
            firing: firing + if firing > 0 { overflow } else { 0 },
            resolved,
            missed: self.lines[index].missed,
            repeated,
        }
    }

    /// Another configuration: receivers that stay keep what they were told; those that go stay until all that they heard of is over.
    fn adopt(&mut self, delivery: Delivery) {
        if delivery == self.delivery {
            return;
        }
        let old = std::mem::replace(&mut self.delivery, delivery);
        // What is on its way is found by its place: those who were there stay where they were.
        let mut receivers = old.receivers;
        for to in std::mem::take(&mut self.delivery.receivers) {
            match receivers.iter_mut().find(|own| own.channel == to.channel) {
                Some(own) => own.after = to.after,
                None => receivers.push(to),
            }
        }
        self.lines.resize(receivers.len(), Line::default());
        self.delivery.receivers = receivers;
    }

    /// Lets go of alerts that are over, known to be over, and would be new if they came back.
    fn forget(&mut self, now: u64) {
        let window = self.delivery.dedupe_window;
        self.entries.retain(|_, entry| !entry.is_settled(window, now));
    }
}

/// So much later.
fn after(at: u64, time: std::time::Duration) -> u64 {
    at.saturating_add(millis(time))
}

#[cfg(test)]
mod tests;
