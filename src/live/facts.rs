//! A configuration as facts: for each subject (a service, a rule, …) what is said of it, in words that may be shown. Two configurations are
//! compared fact by fact. Patterns name every field, so that a new one cannot be forgotten here.

use std::collections::BTreeMap;
use std::time::Duration;

use dixmgr_activities::history::Retention;
use dixmgr_activities::notify::dead_man::DeadMan;
use dixmgr_model::{
    Delivery, Labels, Maintenance, Matcher, Probes, Receiver, RestartPolicy, Route, Rule, Selector, ServiceSpec,
    Target, duration,
};

use super::meaning::Meaning;

/// What a fact is about; the order is that of summaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Service,
    Rule,
    Channel,
    Route,
    Maintenance,
    DeadMan,
    /// How alerts are told that no route is for.
    Delivery,
    /// The daemon itself.
    Daemon,
}

/// A subject: its kind, and its name where there may be several.
pub(super) type Subject = (Kind, String);

/// What is said of one subject, by the keys of the configuration.
pub(super) type Facts = BTreeMap<&'static str, Fact>;

/// One thing that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    /// It may be shown.
    Shown(String),
    /// It may hold a secret: only whether it changed may be told.
    Hidden(String),
}

impl Kind {
    /// One of them, in words.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Rule => "rule",
            Self::Channel => "channel",
            Self::Route => "route",
            Self::Maintenance => "maintenance window",
            Self::DeadMan => "dead man",
            Self::Delivery => "alerts",
            Self::Daemon => "",
        }
    }
}

/// All subjects but the services, which are many and compared one by one.
pub(super) fn others(meaning: &Meaning) -> BTreeMap<Subject, Facts> {
    let (policy, settings) = (&meaning.alerts.policy, &meaning.settings);
    let mut all = BTreeMap::new();
    all.extend(policy.rules.iter().map(|own| ((Kind::Rule, own.name.clone()), rule(own))));
    all.extend(policy.routes.iter().map(|own| ((Kind::Route, own.delivery.route.clone()), route(own))));
    all.extend(policy.maintenance.iter().map(|own| ((Kind::Maintenance, own.name.clone()), maintenance(own))));
    let channel = |kind| Facts::from([("settings", Fact::Hidden(kind))]);
    let channels = meaning.alerts.channels.iter();
    all.extend(channels.map(|own| ((Kind::Channel, own.name.clone()), channel(format!("{:?}", own.kind)))));
    if let Some(DeadMan { url, interval }) = &meaning.alerts.dead_man {
        let facts = [("url", Fact::Hidden(url.clone())), ("interval", time(*interval))];
        all.insert((Kind::DeadMan, String::new()), facts.into());
    }
    let mut default = delivery(&policy.delivery);
    let routes = policy.routes.iter().map(|route| route.delivery.route.as_str());
    default.insert("routes", shown(routes.collect::<Vec<_>>().join(", ")));
    all.insert((Kind::Delivery, String::new()), default);
    let mut daemon = Facts::new();
    if let Some(api) = &settings.api {
        daemon.insert("api.token", shown(api.token.clone().unwrap_or_default()));
        daemon.insert("api.hosts", shown(api.hosts.join(", ")));
    }
    if let Some(history) = &settings.history {
        daemon.extend(retention(history.retention));
    }
    all.insert((Kind::Daemon, String::new()), daemon);
    all
}

/// What is said of a service.
pub(super) fn service(spec: &ServiceSpec) -> Facts {
    let ServiceSpec { name: _, workflow_id: _, ready_signal: _, dependents: _, .. } = spec;
    let ServiceSpec { labels, target, needs, dependency_timeout, probes, restart, operation_timeout, replicas, .. } =
        spec;
    let Labels { kind, chain } = labels;
    let Probes { interval, resources, http, sync, failure_threshold } = probes;
    let needs: Vec<&str> = needs.iter().map(|need| need.service.as_str()).collect();
    let mut facts = Facts::from([
        ("type", shown(kind)),
        ("chain", shown(chain)),
        ("needs", shown(needs.join(", "))),
        ("dependency_timeout", time(*dependency_timeout)),
        ("operation_timeout", time(*operation_timeout)),
        ("interval", time(*interval)),
        ("resources", shown(resources)),
        ("http", Fact::Hidden(format!("{http:?}"))),
        ("sync", Fact::Hidden(format!("{sync:?}"))),
        ("failure_threshold", shown(failure_threshold)),
    ]);
    match target {
        Target::Unit(unit) => facts.insert("unit", shown(unit)),
        Target::Command(command) => facts.insert("command", Fact::Hidden(format!("{command:?}"))),
    };
    if let Some(replicas) = replicas {
        facts.extend([("replicas", shown(replicas.count)), ("quorum", shown(replicas.quorum))]);
    }
    facts.extend(policy(restart));
    facts
}

fn policy(restart: &RestartPolicy) -> [(&'static str, Fact); 9] {
    let RestartPolicy {
        max_restarts,
        window,
        initial_backoff,
        max_backoff,
        backoff_coefficient,
        jitter,
        stable_after,
        quarantine_retry,
        on_unhealthy,
    } = restart;
    [
        ("restart.max_restarts", shown(max_restarts)),
        ("restart.window", time(*window)),
        ("restart.initial_backoff", time(*initial_backoff)),
        ("restart.max_backoff", time(*max_backoff)),
        ("restart.backoff_coefficient", shown(backoff_coefficient)),
        ("restart.jitter", shown(jitter)),
        ("restart.stable_after", time(*stable_after)),
        ("restart.quarantine_retry", time(*quarantine_retry)),
        ("restart.on_unhealthy", shown(on_unhealthy)),
    ]
}

fn rule(rule: &Rule) -> Facts {
    let Rule { name: _, kind, signal, comparison, threshold, clear_threshold, hold, keep_firing_for, .. } = rule;
    let Rule { window, severity, labels, annotations, services, receivers: told, .. } = rule;
    let Selector { names, kinds, chains } = services;
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Facts::from([
        ("type", shown(kind)),
        ("signal", shown(signal.name())),
        ("comparison", shown(comparison.name())),
        ("threshold", shown(threshold)),
        ("clear_threshold", shown(clear_threshold.map(|value| value.to_string()).unwrap_or_default())),
        ("for", time(*hold)),
        ("keep_firing_for", time(*keep_firing_for)),
        ("window", time(*window)),
        ("severity", shown(severity)),
        ("labels", shown(labels.join(", "))),
        ("annotations", Fact::Hidden(format!("{annotations:?}"))),
        ("services", shown(names.join(", "))),
        ("types", shown(kinds.join(", "))),
        ("chains", shown(chains.join(", "))),
        ("channels", shown(told.as_deref().map(receivers).unwrap_or_default())),
    ])
}

fn route(route: &Route) -> Facts {
    let mut facts = delivery(&route.delivery);
    facts.insert("matchers", matchers(&route.matchers));
    facts
}

fn delivery(delivery: &Delivery) -> Facts {
    let Delivery { receivers: told, group_wait, repeat_interval, dedupe_window, route: _, group_by, group_interval } =
        delivery;
    Facts::from([
        ("channels", shown(receivers(told))),
        ("group_wait", time(*group_wait)),
        ("repeat_interval", time(*repeat_interval)),
        ("dedupe_window", time(*dedupe_window)),
        ("group_by", shown(group_by.join(", "))),
        ("group_interval", time(*group_interval)),
    ])
}

fn maintenance(window: &Maintenance) -> Facts {
    let Maintenance { name: _, matchers: fits, schedule, duration: lasts, time_zone } = window;
    Facts::from([
        ("matchers", matchers(fits)),
        ("schedule", shown(schedule)),
        ("duration", time(*lasts)),
        ("time_zone", shown(time_zone)),
    ])
}

fn retention(retention: Retention) -> [(&'static str, Fact); 7] {
    let Retention { events, minutes, hours, days, incidents, actions, alerts } = retention;
    [
        ("history.events", time(events)),
        ("history.minutes", time(minutes)),
        ("history.hours", time(hours)),
        ("history.days", time(days)),
        ("history.incidents", time(incidents)),
        ("history.actions", time(actions)),
        ("history.alerts", time(alerts)),
    ]
}

fn receivers(receivers: &[Receiver]) -> String {
    let words = receivers.iter().map(|Receiver { channel, after }| match *after {
        Duration::ZERO => channel.clone(),
        after => format!("{channel} after {}", duration::format(after)),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn matchers(matchers: &[Matcher]) -> Fact {
    let words = matchers.iter().map(|Matcher { name, value, is_regex, is_equal }| {
        let sign = match (is_equal, is_regex) {
            (true, false) => "=",
            (true, true) => "=~",
            (false, false) => "!=",
            (false, true) => "!~",
        };
        format!("{name}{sign}{value}")
    });
    shown(words.collect::<Vec<_>>().join(", "))
}

#[allow(clippy::needless_pass_by_value, reason = "texts and numbers, owned or not")]
fn shown(value: impl ToString) -> Fact {
    Fact::Shown(value.to_string())
}

fn time(time: Duration) -> Fact {
    shown(duration::format(time))
}
