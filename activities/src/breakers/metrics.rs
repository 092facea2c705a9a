//! Series of circuit breakers. Targets come from the configuration, and are bounded like the breakers themselves.

use dixmgr_alerting::circuit_breaker::State;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::metrics::{MetricsError, label, register};

/// How breakers stand, and how often they opened.
#[derive(Debug)]
pub struct BreakerMetrics {
    state: IntGaugeVec,
    opened: IntCounterVec,
}

impl BreakerMetrics {
    pub(crate) fn register(namespace: &str, registry: &Registry) -> Result<Self, MetricsError> {
        let named = |name: &str, help: &str| Opts::new(format!("circuit_breaker_{name}"), help).namespace(namespace);
        let help = "Whether the circuit breaker of a target is closed (0), half-open (1) or open (2).";
        let state = IntGaugeVec::new(named("state", help), &["target"])?;
        let opened = named("opened_total", "How often the circuit breaker of a target opened.");
        let opened = IntCounterVec::new(opened, &["target"])?;
        register(registry, &state)?;
        register(registry, &opened)?;
        Ok(Self { state, opened })
    }

    /// A breaker stands like this. Its series are there from now on.
    pub(super) fn is(&self, target: &str, state: State) {
        self.moved(target, state, 0);
    }

    /// A breaker stands otherwise, having opened so often.
    pub(super) fn moved(&self, target: &str, state: State, opened: u64) {
        let target = label::bounded(target);
        let value = match state {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open => 2,
        };
        self.state.with_label_values(&[&*target]).set(value);
        self.opened.with_label_values(&[&*target]).inc_by(opened);
    }
}
