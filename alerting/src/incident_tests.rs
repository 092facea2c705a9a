#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;
use std::time::Duration;

use dixmgr_model::{AlertKind, Receiver};
use proptest::prelude::*;

use super::*;

const T: u64 = 1_700_000_000_000;
const S: u64 = 1_000;

fn raised(severity: Severity, at: u64) -> RaisedAlert {
    let alert = Alert {
        fingerprint: "00ff".to_owned(),
        kind: AlertKind::HighCpu,
        service: "db".to_owned(),
        severity,
        rule: "high_cpu".to_owned(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        starts_at: at,
    };
    let receiver = |channel: &str, after| Receiver { channel: channel.to_owned(), after: Duration::from_secs(after) };
    let delivery = Delivery {
        receivers: vec![receiver("ops", 0), receiver("boss", 600)],
        group_wait: Duration::from_secs(10),
        repeat_interval: Duration::from_hours(1),
        dedupe_window: Duration::from_mins(5),
    };
    RaisedAlert { alert, workflow_id: String::new(), delivery }
}

fn incident() -> Incident {
    Incident::new(raised(Severity::Warning, T), BTreeSet::new(), T)
}

/// What is sent at `at`, delivered at once: channel and status.
fn sent(incident: &mut Incident, at: u64) -> Vec<(String, AlertStatus)> {
    let due = incident.take_due(at);
    for due in &due {
        incident.delivered(due.receiver, &Ok("200".to_owned()), at);
    }
    due.into_iter().map(|due| (due.channel, due.message.status)).collect()
}

fn ops(status: AlertStatus) -> Vec<(String, AlertStatus)> {
    vec![("ops".to_owned(), status)]
}

#[test]
fn who_hears_of_it_hears_of_its_end() {
    let mut incident = incident();
    assert_eq!((sent(&mut incident, T), incident.wake_at(T)), (vec![], Some(T + 10 * S)));
    assert_eq!(sent(&mut incident, T + 10 * S), ops(AlertStatus::Firing));
    assert_eq!(sent(&mut incident, T + 11 * S), []);
    incident.resolve(T + 60 * S);
    assert_eq!(sent(&mut incident, T + 60 * S), ops(AlertStatus::Resolved));
    assert!(!incident.is_done(T + 60 * S), "it may come back within the dedupe window");
    assert!(incident.is_done(T + 310 * S));
}

#[test]
fn what_is_over_within_the_first_wait_is_not_told() {
    let mut incident = incident();
    incident.resolve(T + 9 * S);
    assert_eq!(sent(&mut incident, T + 10 * S), []);
    assert!(incident.is_done(T + 10 * S));
}

#[test]
fn coming_back_soon_it_is_told_when_the_dedupe_window_is_over() {
    let mut incident = incident();
    sent(&mut incident, T + 10 * S);
    incident.resolve(T + 20 * S);
    sent(&mut incident, T + 20 * S);
    incident.raise(raised(Severity::Warning, T + 30 * S), BTreeSet::new(), T + 30 * S);
    assert_eq!(sent(&mut incident, T + 60 * S), []);
    assert_eq!(incident.wake_at(T + 60 * S), Some(T + 310 * S));
    assert_eq!(sent(&mut incident, T + 310 * S), ops(AlertStatus::Firing));
}

#[test]
fn nobody_answers_so_the_next_is_told_and_an_acknowledgement_ends_that() {
    let mut first = incident();
    sent(&mut first, T + 10 * S);
    let mut acknowledged = first.clone();
    assert_eq!(sent(&mut first, T + 610 * S), [("boss".to_owned(), AlertStatus::Firing)]);
    acknowledged.acknowledge(Note { by: "ann".to_owned(), comment: String::new() }, T + 20 * S);
    assert_eq!(sent(&mut acknowledged, T + 100_000 * S), [], "neither escalation nor repetition");
    acknowledged.raise(raised(Severity::Critical, T), BTreeSet::new(), T + 100_001 * S);
    assert_eq!(sent(&mut acknowledged, T + 100_001 * S), ops(AlertStatus::Firing), "but a worse severity is news");
    acknowledged.resolve(T + 100_002 * S);
    assert_eq!(sent(&mut acknowledged, T + 100_002 * S), ops(AlertStatus::Resolved));
}

#[test]
fn a_cause_holds_the_page_back_and_outliving_it_brings_it() {
    let mut incident = Incident::new(raised(Severity::Critical, T), BTreeSet::from(["net".to_owned()]), T);
    assert_eq!(sent(&mut incident, T + 100 * S), []);
    incident.set_causes(BTreeSet::new(), T + 200 * S);
    assert_eq!(sent(&mut incident, T + 205 * S), []);
    assert_eq!(sent(&mut incident, T + 210 * S), ops(AlertStatus::Firing));
    incident.set_causes(BTreeSet::from(["net".to_owned()]), T + 220 * S);
    incident.resolve(T + 230 * S);
    assert_eq!(sent(&mut incident, T + 230 * S), ops(AlertStatus::Resolved), "suppression swallows no resolve");
}

#[test]
fn a_silence_ends_by_itself() {
    let mut incident = incident();
    incident.silence(Silence { until: T + 100 * S, note: Note::default() }, T);
    assert_eq!(sent(&mut incident, T + 99 * S), []);
    assert_eq!(incident.wake_at(T + 99 * S), Some(T + 100 * S));
    assert_eq!(sent(&mut incident, T + 100 * S), ops(AlertStatus::Firing));
}

#[test]
fn what_is_stale_when_a_receiver_comes_back_is_not_sent() {
    let mut incident = incident();
    let first = incident.take_due(T + 10 * S).remove(0);
    // Three days in which the message is on its way, and the alert comes and goes.
    for day in 1..=3 {
        incident.resolve(T + day * 86_400 * S);
        incident.raise(raised(Severity::Warning, T), BTreeSet::new(), T + day * 86_400 * S + S);
        assert_eq!(incident.take_due(T + day * 86_400 * S + 2 * S), []);
    }
    incident.resolve(T + 300_000 * S);
    incident.delivered(first.receiver, &Ok(String::new()), T + 300_001 * S);
    assert_eq!(sent(&mut incident, T + 300_001 * S), ops(AlertStatus::Resolved));
    assert!(incident.is_done(T + 300_002 * S));
}

#[derive(Debug, Clone)]
enum Step {
    Raise(bool),
    Resolve,
    Causes(bool),
    Acknowledge,
    Silence(u64),
    Deliver(bool),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        any::<bool>().prop_map(Step::Raise),
        Just(Step::Resolve),
        any::<bool>().prop_map(Step::Causes),
        Just(Step::Acknowledge),
        (0u64..1_000).prop_map(Step::Silence),
        any::<bool>().prop_map(Step::Deliver),
        Just(Step::Restart),
    ];
    prop::collection::vec((0u64..400, step), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever happens, in whatever order: what each receiver sees alternates, no firing comes within the dedupe window of
    /// another but for a worse severity, nothing is told while a cause or a silence is there, and all end with "resolved".
    #[test]
    fn every_script_of_an_incident_ends_well(steps in steps()) {
        let mut incident = incident();
        let mut now = T;
        let mut seen: Vec<Vec<(u64, AlertStatus, Severity)>> = vec![Vec::new(); 2];
        let mut flying: Vec<usize> = Vec::new();
        let mut keys = BTreeSet::new();
        let mut send = |incident: &mut Incident, flying: &mut Vec<usize>, now: u64| {
            let muted = !incident.causes.is_empty() || incident.silenced.as_ref().is_some_and(|s| s.until > now);
            for due in incident.take_due(now) {
                assert!(!(muted && due.message.status == AlertStatus::Firing), "told in spite of a cause or a silence");
                assert!(!flying.contains(&due.receiver), "one message at a time");
                assert!(keys.insert(due.message.key.clone()), "each message has a key of its own");
                seen[due.receiver].push((now, due.message.status, due.message.alert.severity));
                flying.push(due.receiver);
            }
        };
        for (wait, step) in steps {
            now += wait * S;
            match step {
                Step::Raise(worse) => {
                    let severity = if worse { Severity::Critical } else { Severity::Warning };
                    incident.raise(raised(severity, now), incident.causes.clone(), now);
                }
                Step::Resolve => incident.resolve(now),
                Step::Causes(any) => incident.set_causes(any.then(|| "net".to_owned()).into_iter().collect(), now),
                Step::Acknowledge => incident.acknowledge(Note::default(), now),
                Step::Silence(length) => {
                    incident.silence(Silence { until: now + length * S, note: Note::default() }, now);
                }
                Step::Deliver(well) => {
                    let outcome = if well { Ok("200".to_owned()) } else { Err("gone".to_owned()) };
                    for receiver in flying.drain(..) {
                        incident.delivered(receiver, &outcome, now);
                    }
                }
                Step::Restart => {
                    incident = serde_json::from_str(&serde_json::to_string(&incident).unwrap()).unwrap();
                }
            }
            send(&mut incident, &mut flying, now);
        }
        incident.resolve(now);
        for _ in 0..4 {
            for receiver in flying.drain(..) {
                incident.delivered(receiver, &Ok(String::new()), now);
            }
            send(&mut incident, &mut flying, now);
        }
        prop_assert!(flying.is_empty() && incident.is_done(now + 300 * S));
        for messages in &seen {
            prop_assert!(messages.last().is_none_or(|(_, status, _)| *status == AlertStatus::Resolved));
            for pair in messages.windows(2) {
                let [(_, before, low), (_, after, high)] = pair else { unreachable!() };
                prop_assert!(before != after || *before == AlertStatus::Firing);
                if before == after {
                    prop_assert!(high > low || pair[1].0 - pair[0].0 >= 3_600 * S, "a repetition before its time");
                }
            }
            let fresh: Vec<u64> = messages.iter().enumerate()
                .filter(|(index, (_, status, _))| {
                    *status == AlertStatus::Firing && (*index == 0 || messages[index - 1].1 == AlertStatus::Resolved)
                })
                .map(|(_, (at, ..))| *at)
                .collect();
            prop_assert!(fresh.windows(2).all(|pair| pair[1] - pair[0] >= 300 * S), "deduplicated: {:?}", fresh);
        }
    }
}
