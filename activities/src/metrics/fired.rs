//! How often alerts of one service, or of dixmgr itself, fired, by kind and severity.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use dixmgr_model::{AlertKind, Severity};

use super::text::Family;

/// Counters of one service: those that its rules can move, a handful.
#[derive(Debug, Default)]
pub(crate) struct Fired {
    counters: RwLock<Vec<(AlertKind, Severity, AtomicU64)>>,
}

impl Fired {
    /// These exist from now on, at zero where they are new.
    pub(crate) fn expect(&self, alerts: impl Iterator<Item = (AlertKind, Severity)>) {
        let mut counters = self.counters.write().unwrap_or_else(PoisonError::into_inner);
        for (kind, severity) in alerts {
            if !counters.iter().any(|known| (known.0, known.1) == (kind, severity)) {
                counters.push((kind, severity, AtomicU64::new(0)));
            }
        }
        counters.shrink_to_fit();
    }

    pub(crate) fn add(&self, kind: AlertKind, severity: Severity) {
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counters.iter().find(|known| (known.0, known.1) == (kind, severity)) {
            counter.2.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `service` is the service's label, rendered.
    pub(super) fn write(&self, family: &mut Family<'_>, service: &str) {
        for (kind, severity, count) in self.counters.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let (kind, severity) = (kind.name(), severity.name());
            let labels = ["alert_type=\"", kind, "\",severity=\"", severity, "\",", service];
            family.integer(&labels, count.load(Ordering::Relaxed));
        }
    }
}
