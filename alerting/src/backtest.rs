//! Rules over what is remembered: when they would have fired. The same judgement as while watching, on another source of looks.

use dixmgr_model::{AlertPolicy, KnownAlerts, Rule, ServiceSpec, Severity, Signal};

use crate::fold::{AlertFold, Seen};
use crate::millis;
use crate::rule::RuleReason;

/// One thing that was seen of a service. Times are milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PastLook {
    /// When.
    pub at: u64,
    /// What was looked at.
    pub signal: Signal,
    /// What it gave; nothing when it is not known.
    pub value: Option<f64>,
    /// So many milliseconds before it may lie the look before of this signal: the rest of a longer time was not seen.
    pub longest_gap: u64,
}

/// A time in which a rule would have fired.
#[derive(Debug, Clone, PartialEq)]
pub struct PastFiring {
    /// The rule.
    pub rule: String,
    /// How bad.
    pub severity: Severity,
    /// When it would have fired.
    pub from: u64,
    /// When it would have been over; nothing when it would fire still.
    pub until: Option<u64>,
    /// The value that made it fire.
    pub value: f64,
}

/// Judges what was seen of a service, in the order of time, by the rules that are for it. `restarts` are the moments at which it
/// was started anew.
#[must_use]
pub fn judge(policy: &AlertPolicy, spec: &ServiceSpec, looks: &[PastLook], restarts: &[u64]) -> Vec<PastFiring> {
    let mut fold = AlertFold::new(policy, spec);
    let mut firings: Vec<PastFiring> = Vec::new();
    for look in looks {
        fold.look(
            policy,
            look.at,
            look.longest_gap,
            |rule| seen(rule, look, restarts),
            |rule, reason, value| match reason {
                RuleReason::Fired => firings.push(PastFiring {
                    rule: rule.name.clone(),
                    severity: rule.severity,
                    from: look.at,
                    until: None,
                    value,
                }),
                RuleReason::Resolved => {
                    if let Some(own) = firings.iter_mut().rev().find(|firing| firing.rule == rule.name) {
                        own.until = Some(look.at);
                    }
                }
                _ => {}
            },
        );
        // Whoever would have been told has been told.
        let told: KnownAlerts =
            fold.active(policy, spec).into_iter().map(|active| (active.fingerprint, active.severity)).collect();
        fold.known(policy, spec, &told, look.at);
    }
    firings
}

/// What a look gave for a rule. Restarts are counted whenever the unit is looked at.
fn seen(rule: &Rule, look: &PastLook, restarts: &[u64]) -> Seen {
    match (rule.signal, look.signal) {
        (Signal::Restarts, Signal::Down) => {
            let since = look.at.saturating_sub(millis(rule.window));
            let count = restarts.iter().filter(|at| **at > since && **at <= look.at).count();
            Seen::Value(count as f64)
        }
        (wanted, given) if wanted == given => look.value.map_or(Seen::Unknown, Seen::Value),
        _ => Seen::Nothing,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use dixmgr_model::Delivery;

    use super::*;
    use crate::defaults;

    const T: u64 = 1_700_000_000_000;
    const MINUTE: u64 = 60_000;

    fn judged(looks: &[PastLook], restarts: &[u64]) -> Vec<(String, u64, Option<u64>)> {
        let policy = AlertPolicy {
            rules: defaults::rules(),
            delivery: Delivery::default(),
            routes: Vec::new(),
            maintenance: Vec::new(),
            id_prefix: String::new(),
        };
        let spec = serde_json::json!({
            "name": "db", "workflow_id": "wf.svc.db", "ready_signal": "ready:svc:db",
            "labels": { "type": "database" }, "target": { "unit": "db.service" },
        });
        let spec: ServiceSpec = serde_json::from_value(spec).expect("a service");
        let firings = judge(&policy, &spec, looks, restarts);
        let minutes = |at: u64| (at - T) / MINUTE;
        firings.into_iter().map(|one| (one.rule, minutes(one.from), one.until.map(minutes))).collect()
    }

    fn looks(signal: Signal, values: impl IntoIterator<Item = (u64, f64)>) -> Vec<PastLook> {
        values
            .into_iter()
            .map(|(minute, value)| PastLook {
                at: T + minute * MINUTE,
                signal,
                value: Some(value),
                longest_gap: 3 * MINUTE,
            })
            .collect()
    }

    #[test]
    fn a_threshold_is_crossed_and_left_again() {
        let busy =
            looks(Signal::Cpu, (0..30).map(|minute| (minute, if (5..12).contains(&minute) { 90.0 } else { 10.0 })));
        assert_eq!(judged(&busy, &[]), [("high_cpu".to_owned(), 6, Some(12))]);
    }

    #[test]
    fn a_death_and_restarts_are_found_and_what_nobody_saw_is_not() {
        let unit = looks(Signal::Down, [(0, 0.0), (1, 1.0), (2, 0.0), (3, 0.0), (4, 0.0), (5, 0.0), (200, 1.0)]);
        let restarts = [2, 3, 4].map(|minute| T + minute * MINUTE);
        let found = judged(&unit, &restarts);
        let wanted = [("service_down", 1, Some(2)), ("restart_loop", 4, Some(200)), ("service_down", 200, None)];
        assert_eq!(found, wanted.map(|(rule, from, until)| (rule.to_owned(), from, until)));
    }

    #[test]
    fn what_is_looked_at_each_hour_is_judged_beside_what_is_looked_at_each_minute() {
        // Four hours of it: `unusual_cpu` wants a part of that to have lasted.
        let hourly = looks(Signal::CpuDeviation, (0..6).map(|hour| (hour * 60, if hour < 4 { 50.0 } else { 0.0 })));
        let hourly = hourly.into_iter().map(|look| PastLook { longest_gap: 180 * MINUTE, ..look });
        let mut all: Vec<PastLook> = looks(Signal::Cpu, (0..360).map(|minute| (minute, 10.0)));
        all.extend(hourly);
        all.sort_by_key(|look| look.at);
        assert_eq!(judged(&all, &[]), [("unusual_cpu".to_owned(), 60, Some(240))]);
    }
}
