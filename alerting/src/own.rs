//! Alerts about dixmgr itself: its rules, made ready to be looked at. What they look at is somebody else's to find out.
//!
//! A channel that fails is told of over the others: the rule about messages is there once for each channel, with the receivers
//! that are left.

use std::time::Duration;

use dixmgr_model::{
    AlertPolicy, Health, Labels, OWN_WORKFLOW, Probes, Receiver, RestartPolicy, Rule, Selector, ServiceSpec,
    ServiceState, Signal, Target, UnitPhase, UnitStatus,
};

use crate::defaults::LOG;
use crate::fold::labels;
use crate::route;

/// What stands where alerts name their service.
pub const SERVICE: &str = "dixmgr";
/// Label of alerts about a channel.
pub const CHANNEL: &str = "channel";

/// dixmgr, as rules see a service.
#[must_use]
pub fn spec() -> ServiceSpec {
    ServiceSpec {
        name: SERVICE.to_owned(),
        workflow_id: OWN_WORKFLOW.to_owned(),
        ready_signal: String::new(),
        labels: Labels { kind: SERVICE.to_owned(), chain: String::new() },
        target: Target::Unit(String::new()),
        needs: Vec::new(),
        dependents: Vec::new(),
        dependency_timeout: Duration::ZERO,
        probes: Probes::default(),
        restart: RestartPolicy::default(),
        operation_timeout: Duration::ZERO,
        replicas: None,
    }
}

/// dixmgr, as a look sees a service: whoever looks runs.
#[must_use]
pub fn state() -> ServiceState {
    let unit =
        UnitStatus { phase: UnitPhase::Active, invocation_id: String::new(), main_pid: 0, result: String::new() };
    ServiceState { unit, health: Health::healthy(), sync: None }
}

/// The rules of `policy` that are about dixmgr itself, with the one about messages for each of the `channels`. All else is as
/// in `policy`.
#[must_use]
pub fn policy(policy: &AlertPolicy, channels: &[String]) -> AlertPolicy {
    let (spec, mut rules) = (spec(), Vec::new());
    for rule in policy.rules.iter().filter(|rule| rule.signal.is_own()) {
        let rule = Rule { services: Selector::default(), ..rule.clone() };
        if rule.signal == Signal::Undelivered {
            let failing = channels.iter().filter(|channel| *channel != LOG);
            rules.extend(failing.map(|channel| about(policy, &rule, &spec, channel, channels)));
        } else {
            rules.push(rule);
        }
    }
    AlertPolicy { rules, ..policy.clone() }
}

/// The channel that a rule is about, if it is about one.
#[must_use]
pub fn channel(rule: &Rule) -> Option<&str> {
    rule.labels.get(CHANNEL).map(String::as_str)
}

/// The rule about messages over one channel.
fn about(policy: &AlertPolicy, rule: &Rule, spec: &ServiceSpec, failing: &str, channels: &[String]) -> Rule {
    let mut rule = Rule { name: format!("{}/{failing}", rule.name), ..rule.clone() };
    rule.labels.insert(CHANNEL.to_owned(), failing.to_owned());
    let usual = route::delivery(policy, &rule, &labels(&rule, spec)).receivers;
    rule.receivers = Some(others(usual, failing, channels));
    rule
}

/// Whom to tell when `failing` does not work: the others that would be told, at once if nobody but the log is; all other
/// channels if there is none.
fn others(usual: Vec<Receiver>, failing: &str, channels: &[String]) -> Vec<Receiver> {
    let mut left: Vec<Receiver> = usual.into_iter().filter(|to| to.channel != failing).collect();
    if !left.iter().any(|to| to.channel != LOG) {
        let more = channels.iter().filter(|channel| *channel != failing && *channel != LOG);
        left.extend(more.map(|channel| Receiver { channel: channel.clone(), after: Duration::ZERO }));
    }
    let first = left.iter().filter(|to| to.channel != LOG).map(|to| to.after).min().unwrap_or_default();
    for to in left.iter_mut().filter(|to| to.channel != LOG) {
        to.after -= first;
    }
    left
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use dixmgr_model::{AlertKind, Delivery, KnownAlerts};

    use super::*;
    use crate::defaults;
    use crate::fold::{AlertFold, Seen};

    fn told(receivers: &[(&str, u64)]) -> Vec<Receiver> {
        let receiver = |&(channel, after): &(&str, u64)| Receiver {
            channel: channel.to_owned(),
            after: Duration::from_secs(after),
        };
        receivers.iter().map(receiver).collect()
    }

    fn own(receivers: &[(&str, u64)], channels: &[&str]) -> AlertPolicy {
        let delivery = Delivery { receivers: told(receivers), ..Delivery::default() };
        let usual = AlertPolicy {
            rules: defaults::rules(),
            delivery,
            routes: Vec::new(),
            maintenance: Vec::new(),
            id_prefix: String::new(),
        };
        let channels: Vec<String> = channels.iter().map(|name| (*name).to_owned()).collect();
        policy(&usual, &channels)
    }

    fn receivers<'p>(policy: &'p AlertPolicy, rule: &str) -> &'p [Receiver] {
        let rule = policy.rules.iter().find(|own| own.name == rule).expect(rule);
        rule.receivers.as_deref().expect("its own receivers")
    }

    #[test]
    fn a_channel_that_fails_is_told_of_over_the_others() {
        let policy = own(&[("log", 0), ("ops", 0), ("boss", 1800)], &["log", "ops", "boss", "spare"]);
        assert_eq!(
            receivers(&policy, "notification_failed/ops"),
            told(&[("log", 0), ("boss", 0)]),
            "nobody is before it"
        );
        assert_eq!(receivers(&policy, "notification_failed/boss"), told(&[("log", 0), ("ops", 0)]));
        assert!(!policy.rules.iter().any(|rule| rule.name == "notification_failed/log"), "the log does not fail");
    }

    #[test]
    fn when_nobody_is_left_all_other_channels_are_told() {
        let policy = own(&[("log", 0), ("ops", 0)], &["log", "ops", "spare"]);
        assert_eq!(receivers(&policy, "notification_failed/ops"), told(&[("log", 0), ("spare", 0)]));
        let alone = own(&[("log", 0), ("ops", 0)], &["log", "ops"]);
        assert_eq!(receivers(&alone, "notification_failed/ops"), told(&[("log", 0)]), "then it stands in the log");
    }

    #[test]
    fn each_channel_has_an_alert_of_its_own() {
        let policy = own(&[("log", 0), ("a", 0), ("b", 0)], &["log", "a", "b"]);
        let (spec, state) = (spec(), state());
        let mut fold = AlertFold::new(&policy, &spec);
        let failing = |failing: &'static str| {
            move |rule: &Rule| match rule.signal {
                Signal::Undelivered => Seen::Value(if channel(rule) == Some(failing) { 3.0 } else { 0.0 }),
                _ => Seen::Unknown,
            }
        };
        fold.look(&policy, 1, 1, failing("a"), |_, _, _| ());
        let changes = fold.changes(&policy, &spec, &KnownAlerts::new(), &state);
        let [raised] = &changes.raised[..] else { panic!("{changes:?}") };
        assert_eq!((raised.alert.kind, raised.alert.service.as_str()), (AlertKind::NotificationFailed, SERVICE));
        assert_eq!(raised.alert.annotations["summary"], "messages over a do not arrive");
        let known = KnownAlerts::from([(raised.alert.fingerprint.clone(), raised.alert.severity)]);
        fold.known(&policy, &spec, &known, 2);
        fold.look(&policy, 3, 1, failing("b"), |_, _, _| ());
        let changes = fold.changes(&policy, &spec, &known, &state);
        assert_eq!((changes.raised.len(), changes.resolved), (1, vec![raised.alert.fingerprint.clone()]));
        assert_ne!(changes.raised[0].group, raised.group, "others are told of it");
    }
}
