//! From what is told to rows: what an event means for the fold, for the service's incident, and for what is to be written. Asks
//! no store: it may be away.

use std::sync::atomic::Ordering;

use dixmgr_model::Availability;

use super::super::Event;
use super::super::event::{self, PASSING, Told, What};
use super::super::fold::ServiceId;
use super::super::store::{HealthRow, Write};
use super::Writer;

/// A service of this session.
#[derive(Debug, Default)]
pub(super) struct Service {
    incident: Incident,
    /// Whether anything was known of it yet.
    seen: bool,
}

/// Whether a service has an incident.
#[derive(Debug, Default)]
pub(super) enum Incident {
    /// The last session may have left one open.
    #[default]
    Unknown,
    None,
    /// One that goes on, with its cause.
    Open(&'static str),
}

impl Writer {
    pub(super) fn take(&mut self, event: Event) {
        self.given.waiting.fetch_sub(1, Ordering::Relaxed);
        let Event { service: name, at, what } = event;
        let id = self.ids.of(&name, at);
        match what {
            What::State(told) => self.take_state(id, at, *told),
            What::Used { cpu_percent, memory_bytes } => self.fold.used(id, cpu_percent, memory_bytes, at),
            What::Answered(seconds) => self.fold.answered(id, seconds, at),
            What::Acted(act) => {
                let event::Act { verb, reason, outcome, detail } = *act;
                self.pending.push(Write::Action { service: id, at, verb, reason, outcome, detail });
            }
            What::Fires(alarm) => {
                let event::Alarm { fingerprint, kind, severity } = *alarm;
                let (kind, severity) = (kind.name(), severity.name());
                self.pending.push(Write::Fires { service: id, at, fingerprint, kind, severity });
            }
            What::Resolved { fingerprint } => self.pending.push(Write::Resolved { service: id, at, fingerprint }),
            What::Forgotten => {
                self.fold.forget(id, at);
                self.services.remove(&id);
                self.pending.push(Write::EndIncident { service: id, at });
            }
        }
    }

    fn take_state(&mut self, id: ServiceId, at: u64, told: Told) {
        let Told { availability, condition, phase, result, invocation, detail, cause } = told;
        let service = self.services.entry(id).or_default();
        self.fold.state(id, availability, at);
        if !service.seen && availability != Availability::Unknown {
            service.seen = true;
            self.pending.push(Write::Seen { service: id, at });
        }
        match (availability, &service.incident) {
            (Availability::Down, Incident::Unknown | Incident::None) => {
                service.incident = Incident::Open(cause);
                let detail = explanation(&result, &detail);
                self.pending.push(Write::OpenIncident { service: id, at, cause, detail });
            }
            (Availability::Down, Incident::Open(first)) if PASSING.contains(first) && !PASSING.contains(&cause) => {
                service.incident = Incident::Open(cause);
                let detail = explanation(&result, &detail);
                self.pending.push(Write::ExplainIncident { service: id, cause, detail });
            }
            (Availability::Up, Incident::Unknown | Incident::Open(_)) => {
                service.incident = Incident::None;
                self.pending.push(Write::EndIncident { service: id, at });
            }
            _ => {}
        }
        let availability = availability.name();
        let row = HealthRow { service: id, at, availability, condition, phase, result, invocation, detail };
        self.pending.push(Write::Health(row));
    }
}

/// Why a service is down, in words.
fn explanation(result: &str, detail: &str) -> String {
    match (result, detail) {
        ("" | "success", detail) => detail.to_owned(),
        (result, "") => result.to_owned(),
        (result, detail) => format!("{result}: {detail}"),
    }
}
