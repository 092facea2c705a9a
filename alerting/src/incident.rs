//! One alert from its first report to the last "resolved": who is to be told what, and when. Pure; time is an argument.
//!
//! Each receiver is a small state machine of its own, at most one message to it is on its way, and what is due follows from
//! what it was last told and how the alert is now. So order is kept, messages that became stale while a receiver was away are
//! never sent, and whoever heard "firing" hears "resolved".
//!
//! | the alert | was told nothing, or resolved | was told firing |
//! |---|---|---|
//! | fires | firing, after `group_wait`, its `after` and the dedupe window | again when it is worse, or every `repeat_interval` |
//! | fires, acknowledged | firing, unless it is an escalation step | again when it is worse |
//! | fires, silenced or caused by another | nothing | nothing |
//! | is over | nothing | resolved |

use std::collections::{BTreeSet, VecDeque};

use dixmgr_model::{Alert, AlertStatus, Delivery, RaisedAlert, Severity, duration};
use serde::{Deserialize, Serialize};

use crate::millis;

/// Entries of the ledger that are kept.
const LEDGER: usize = 200;

/// One alert, and who was told of it. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The alert as it is, or was when it was last there.
    pub alert: Alert,
    /// Whether it fires.
    pub status: AlertStatus,
    /// When it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<u64>,
    /// Services whose trouble is the cause of this one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub causes: BTreeSet<String>,
    /// Who takes care of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Note>,
    /// Until when nobody is to be told that it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced: Option<Silence>,
    /// What happened, the oldest first.
    pub ledger: VecDeque<LedgerEntry>,
    delivery: Delivery,
    /// Nobody is told before.
    ready_at: u64,
    /// When the first message of this time round was sent: escalation counts from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_told_at: Option<u64>,
    receivers: Vec<Told>,
    /// Messages so far.
    #[serde(default)]
    messages: u64,
}

/// What one receiver was told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Told {
    /// The last message, if there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<LastMessage>,
    /// It is on its way.
    #[serde(default)]
    in_flight: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct LastMessage {
    status: AlertStatus,
    severity: Severity,
    /// When it was sent.
    at: u64,
    /// When the last one that said "firing" was.
    fired_at: u64,
}

/// Who did something, and what they say about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

/// A silence of one alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// When it ends.
    pub until: u64,
    /// Whose it is.
    pub note: Note,
}

/// One thing that happened to the alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// When.
    pub at: u64,
    /// What, by a name that does not change: `fired`, `resolved`, `suppressed`, `delivered`, …
    pub what: String,
    /// The rest, for people.
    #[serde(default)]
    pub detail: String,
}

/// A message that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Place of the receiver.
    pub receiver: usize,
    /// Channel to send it to.
    pub channel: String,
    /// What it says.
    pub message: AlertMessage,
}

/// What a channel is to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertMessage {
    /// The alert.
    pub alert: Alert,
    /// Whether it fires.
    pub status: AlertStatus,
    /// When it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<u64>,
    /// Whether the receiver has heard the same before.
    #[serde(default)]
    pub repeated: bool,
    /// Names this message: one that arrives twice has the same key.
    pub key: String,
}

impl Incident {
    /// An alert that was reported at `now`.
    #[must_use]
    pub fn new(raised: RaisedAlert, causes: BTreeSet<String>, now: u64) -> Self {
        let RaisedAlert { alert, delivery, .. } = raised;
        let mut incident = Self {
            status: AlertStatus::Firing,
            ends_at: None,
            causes,
            acknowledged: None,
            silenced: None,
            ledger: VecDeque::new(),
            ready_at: now.saturating_add(millis(delivery.group_wait)),
            first_told_at: None,
            receivers: vec![Told::default(); delivery.receivers.len()],
            messages: 0,
            alert,
            delivery,
        };
        incident.note(now, "fired", &incident.headline());
        incident.note_causes(now);
        incident
    }

    /// It was reported once more: it fires again, or is of another severity.
    pub fn raise(&mut self, raised: RaisedAlert, causes: BTreeSet<String>, now: u64) {
        let again = self.status == AlertStatus::Resolved;
        let severity = self.alert.severity;
        self.alert = raised.alert;
        self.adopt(raised.delivery);
        if again {
            self.status = AlertStatus::Firing;
            self.ends_at = None;
            self.first_told_at = None;
            self.ready_at = now.saturating_add(millis(self.delivery.group_wait));
            self.note(now, "fired", &self.headline());
        } else if severity != self.alert.severity {
            let what = if self.alert.severity > severity { "escalated" } else { "eased" };
            self.note(now, what, &format!("{severity} → {}", self.alert.severity));
        }
        self.set_causes(causes, now);
    }

    /// It is over. An acknowledgement ends with it.
    pub fn resolve(&mut self, now: u64) {
        if self.status == AlertStatus::Firing {
            self.status = AlertStatus::Resolved;
            self.ends_at = Some(now);
            self.acknowledged = None;
            self.note(now, "resolved", "");
        }
    }

    /// Other services' trouble is, or is no longer, the cause of it. Once it is not, whoever is to be told waits as at first.
    pub fn set_causes(&mut self, causes: BTreeSet<String>, now: u64) {
        if causes == self.causes {
            return;
        }
        if causes.is_empty() {
            self.ready_at = self.ready_at.max(now.saturating_add(millis(self.delivery.group_wait)));
        }
        self.causes = causes;
        self.note_causes(now);
    }

    /// Somebody takes care of it: no repetitions and no escalation until it is over.
    pub fn acknowledge(&mut self, by: Note, now: u64) {
        if self.status == AlertStatus::Firing {
            self.note(now, "acknowledged", &words(&by));
            self.acknowledged = Some(by);
        }
    }

    /// Nobody is to be told that it fires until then; a time that has passed ends a silence.
    pub fn silence(&mut self, silence: Silence, now: u64) {
        let ends = silence.until <= now;
        self.note(now, if ends { "unsilenced" } else { "silenced" }, &words(&silence.note));
        self.silenced = (!ends).then_some(silence);
    }

    /// The messages that are due; each counts as on its way from now on.
    pub fn take_due(&mut self, now: u64) -> Vec<Due> {
        let due: Vec<usize> = (0..self.receivers.len()).filter(|index| self.is_due(*index, now)).collect();
        due.into_iter().map(|index| self.send(index, now)).collect()
    }

    /// What became of a message. One that was given up counts as heard: it may have arrived.
    pub fn delivered(&mut self, receiver: usize, outcome: &Result<String, String>, now: u64) {
        let channel = self.delivery.receivers.get(receiver).map(|to| to.channel.clone()).unwrap_or_default();
        if let Some(told) = self.receivers.get_mut(receiver) {
            told.in_flight = false;
        }
        match outcome {
            Ok(answer) => self.note(now, "delivered", &format!("{channel}: {answer}")),
            Err(error) => self.note(now, "undelivered", &format!("{channel}: {error}")),
        }
    }

    /// When something may become due by itself.
    #[must_use]
    pub fn wake_at(&self, now: u64) -> Option<u64> {
        let after = |from: u64, time| from.saturating_add(millis(time));
        let told = self.receivers.iter().filter_map(|told| told.last);
        let told = told.flat_map(|last| {
            [after(last.at, self.delivery.repeat_interval), after(last.fired_at, self.delivery.dedupe_window)]
        });
        let steps = self.delivery.receivers.iter().filter_map(|to| Some(after(self.first_told_at?, to.after)));
        let silence = self.silenced.as_ref().map(|silence| silence.until);
        told.chain(steps).chain(silence).chain([self.ready_at]).filter(|at| *at > now).min()
    }

    /// Whether there is nothing left to do: it is over, everyone knows, and coming back it would be a new alert.
    #[must_use]
    pub fn is_done(&self, now: u64) -> bool {
        let window = millis(self.delivery.dedupe_window);
        let settled = |told: &Told| {
            !told.in_flight
                && told.last.is_none_or(|last| {
                    last.status == AlertStatus::Resolved && now >= last.fired_at.saturating_add(window)
                })
        };
        self.status == AlertStatus::Resolved && self.receivers.iter().all(settled)
    }

    /// Whether a message is on its way.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.receivers.iter().any(|told| told.in_flight)
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receivers(&self) -> usize {
        self.receivers.len()
    }

    fn is_due(&self, index: usize, now: u64) -> bool {
        let (told, to) = (&self.receivers[index], &self.delivery.receivers[index]);
        if told.in_flight {
            return false;
        }
        let heard = told.last.filter(|last| last.status == AlertStatus::Firing);
        if self.status == AlertStatus::Resolved {
            return heard.is_some();
        }
        let silenced = self.silenced.as_ref().is_some_and(|silence| silence.until > now);
        if silenced || !self.causes.is_empty() {
            return false;
        }
        let since = |at: u64, time| now >= at.saturating_add(millis(time));
        let acknowledged = self.acknowledged.is_some();
        match heard {
            Some(last) if self.alert.severity > last.severity => true,
            Some(last) => !acknowledged && since(last.at, self.delivery.repeat_interval),
            None => {
                let fresh = told.last.is_none_or(|last| since(last.fired_at, self.delivery.dedupe_window));
                let turn = to.after.is_zero()
                    || (!acknowledged && self.first_told_at.is_some_and(|first| since(first, to.after)));
                now >= self.ready_at && fresh && turn
            }
        }
    }

    fn send(&mut self, index: usize, now: u64) -> Due {
        let before = self.receivers[index].last;
        let firing = self.status == AlertStatus::Firing;
        let fired_at = if firing { now } else { before.map_or(now, |last| last.fired_at) };
        let last = LastMessage { status: self.status, severity: self.alert.severity, at: now, fired_at };
        self.receivers[index] = Told { last: Some(last), in_flight: true };
        if firing {
            self.first_told_at.get_or_insert(now);
        }
        let channel = self.delivery.receivers[index].channel.clone();
        let status = if firing { "firing" } else { "resolved" };
        let key = format!("{}-{}-{status}-{}-{channel}", self.alert.fingerprint, self.alert.starts_at, self.messages);
        self.messages += 1;
        self.note(now, "sending", &format!("{channel}: {status}"));
        let repeated = before.is_some_and(|before| (before.status, before.severity) == (last.status, last.severity));
        let message =
            AlertMessage { alert: self.alert.clone(), status: self.status, ends_at: self.ends_at, repeated, key };
        Due { receiver: index, channel, message }
    }

    /// Another configuration: receivers that stay keep what they were told; those that go and heard "firing" stay until it is over.
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
        self.receivers.resize(receivers.len(), Told::default());
        self.delivery.receivers = receivers;
    }

    fn headline(&self) -> String {
        let summary = self.alert.annotations.get("summary").map_or("", String::as_str);
        format!("{} by rule {}: {summary}", self.alert.severity, self.alert.rule)
    }

    fn note_causes(&mut self, now: u64) {
        if self.causes.is_empty() {
            if self.ledger.iter().any(|entry| entry.what == "suppressed") {
                self.note(now, "unsuppressed", "what it needs is back");
            }
        } else {
            let causes: Vec<&str> = self.causes.iter().map(String::as_str).collect();
            let detail = format!("because of {}", causes.join(", "));
            self.note(now, "suppressed", &detail);
        }
    }

    fn note(&mut self, at: u64, what: &str, detail: &str) {
        if self.ledger.len() == LEDGER {
            self.ledger.pop_front();
        }
        self.ledger.push_back(LedgerEntry { at, what: what.to_owned(), detail: crate::detail(detail) });
    }
}

impl AlertMessage {
    /// The one line that says all.
    #[must_use]
    pub fn title(&self) -> String {
        let summary = self.alert.annotations.get("summary").filter(|summary| !summary.is_empty());
        let summary = summary.cloned().unwrap_or_else(|| format!("{}: {}", self.alert.service, self.alert.kind));
        match self.status {
            AlertStatus::Firing => format!("[{}] {summary}", self.alert.severity.name().to_uppercase()),
            AlertStatus::Resolved => format!("[RESOLVED] {summary}"),
        }
    }

    /// How long it has lasted, once it is over.
    #[must_use]
    pub fn lasted(&self) -> Option<String> {
        let ends_at = self.ends_at?;
        Some(duration::format(std::time::Duration::from_millis(ends_at.saturating_sub(self.alert.starts_at))))
    }
}

fn words(note: &Note) -> String {
    if note.comment.is_empty() { format!("by {}", note.by) } else { format!("by {}: {}", note.by, note.comment) }
}

#[cfg(test)]
#[path = "incident_tests.rs"]
mod tests;
