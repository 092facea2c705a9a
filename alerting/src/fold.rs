//! All rules of one service, and the alerts that follow from them.
//!
//! Rules of one kind with the same labels make one alert: a worse one escalates it. What is told to a workflow is the
//! difference between the alerts that fire and those that the workflow knows of, so nothing is lost or told twice however
//! often either side starts anew.

use std::collections::{BTreeMap, BTreeSet};

use dixmgr_model::{
    Alert, AlertChanges, AlertKind, AlertPolicy, KnownAlerts, RaisedAlert, Rule, ServiceSpec, ServiceState, Severity,
    Signal, duration, hash, size,
};
use serde::{Deserialize, Serialize};

use crate::rule::{Phase, RuleReason, RuleState};
use crate::{route, template};

/// Dependents that a message names.
const MAX_DEPENDENTS: usize = 20;

/// What a look gave for a rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Seen {
    /// It was no look at what the rule looks at.
    Nothing,
    /// A look that gave no value.
    Unknown,
    /// A value.
    Value(f64),
}

/// The rules of one service.
#[derive(Debug, Default)]
pub struct AlertFold {
    rules: Box<[Watched]>,
}

/// A rule of the service.
#[derive(Debug)]
struct Watched {
    /// Its place in the policy.
    index: usize,
    state: RuleState,
    /// The last value.
    value: f64,
    /// It fires, and the workflow does not know.
    untold: bool,
}

/// The state of one rule in a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedRule {
    /// Name of the rule.
    pub rule: String,
    /// Its state.
    pub state: RuleState,
}

/// An alert that fires, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Its identity.
    pub fingerprint: String,
    /// What it is about.
    pub kind: AlertKind,
    /// How bad it is.
    pub severity: Severity,
}

/// What a look led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// An alert began or ceased to fire.
    pub alerts_changed: bool,
    /// There is something that a heartbeat should carry.
    pub moved: bool,
}

impl AlertFold {
    /// The rules of `policy` that are for this service and can have a value, none of them looked at yet.
    #[must_use]
    pub fn new(policy: &AlertPolicy, spec: &ServiceSpec) -> Self {
        let applies = |rule: &Rule| rule.signal.is_of(spec) && rule.services.selects(spec);
        let rules = policy.rules.iter().enumerate().filter(|(_, rule)| applies(rule));
        let watched = |(index, _)| Watched { index, state: RuleState::default(), value: f64::NAN, untold: false };
        Self { rules: rules.map(watched).collect() }
    }

    /// Kinds and severities that its alerts can have.
    pub fn possible<'p>(&self, policy: &'p AlertPolicy) -> impl Iterator<Item = (AlertKind, Severity)> + use<'p, '_> {
        self.rules.iter().map(|watched| &policy.rules[watched.index]).map(|rule| (rule.kind, rule.severity))
    }

    /// Goes on from what a heartbeat held. Rules that are not there any more are left out.
    pub fn resume(&mut self, policy: &AlertPolicy, saved: &[SavedRule]) {
        for watched in &mut self.rules {
            let name = &policy.rules[watched.index].name;
            if let Some(saved) = saved.iter().find(|saved| saved.rule == *name) {
                watched.state = saved.state;
            }
        }
    }

    /// What a heartbeat has to hold: the rules that have anything to remember.
    #[must_use]
    pub fn save(&self, policy: &AlertPolicy) -> Vec<SavedRule> {
        let remembers = |watched: &&Watched| watched.state.phase != Phase::Inactive;
        let rules = self.rules.iter().filter(remembers);
        rules
            .map(|watched| SavedRule { rule: policy.rules[watched.index].name.clone(), state: watched.state })
            .collect()
    }

    /// The workflow knows of these alerts. Those that nothing else is known of are taken to fire since `now`.
    pub fn known(&mut self, policy: &AlertPolicy, spec: &ServiceSpec, known: &KnownAlerts, now: u64) {
        for watched in &mut self.rules {
            let rule = &policy.rules[watched.index];
            let fires = watched.state.fires_since().is_some();
            if !fires && known.is_empty() {
                continue;
            }
            let told = known.get(&fingerprint(rule, spec)).is_some_and(|severity| *severity >= rule.severity);
            if told && !fires && !watched.state.is_judged() {
                watched.state = RuleState::firing(now);
            }
            watched.untold = fires && !told;
        }
    }

    /// Takes in one look: `value` says what it gave for each rule. `longest_gap`, in milliseconds, is as for [`RuleState::look`];
    /// `note` hears of every rule that fires or is resolved.
    pub fn look(
        &mut self,
        policy: &AlertPolicy,
        now: u64,
        longest_gap: u64,
        value: impl Fn(&Rule) -> Seen,
        mut note: impl FnMut(&Rule, RuleReason, f64),
    ) -> Looked {
        let mut looked = Looked::default();
        for watched in &mut self.rules {
            let rule = &policy.rules[watched.index];
            let value = match value(rule) {
                Seen::Nothing => continue,
                Seen::Unknown => None,
                Seen::Value(value) => Some(value),
            };
            let before = watched.state.phase;
            let reason = watched.state.look(rule, value, now, longest_gap, watched.untold);
            watched.value = value.unwrap_or(watched.value);
            watched.untold |= reason == RuleReason::Fired;
            looked.moved |= watched.state.phase != before;
            if reason.changes_alert() {
                looked.alerts_changed = true;
                note(rule, reason, watched.value);
            }
        }
        looked
    }

    /// The alerts that fire, each with the worst of its severities.
    #[must_use]
    pub fn active(&self, policy: &AlertPolicy, spec: &ServiceSpec) -> Vec<Active> {
        self.worst(policy, spec)
            .into_iter()
            .map(|(fingerprint, watched)| {
                let Rule { kind, severity, .. } = policy.rules[watched.index];
                Active { fingerprint, kind, severity }
            })
            .collect()
    }

    /// What the workflow has to be told, when it knows of the alerts in `known`.
    #[must_use]
    pub fn changes(
        &self,
        policy: &AlertPolicy,
        spec: &ServiceSpec,
        known: &KnownAlerts,
        state: &ServiceState,
    ) -> AlertChanges {
        let fires = self.rules.iter().any(|watched| watched.state.fires_since().is_some());
        if !fires && known.is_empty() {
            return AlertChanges::default();
        }
        let worst = self.worst(policy, spec);
        // A rule of which nothing is known yet says nothing about its alert.
        let open: Vec<String> = self
            .rules
            .iter()
            .filter(|watched| !watched.state.is_judged())
            .map(|watched| fingerprint(&policy.rules[watched.index], spec))
            .collect();
        let over = |known: &&String| !worst.contains_key(*known) && !open.contains(known);
        let resolved = known.keys().filter(over).cloned().collect();
        let news =
            worst.iter().filter(|(print, watched)| known.get(*print) != Some(&policy.rules[watched.index].severity));
        let raised =
            news.map(|(print, watched)| watched.raise(policy, spec, print, self.since(policy, spec, print), state));
        AlertChanges { raised: raised.collect(), resolved }
    }

    /// The worst firing rule of each alert.
    fn worst(&self, policy: &AlertPolicy, spec: &ServiceSpec) -> BTreeMap<String, &Watched> {
        let mut worst: BTreeMap<String, &Watched> = BTreeMap::new();
        for watched in self.rules.iter().filter(|watched| watched.state.fires_since().is_some()) {
            let rule = &policy.rules[watched.index];
            let best = worst.entry(fingerprint(rule, spec)).or_insert(watched);
            if rule.severity > policy.rules[best.index].severity {
                *best = watched;
            }
        }
        worst
    }

    /// Since when an alert fires: its first rule decides.
    fn since(&self, policy: &AlertPolicy, spec: &ServiceSpec, print: &str) -> u64 {
        let own = self.rules.iter().filter(|watched| fingerprint(&policy.rules[watched.index], spec) == print);
        own.filter_map(|watched| watched.state.fires_since()).min().unwrap_or_default()
    }
}

impl Watched {
    fn raise(
        &self,
        policy: &AlertPolicy,
        spec: &ServiceSpec,
        print: &str,
        starts_at: u64,
        state: &ServiceState,
    ) -> RaisedAlert {
        let rule = &policy.rules[self.index];
        let labels = labels(rule, spec);
        let mut values = labels.clone();
        let facts = [
            ("rule", rule.name.clone()),
            ("value", format_value(rule.signal, self.value)),
            ("threshold", format_value(rule.signal, rule.threshold)),
            ("window", duration::format(rule.window)),
            ("detail", detail(rule.signal, spec, state)),
            ("dependents", dependents(spec)),
        ];
        values.extend(facts.map(|(name, value)| (name.to_owned(), value)));
        let fill = |(name, text): (&String, &String)| (name.clone(), template::fill(text, &values));
        let alert = Alert {
            fingerprint: print.to_owned(),
            kind: rule.kind,
            service: spec.name.clone(),
            severity: rule.severity,
            rule: rule.name.clone(),
            labels,
            annotations: rule.annotations.iter().map(fill).filter(|(_, text)| !text.is_empty()).collect(),
            starts_at,
        };
        let delivery = route::delivery(policy, rule, &alert.labels);
        let group = route::group(policy, &delivery, &alert);
        let workflow_id = format!("{}alert.{print}", policy.id_prefix);
        RaisedAlert { alert, workflow_id, delivery, group, lacking: BTreeSet::new() }
    }
}

/// Names that a template may use beside the labels of the rule itself.
pub const TEMPLATE_NAMES: [&str; 13] = [
    "alertname",
    "service",
    "type",
    "chain",
    "severity",
    "rule",
    "value",
    "threshold",
    "window",
    "detail",
    "dependents",
    "channel",
    "measure",
];

/// The identity of a rule's alert: its severity and the rule's name are no part of it.
fn fingerprint(rule: &Rule, spec: &ServiceSpec) -> String {
    let labels = rule.labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let parts = [rule.kind.name(), spec.name.as_str()].into_iter().chain(labels);
    hash::fnv1a(parts.flat_map(|part| part.bytes().chain([0])))
}

pub(crate) fn labels(rule: &Rule, spec: &ServiceSpec) -> BTreeMap<String, String> {
    let own = [
        ("alertname", rule.kind.name()),
        ("service", spec.name.as_str()),
        ("type", spec.labels.kind.as_str()),
        ("chain", spec.labels.chain.as_str()),
        ("severity", rule.severity.name()),
    ];
    let own = own.into_iter().filter(|(_, value)| !value.is_empty());
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    rule.labels.clone().into_iter().chain(own).collect()
}

/// A value as people read it.
fn format_value(signal: Signal, value: f64) -> String {
    if value.is_nan() {
        return "unknown".to_owned();
    }
    match signal {
        Signal::Cpu | Signal::DiskFree => format!("{value:.1} %"),
        Signal::Memory => bytes(value),
        Signal::Disk | Signal::DiskRead | Signal::DiskWrite => format!("{}/s", bytes(value)),
        Signal::ResponseTime | Signal::EngineLatency => format!("{value:.3} s"),
        Signal::CpuDeviation | Signal::MemoryDeviation | Signal::ResponseTimeDeviation | Signal::RestartDeviation => {
            format!("{value:.1} times its usual spread")
        }
        Signal::MemoryForecast | Signal::DiskForecast => format!("{value:.1} h"),
        Signal::LookDelay => format!("{value:.0} s"),
        _ => format!("{value}"),
    }
}

/// Three digits are enough; exact sizes are left as they are.
fn bytes(value: f64) -> String {
    const STEPS: [(&str, f64); 3] = [("GiB", 1_073_741_824.0), ("MiB", 1_048_576.0), ("KiB", 1_024.0)];
    match STEPS.into_iter().find(|(_, step)| value >= *step) {
        Some((unit, step)) => format!("{:.2} {unit}", value / step),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is small and not negative")]
        None => size::format(value.max(0.0) as u64),
    }
}

/// What the service's own state says about the trouble.
fn detail(signal: Signal, spec: &ServiceSpec, state: &ServiceState) -> String {
    match signal {
        Signal::Down | Signal::Restarts if state.unit.result.is_empty() => format!("the unit is {}", state.unit.phase),
        Signal::Down | Signal::Restarts => format!("the unit is {} ({})", state.unit.phase, state.unit.result),
        Signal::Unhealthy | Signal::ResponseTime => state.health.detail.clone(),
        Signal::Stalled | Signal::Peers => state.sync.as_ref().map(|sync| sync.detail.clone()).unwrap_or_default(),
        Signal::DependencyWait => {
            let needs: Vec<&str> = spec.needs.iter().map(|need| need.service.as_str()).collect();
            format!("it needs {}", needs.join(", "))
        }
        // The value says it all.
        _ => String::new(),
    }
}

/// The services that need this one, whose alerts it is the cause of; nothing when there are none.
fn dependents(spec: &ServiceSpec) -> String {
    if spec.dependents.is_empty() {
        return String::new();
    }
    let name = |id: &String| id.rsplit_once("wf.svc.").map_or(id.as_str(), |(_, name)| name).to_owned();
    let names: Vec<String> = spec.dependents.iter().take(MAX_DEPENDENTS).map(name).collect();
    let more = match spec.dependents.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("; needed by {}{more}", names.join(", "))
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
