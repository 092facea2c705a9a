//! How many alerts fire, and what became of the messages about them.

use dixmgr_model::{AlertKind, Severity};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{MetricsError, label, register};

/// Series of all alerts together. Those of single services are in [`super::ServiceMetrics`].
#[derive(Debug)]
pub struct AlertMetrics {
    /// By kind and severity, in the order of their discriminants.
    active: [[IntGauge; Severity::ALL.len()]; AlertKind::ALL.len()],
    sent: IntCounterVec,
    failed: IntCounterVec,
}

/// Series of one channel.
#[derive(Debug, Clone)]
pub struct ChannelMetrics {
    sent: IntCounter,
    failed: IntCounter,
}

impl AlertMetrics {
    pub(super) fn register(namespace: &str, registry: &Registry) -> Result<Self, MetricsError> {
        let named = |name: &str, help: &str| Opts::new(name, help).namespace(namespace);
        let active = IntGaugeVec::new(named("alerts_active", "Alerts that fire now."), &["alert_type", "severity"])?;
        register(registry, &active)?;
        let sent = named("notifications_total", "Attempts to send a message about an alert.");
        let sent = IntCounterVec::new(sent, &["channel"])?;
        register(registry, &sent)?;
        let failed = named("notifications_failed_total", "Attempts to send a message about an alert that failed.");
        let failed = IntCounterVec::new(failed, &["channel"])?;
        register(registry, &failed)?;
        let active = AlertKind::ALL
            .map(|kind| Severity::ALL.map(|severity| active.with_label_values(&[kind.name(), severity.name()])));
        Ok(Self { active, sent, failed })
    }

    /// An alert fires from now on.
    pub fn began(&self, kind: AlertKind, severity: Severity) {
        self.active[kind as usize][severity as usize].inc();
    }

    /// It does not any more.
    pub fn ended(&self, kind: AlertKind, severity: Severity) {
        self.active[kind as usize][severity as usize].dec();
    }

    /// The series of a channel, which exist from now on.
    pub fn channel(&self, name: &str) -> ChannelMetrics {
        let name = label::bounded(name);
        ChannelMetrics {
            sent: self.sent.with_label_values(&[&*name]),
            failed: self.failed.with_label_values(&[&*name]),
        }
    }
}

impl ChannelMetrics {
    /// Counts an attempt.
    pub fn attempt(&self, well: bool) {
        self.sent.inc();
        if !well {
            self.failed.inc();
        }
    }
}
