//! One alert from its first report to its end: how it is, who takes care of it, and what its groups have to hear. Pure; time
//! is an argument. Who is told of it, and when, is decided in [`crate::group`].

use std::collections::BTreeSet;

use dixmgr_model::{Alert, AlertGroup, AlertStatus, Delivery, RaisedAlert};
use serde::{Deserialize, Serialize};

use crate::group::Report;
use crate::ledger::Ledger;
use crate::millis;

/// How long what a look took for the cause holds without a word from who knows. In a storm, that word may take a while.
const SUSPICION: u64 = 2 * 60 * 1_000;

/// Groups that an alert has left and that are still told of its end.
const MAX_LEFT: usize = 4;

/// One alert. Times are milliseconds since the epoch.
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
    /// What the look that raised it took for its causes, until then, or until anybody knows better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspected: Option<Suspicion>,
    /// Who takes care of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Note>,
    /// Until when nobody is to be told that it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced: Option<Silence>,
    /// What it is told together with.
    #[serde(default)]
    pub group: AlertGroup,
    /// What happened.
    pub ledger: Ledger,
    delivery: Delivery,
    /// Whether its group has heard of it.
    #[serde(default)]
    reported: bool,
    /// Groups in which it was told before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left: Vec<AlertGroup>,
    /// Whether its groups have to hear how it is now.
    #[serde(default)]
    news: bool,
}

/// Causes that nobody has confirmed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// The services.
    pub causes: BTreeSet<String>,
    /// When it ends.
    pub until: u64,
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

/// What one group has to hear of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// The group.
    pub group: AlertGroup,
    /// Who is told of the group, and when.
    pub delivery: Delivery,
    /// How the alert is.
    pub report: Report,
}

impl GroupReport {
    /// Whether the group has to hear it even if there is no such group yet.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.report.status == AlertStatus::Firing && !self.report.suppressed && !self.report.moved
    }
}

impl Incident {
    /// An alert that was reported at `now`.
    #[must_use]
    pub fn new(raised: RaisedAlert, causes: BTreeSet<String>, now: u64) -> Self {
        let RaisedAlert { alert, delivery, group, lacking, .. } = raised;
        let mut incident = Self {
            status: AlertStatus::Firing,
            ends_at: None,
            causes,
            suspected: None,
            acknowledged: None,
            silenced: None,
            group,
            ledger: Ledger::default(),
            delivery,
            reported: false,
            left: Vec::new(),
            news: true,
            alert,
        };
        incident.ledger.note(now, "fired", &incident.headline());
        incident.note_causes(now);
        incident.suspect(lacking, now);
        incident
    }

    /// It was reported once more: it fires again, or is of another severity.
    pub fn raise(&mut self, raised: RaisedAlert, causes: BTreeSet<String>, now: u64) {
        let again = self.status == AlertStatus::Resolved;
        let severity = self.alert.severity;
        self.alert = raised.alert;
        self.delivery = raised.delivery;
        self.move_to(raised.group);
        self.news = true;
        if again {
            self.status = AlertStatus::Firing;
            self.ends_at = None;
            self.ledger.note(now, "fired", &self.headline());
            self.suspect(raised.lacking, now);
        } else if severity != self.alert.severity {
            let what = if self.alert.severity > severity { "escalated" } else { "eased" };
            self.ledger.note(now, what, &format!("{severity} → {}", self.alert.severity));
        }
        if causes != self.causes {
            self.set_causes(causes, now);
        }
    }

    /// It is over. An acknowledgement ends with it.
    pub fn resolve(&mut self, now: u64) {
        if self.status == AlertStatus::Firing {
            self.status = AlertStatus::Resolved;
            self.ends_at = Some(now);
            self.acknowledged = None;
            self.suspected = None;
            self.news = true;
            self.ledger.note(now, "resolved", "");
        }
    }

    /// Other services' trouble is, or is no longer, the cause of it, as its service's workflow knows.
    pub fn set_causes(&mut self, causes: BTreeSet<String>, now: u64) {
        self.news |= self.suspected.take().is_some();
        if causes != self.causes {
            self.causes = causes;
            self.news = true;
            self.note_causes(now);
        }
    }

    /// A suspicion that nobody confirmed in time is dropped.
    pub fn expire(&mut self, now: u64) {
        if self.suspected.take_if(|suspected| now >= suspected.until).is_some() {
            self.news = true;
            self.ledger.note(now, "unsuppressed", "nothing else was found to be the cause");
        }
    }

    /// Whether another alert is told in its stead.
    #[must_use]
    pub fn is_suppressed(&self) -> bool {
        !self.causes.is_empty() || self.suspected.is_some()
    }

    /// Somebody takes care of it: no repetitions and no escalation until it is over.
    pub fn acknowledge(&mut self, by: Note, now: u64) {
        if self.status == AlertStatus::Firing {
            self.ledger.note(now, "acknowledged", &words(&by));
            self.acknowledged = Some(by);
            self.news = true;
        }
    }

    /// Nobody is to be told that it fires until then; a time that has passed ends a silence.
    pub fn silence(&mut self, silence: Silence, now: u64) {
        let ends = silence.until <= now;
        self.ledger.note(now, if ends { "unsilenced" } else { "silenced" }, &words(&silence.note));
        self.silenced = (!ends).then_some(silence);
        self.news = true;
    }

    /// The channels that are told, at once or later.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.delivery.receivers.iter().map(|to| to.channel.as_str())
    }

    /// What its groups have to hear; they count as having heard it. A group in which nobody can be told of it yet hears nothing.
    pub fn take_reports(&mut self) -> Vec<GroupReport> {
        if !std::mem::take(&mut self.news) {
            return Vec::new();
        }
        let moved = self.left.iter().map(|group| self.report_to(group, true));
        let own = self.report_to(&self.group, false);
        let heard = self.reported || own.opens();
        let reports = moved.chain(heard.then_some(own)).collect();
        self.reported = heard;
        if self.status == AlertStatus::Resolved {
            self.left.clear();
        }
        reports
    }

    /// The reports could not be delivered: they are to be made anew.
    pub fn report_again(&mut self) {
        self.news = true;
    }

    /// When something changes by itself: a suspicion ends, or there is nothing left to do.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        let suspected = self.suspected.as_ref().map(|suspected| suspected.until);
        suspected.into_iter().chain(self.done_at()).min()
    }

    /// Its end, and the time in which coming back it would be the same alert.
    fn done_at(&self) -> Option<u64> {
        Some(self.ends_at?.saturating_add(millis(self.delivery.dedupe_window)))
    }

    /// Whether there is nothing left to do.
    #[must_use]
    pub fn is_done(&self, now: u64) -> bool {
        !self.news && self.status == AlertStatus::Resolved && self.done_at().is_none_or(|at| now >= at)
    }

    fn report_to(&self, group: &AlertGroup, moved: bool) -> GroupReport {
        let report = Report {
            alert: self.alert.clone(),
            status: self.status,
            ends_at: self.ends_at,
            suppressed: self.is_suppressed(),
            acknowledged: self.acknowledged.is_some(),
            silenced_until: self.silenced.as_ref().map(|silence| silence.until),
            moved,
        };
        GroupReport { group: group.clone(), delivery: self.delivery.clone(), report }
    }

    /// It belongs to this group now. One that was told of it stays to be told of its end.
    fn move_to(&mut self, group: AlertGroup) {
        self.left.retain(|left| *left != group);
        if group == self.group {
            return;
        }
        let old = std::mem::replace(&mut self.group, group);
        if std::mem::take(&mut self.reported) {
            self.left.push(old);
            let surplus = self.left.len().saturating_sub(MAX_LEFT);
            self.left.drain(..surplus);
        }
    }

    fn suspect(&mut self, causes: BTreeSet<String>, now: u64) {
        if self.causes.is_empty() && !causes.is_empty() {
            self.ledger.note(now, "suppressed", &format!("it lacks {}", list(&causes)));
            self.suspected = Some(Suspicion { causes, until: now.saturating_add(SUSPICION) });
        }
    }

    fn headline(&self) -> String {
        let summary = self.alert.annotations.get("summary").map_or("", String::as_str);
        format!("{} by rule {}: {summary}", self.alert.severity, self.alert.rule)
    }

    fn note_causes(&mut self, now: u64) {
        if self.causes.is_empty() {
            if self.ledger.entries.iter().any(|entry| entry.what == "suppressed") {
                self.ledger.note(now, "unsuppressed", "what it needs is back");
            }
        } else {
            self.ledger.note(now, "suppressed", &format!("because of {}", list(&self.causes)));
        }
    }
}

fn list(services: &BTreeSet<String>) -> String {
    services.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn words(note: &Note) -> String {
    if note.comment.is_empty() { format!("by {}", note.by) } else { format!("by {}: {}", note.by, note.comment) }
}

#[cfg(test)]
#[path = "incident_tests.rs"]
mod tests;
