//! One receiver of a group: what is on its way to it, and what it heard.

use dixmgr_model::{AlertStatus, Severity};
use serde::{Deserialize, Serialize};

use super::{Entry, Group, after};
use crate::channel::rfc3339;
use crate::message::Message;

/// One receiver of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When the last message was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_at: Option<u64>,
    /// The message that is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) in_flight: Option<Box<Message>>,
    /// Alerts that came and went while a message was on its way.
    #[serde(default)]
    pub(super) missed: u64,
}

/// What a receiver heard of an alert last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Whether it fires.
    pub status: AlertStatus,
    /// How bad it was.
    pub severity: Severity,
    /// When.
    pub at: u64,
    /// When the last message was that said that it fires.
    pub fired_at: u64,
}

impl Line {
    /// An alert is over. If the receiver would have been told of it but for what is on its way, that is counted.
    pub(super) fn miss(&mut self, entry: &Entry, receiver: usize, now: u64) {
        let due = now >= entry.ready_at() && !entry.is_muted(now);
        if self.in_flight.is_some() && due && entry.heard_firing(receiver).is_none() {
            self.missed += 1;
        }
    }

    /// How it stands between this receiver and an alert.
    pub(super) fn explain(&self, entry: &Entry, receiver: usize, group: &Group, now: u64) -> String {
        let heard = entry.heard(receiver);
        let told = heard.map(|heard| match heard.status {
            AlertStatus::Firing => format!("told at {} that it fires ({})", rfc3339(heard.at), heard.severity),
            AlertStatus::Resolved => format!("told at {} that it is over", rfc3339(heard.at)),
        });
        let why = if entry.heard_firing(receiver).is_some() { None } else { self.reason(entry, receiver, group, now) };
        match (told, why) {
            (Some(told), Some(why)) => format!("{told}; not told again: {why}"),
            (Some(told), None) => told,
            (None, Some(why)) => format!("not told: {why}"),
            (None, None) => "is being told".to_owned(),
        }
    }

    /// Why a receiver is not told now that an alert fires; nothing when it is.
    fn reason(&self, entry: &Entry, receiver: usize, group: &Group, now: u64) -> Option<String> {
        let delivery = &group.delivery;
        if entry.is_over() {
            return Some("it is over".to_owned());
        }
        if entry.report.suppressed {
            return Some("something else is its cause".to_owned());
        }
        if let Some((id, until)) = entry.silenced_by(now) {
            return Some(format!("silence {id} holds until {}", rfc3339(until)));
        }
        if let Some(until) = entry.report.silenced_until.filter(|until| *until > now) {
            return Some(format!("it is silenced until {}", rfc3339(until)));
        }
        if now < entry.ready_at() {
            return Some(format!("group_wait lasts until {}", rfc3339(entry.ready_at())));
        }
        if !entry.is_fresh(receiver, delivery, now) {
            let until = entry.heard(receiver).map_or(now, |heard| after(heard.fired_at, delivery.dedupe_window));
            return Some(format!("dedupe_window lasts until {}", rfc3339(until)));
        }
        if !entry.has_turn(receiver, delivery, now) {
            let acknowledged = if entry.report.acknowledged { "it is acknowledged" } else { "it is not its turn yet" };
            return Some(acknowledged.to_owned());
        }
        if self.in_flight.is_some() {
            return Some("an earlier message is still on its way".to_owned());
        }
        let rested = after(self.last_at?, delivery.group_interval);
        (now < rested).then(|| format!("group_interval lasts until {}", rfc3339(rested)))
    }
}
