#![allow(clippy::unwrap_used)]
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dixmgr_model::{Alert, AlertKind, Matcher, Receiver, Severity, Silence};
use proptest::prelude::*;

use super::*;

const T: u64 = 1_700_000_000_000;
const S: u64 = 1_000;

fn delivery(group_interval: u64) -> Delivery {
    let receiver = |channel: &str, after| Receiver { channel: channel.to_owned(), after: Duration::from_secs(after) };
    Delivery {
        receivers: vec![receiver("ops", 0), receiver("boss", 600)],
        repeat_interval: Duration::from_hours(1),
        group_interval: Duration::from_secs(group_interval),
        ..Delivery::default()
    }
}

fn report(service: &str, severity: Severity, status: AlertStatus, at: u64) -> Report {
    let alert = Alert {
        fingerprint: service.to_owned(),
        kind: AlertKind::HighCpu,
        service: service.to_owned(),
        severity,
        rule: "high_cpu".to_owned(),
        labels: BTreeMap::from([("service".to_owned(), service.to_owned())]),
        annotations: BTreeMap::from([("summary".to_owned(), format!("{service} is busy"))]),
        starts_at: at,
    };
    Report {
        alert,
        status,
        ends_at: (status == AlertStatus::Resolved).then_some(at),
        suppressed: false,
        acknowledged: false,
        silenced_until: None,
        moved: false,
    }
}

/// A group, driven by hand.
struct Script {
    group: Group,
    interval: u64,
}

impl Script {
    fn new(interval: u64) -> Self {
        let group = AlertGroup { workflow_id: "alert-group.00ff".to_owned(), labels: BTreeMap::new() };
        Self { group: Group::new(group, delivery(interval), T), interval }
    }

    fn report(&mut self, report: Report, at: u64) {
        self.group.report(report, delivery(self.interval), T + at * S);
    }

    fn fires(&mut self, service: &str, at: u64) {
        self.report(report(service, Severity::Warning, AlertStatus::Firing, T + at * S), at);
    }

    fn is_over(&mut self, service: &str, at: u64) {
        self.report(report(service, Severity::Warning, AlertStatus::Resolved, T + at * S), at);
    }

    /// What is sent at `at`, delivered at once.
    fn sent(&mut self, at: u64) -> Vec<String> {
        let due = self.group.take_due(T + at * S);
        for due in &due {
            self.group.delivered(due.receiver, &Ok("200".to_owned()), T + at * S);
        }
        due.iter().map(|due| format!("{}: {}", due.channel, due.message.title())).collect()
    }

    fn wakes_in(&self, at: u64) -> Option<u64> {
        self.group.wake_at(T + at * S).map(|wake| (wake - T) / S)
    }
}

#[test]
fn what_fires_together_is_told_together_and_so_is_its_end() {
    let mut script = Script::new(60);
    script.fires("a", 0);
    script.fires("b", 3);
    assert_eq!((script.sent(9), script.wakes_in(9)), (vec![], Some(10)));
    assert_eq!((script.sent(10), script.wakes_in(10)), (vec![], Some(13)), "who has just joined is waited for");
    assert_eq!(script.sent(13), ["ops: [WARNING] 2 alerts: a, b"]);
    script.fires("c", 14);
    script.is_over("a", 15);
    assert_eq!((script.sent(40), script.wakes_in(40)), (vec![], Some(73)), "one message in a group_interval");
    assert_eq!(script.sent(73), ["ops: [WARNING] 2 firing, 1 resolved: b, c, a"]);
    script.is_over("b", 80);
    script.is_over("c", 81);
    assert_eq!(script.sent(133), ["ops: [RESOLVED] 2 alerts: b, c"]);
    assert!(!script.group.is_done(T + 134 * S));
    script.sent(400);
    assert!(script.group.is_done(T + 400 * S));
}

#[test]
fn nobody_waits_for_ever_for_those_that_join() {
    let mut script = Script::new(60);
    (0..30).for_each(|second| script.fires(&format!("s{second:02}"), second));
    assert_eq!(script.sent(19), Vec::<String>::new());
    assert_eq!(script.sent(20), ["ops: [WARNING] 11 alerts: s00, s01, s02, s03, s04, …"]);
}

#[test]
fn what_is_over_within_the_first_wait_is_not_told() {
    let mut script = Script::new(0);
    script.fires("a", 0);
    script.is_over("a", 9);
    assert_eq!(script.sent(10), Vec::<String>::new());
    assert!(script.group.is_done(T + 10 * S));
}

#[test]
fn coming_back_soon_it_is_told_when_the_dedupe_window_is_over() {
    let mut script = Script::new(0);
    script.fires("a", 0);
    script.sent(10);
    script.is_over("a", 20);
    assert_eq!(script.sent(20), ["ops: [RESOLVED] a is busy"]);
    script.fires("a", 30);
    assert_eq!((script.sent(60), script.wakes_in(60)), (vec![], Some(310)));
    assert_eq!(script.sent(310), ["ops: [WARNING] a is busy"]);
}

#[test]
fn nobody_answers_so_the_next_is_told_and_an_acknowledgement_ends_that() {
    let mut script = Script::new(0);
    script.fires("a", 0);
    script.fires("b", 0);
    script.sent(10);
    let mut a = report("a", Severity::Warning, AlertStatus::Firing, T);
    a.acknowledged = true;
    script.report(a.clone(), 20);
    assert_eq!(script.sent(610), ["boss: [WARNING] b is busy"]);
    assert_eq!(script.sent(5_000), ["ops: [WARNING] 2 alerts: a, b", "boss: [WARNING] b is busy"]);
    a.alert.severity = Severity::Critical;
    script.report(a, 5_001);
    assert_eq!(script.sent(5_001), ["ops: [CRITICAL] 2 alerts: a, b"], "a worse severity is news");
}

#[test]
fn a_silence_holds_back_what_it_matches_and_ends_by_itself() {
    let mut script = Script::new(0);
    let matcher = Matcher { name: "service".into(), value: "a".into(), is_regex: false, is_equal: true };
    let silence = Silence {
        id: "s1".to_owned(),
        matchers: vec![matcher],
        starts_at: T,
        ends_at: T + 100 * S,
        ..Silence::default()
    };
    script.group.set_silences(vec![silence].into());
    script.fires("a", 0);
    script.fires("b", 0);
    assert_eq!(script.sent(10), ["ops: [WARNING] b is busy"]);
    let why = script.group.explain("a", T + 20 * S);
    assert_eq!(why[0], "ops: not told: silence s1 holds until 2023-11-14T22:15:00Z");
    assert_eq!(script.wakes_in(20), Some(100));
    assert_eq!(script.sent(100), ["ops: [WARNING] 2 alerts: a, b"]);
}

#[test]
fn who_outlives_its_cause_has_time_to_come_back() {
    let mut script = Script::new(0);
    let mut a = report("a", Severity::Warning, AlertStatus::Firing, T);
    a.suppressed = true;
    script.report(a.clone(), 0);
    assert_eq!(script.sent(100), Vec::<String>::new());
    a.suppressed = false;
    script.report(a, 100);
    assert_eq!((script.sent(129), script.wakes_in(129)), (vec![], Some(130)));
    assert_eq!(script.sent(130), ["ops: [WARNING] a is busy"]);
}

#[test]
fn after_days_without_an_answer_one_message_says_how_things_are() {
    let mut script = Script::new(60);
    script.fires("a", 0);
    let first = script.group.take_due(T + 10 * S).remove(0);
    for day in 1..=3u64 {
        let at = day * 86_400;
        script.fires("b", at);
        script.is_over("b", at + 600);
        assert!(
            script.sent(at + 600).iter().all(|sent| sent.starts_with("boss")),
            "nothing overtakes what is on its way"
        );
    }
    script.is_over("a", 300_000);
    script.fires("c", 300_001);
    assert_eq!(script.group.unanswered(), std::slice::from_ref(&first), "a new run sends it again, by the same key");
    script.group.delivered(first.receiver, &Ok(String::new()), T + 300_100 * S);
    let due = script.group.take_due(T + 300_100 * S).remove(0);
    assert_eq!(due.message.title(), "[WARNING] 1 firing, 1 resolved: c, a");
    assert_eq!(due.message.rest().unwrap(), "3 more came and went meanwhile");
}

#[test]
fn more_than_a_group_can_hold_are_counted() {
    let mut script = Script::new(0);
    (0..MAX_ENTRIES + 5).for_each(|n| script.fires(&format!("s{n:05}"), 0));
    let due = script.group.take_due(T + 10 * S).remove(0);
    assert_eq!((due.message.firing, due.message.alerts.len()), (MAX_ENTRIES + 5, LISTED));
    assert!(serde_json::to_string(&due.message).unwrap().len() < 64 * 1024);
    assert!(serde_json::to_string(&script.group).unwrap().len() < 1_500_000, "it fits into one workflow input");
    script.group.delivered(0, &Ok(String::new()), T + 11 * S);
    (0..MAX_ENTRIES + 5).for_each(|n| script.is_over(&format!("s{n:05}"), 20));
    let due = script.group.take_due(T + 20 * S).remove(0);
    assert_eq!((due.message.status, due.message.resolved), (AlertStatus::Resolved, MAX_ENTRIES));
}

const SERVICES: [&str; 3] = ["a", "b", "c"];
const WORSE: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

#[derive(Debug, Clone)]
enum Step {
    Fires(usize, usize),
    IsOver(usize),
    Suppressed(usize, bool),
    Acknowledged(usize),
    Silenced(usize, u64),
    Moved(usize),
    Answered(bool),
    Restarted,
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let which = 0..SERVICES.len();
    let step = prop_oneof![
        3 => (which.clone(), 0..WORSE.len()).prop_map(|(which, how)| Step::Fires(which, how)),
        2 => which.clone().prop_map(Step::IsOver),
        1 => (which.clone(), any::<bool>()).prop_map(|(which, on)| Step::Suppressed(which, on)),
        1 => which.clone().prop_map(Step::Acknowledged),
        1 => (which.clone(), 0u64..1_000).prop_map(|(which, length)| Step::Silenced(which, length)),
        1 => which.prop_map(Step::Moved),
        3 => any::<bool>().prop_map(Step::Answered),
        1 => Just(Step::Restarted),
        2 => Just(Step::Wait),
    ];
    prop::collection::vec((0u64..400, step), 0..80)
}

/// What a receiver can know: for each alert, when it heard last that it fires, how bad, and whether it still does.
#[derive(Default)]
struct Known {
    alerts: BTreeMap<String, (u64, Severity, bool)>,
    last_at: Option<u64>,
}

impl Known {
    /// Takes in a message as its receiver does, and checks it against all that the receiver knows.
    fn hear(&mut self, message: &Message, now: u64, interval: u64) {
        let rested = self.last_at.is_none_or(|at| now - at >= interval * S);
        assert!(rested, "two messages within a group_interval");
        let repeat = self.last_at.is_some_and(|at| now - at >= 3_600 * S);
        self.last_at = Some(now);
        assert_eq!(message.truncated(), 0);
        let mut news = false;
        for alert in &message.alerts {
            let (print, severity) = (alert.alert.fingerprint.clone(), alert.alert.severity);
            let before = self.alerts.get(&print).copied();
            match (alert.status, before) {
                (AlertStatus::Firing, Some((at, low, fires))) => {
                    assert!(fires || now - at >= 300 * S, "told again within the dedupe window");
                    news |= !fires || severity > low;
                }
                (AlertStatus::Firing, None) => news = true,
                (AlertStatus::Resolved, Some((.., fires))) => {
                    assert!(fires, "told to be over twice");
                    news = true;
                }
                (AlertStatus::Resolved, None) => panic!("told to be over, and never that it fired"),
            }
            let fires = alert.status == AlertStatus::Firing;
            let at = if fires { now } else { before.map_or(now, |(at, ..)| at) };
            self.alerts.insert(print, (at, severity, fires));
        }
        assert!(news || repeat, "a message without news before its time");
        assert_eq!(message.repeated, !news);
    }
}

/// A random incident script, with all that its receivers hear.
struct Model {
    script: Script,
    reports: Vec<Report>,
    known: Vec<Known>,
    flying: Vec<usize>,
    keys: BTreeSet<String>,
    now: u64,
}

impl Model {
    fn new(interval: u64) -> Self {
        let reports = SERVICES.map(|service| report(service, Severity::Warning, AlertStatus::Resolved, T));
        Self {
            script: Script::new(interval),
            reports: reports.into(),
            known: vec![Known::default(), Known::default()],
            flying: Vec::new(),
            keys: BTreeSet::new(),
            now: 0,
        }
    }

    fn say(&mut self, which: usize, change: impl FnOnce(&mut Report, u64)) {
        change(&mut self.reports[which], T + self.now * S);
        self.script.report(self.reports[which].clone(), self.now);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Fires(which, how) => self.say(which, |report, now| {
                if report.status == AlertStatus::Resolved {
                    report.alert.starts_at = now;
                }
                (report.status, report.ends_at, report.alert.severity) = (AlertStatus::Firing, None, WORSE[how]);
            }),
            Step::IsOver(which) => self.say(which, |report, now| {
                (report.status, report.ends_at) = (AlertStatus::Resolved, Some(now));
                report.acknowledged = false;
            }),
            Step::Suppressed(which, on) => self.say(which, |report, _| report.suppressed = on),
            Step::Acknowledged(which) => {
                self.say(which, |report, _| report.acknowledged = report.status == AlertStatus::Firing);
            }
            Step::Silenced(which, length) => {
                self.say(which, |report, now| report.silenced_until = Some(now + length * S));
            }
            Step::Moved(which) => self.say(which, |report, _| report.moved = !report.moved),
            Step::Answered(well) => self.answer(&if well { Ok("200".to_owned()) } else { Err("gone".to_owned()) }),
            Step::Restarted => {
                let saved = serde_json::to_string(&self.script.group).unwrap();
                self.script.group = serde_json::from_str(&saved).unwrap();
                let unanswered = self.script.group.unanswered();
                assert!(unanswered.iter().all(|due| self.keys.contains(&due.message.key)), "the same key as before");
                assert_eq!(unanswered.len(), self.flying.len());
            }
            Step::Wait => {}
        }
        self.send();
    }

    fn answer(&mut self, outcome: &Result<String, String>) {
        for receiver in self.flying.drain(..) {
            self.script.group.delivered(receiver, outcome, T + self.now * S);
        }
    }

    fn send(&mut self) {
        let now = T + self.now * S;
        for due in self.script.group.take_due(now) {
            assert!(!self.flying.contains(&due.receiver), "one message at a time");
            assert!(self.keys.insert(due.message.key.clone()), "each message has a key of its own");
            for alert in due.message.alerts.iter().filter(|alert| alert.status == AlertStatus::Firing) {
                let report = self.reports.iter().find(|own| own.alert.fingerprint == alert.alert.fingerprint).unwrap();
                let silenced = report.silenced_until.is_some_and(|until| until > now);
                assert!(!report.suppressed && !silenced && !report.moved, "told in spite of a cause or a silence");
            }
            self.known[due.receiver].hear(&due.message, now, self.script.interval);
            self.flying.push(due.receiver);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever happens, in whatever order: what each receiver hears makes sense, in itself and by the rules, and nobody who
    /// heard that an alert fires is left without its end.
    #[test]
    fn every_script_of_incidents_ends_well(steps in steps(), interval in prop_oneof![Just(0u64), Just(60), Just(300)]) {
        let mut model = Model::new(interval);
        for (wait, step) in steps {
            // As the workflow does: whatever is due by itself meanwhile happens at its time.
            let until = model.now + wait;
            while let Some(wake) = model.script.wakes_in(model.now).filter(|wake| *wake <= until) {
                model.now = wake.max(model.now + 1);
                model.send();
            }
            model.now = model.now.max(until);
            model.step(&step);
        }
        for which in 0..SERVICES.len() {
            model.step(&Step::IsOver(which));
        }
        for _ in 0..8 {
            model.answer(&Ok(String::new()));
            model.now += 400;
            model.send();
        }
        prop_assert!(model.flying.is_empty() && model.script.group.is_done(T + model.now * S));
        for known in &model.known {
            prop_assert!(known.alerts.values().all(|(.., fires)| !fires), "told firing, and not told that it is over");
        }
    }
}
