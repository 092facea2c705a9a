//! One `[[alerts.rule]]`: a rule of its own, or what is to be otherwise about a default rule of that name.

use std::collections::BTreeMap;
use std::time::Duration;

use dixmgr_alerting::{defaults, fold, template};
use dixmgr_model::{AlertKind, Comparison, Rule, Selector, ServiceSpec, Severity, Signal, size};

use super::super::check;
use super::super::fault::Located;
use super::super::reader::TableReader;
use super::super::resolve::Draft;
use super::super::written::checked_map;
use super::delivery::{known, with_log};
use super::position;

/// Most `*` of one pattern: each multiplies the ways in which it can fit.
const MAX_STARS: usize = 4;

/// Labels that every alert has of itself.
const OWN_LABELS: [&str; 5] = ["alertname", "service", "type", "chain", "severity"];

/// What a rule may refer to.
pub(super) struct Surroundings<'a> {
    /// Names of the channels.
    pub(super) channels: &'a [String],
    /// Whether dixmgr acts, so that there may be a remedy.
    pub(super) acts: bool,
    /// The services.
    pub(super) drafts: &'a [Draft],
}

/// Reads one table into `rules`; answers its name.
pub(super) fn read(
    mut table: TableReader<'_>,
    rules: &mut Vec<Rule>,
    around: &Surroundings<'_>,
) -> Option<Located<String>> {
    if !table.has("name") {
        table.faults().report(table.place(), "has no name", "write name = \"…\"");
    }
    let name = table.parsed("name", check::service_name);
    if let Some(name) = &name {
        table.rename(format!("alerts.rule[{}]", name.value));
    }
    let found = name.as_ref().and_then(|name| position(rules, &name.value));
    let enabled = table.boolean("enabled").is_none_or(|enabled| enabled.value);
    let base = found.map(|index| rules[index].clone());
    let begun = begin(&table, name.as_ref().map(|name| name.value.clone()).unwrap_or_default(), base);
    let usable = begun.is_some();
    // All keys are looked at, whether or not anything can come of it.
    let mut rule = begun.unwrap_or_else(|| fresh(String::new(), Signal::Down));
    judgement(&table, &mut rule);
    timing(&table, &mut rule, around.acts);
    texts(&table, &mut rule);
    rule.services = selector(&table, around.drafts);
    own_is_of_no_service(&table, &rule);
    let named = table.strings("channels").map(|list| known(list.value, around.channels, table.faults()));
    rule.receivers = named.map(with_log);
    table.finish();
    match found {
        Some(index) if !enabled => drop(rules.remove(index)),
        Some(index) if usable => rules[index] = rule,
        None if usable && enabled => rules.push(rule),
        _ => {}
    }
    name
}

/// The rule that the table changes, or a new one for its signal.
fn begin(table: &TableReader<'_>, name: String, base: Option<Rule>) -> Option<Rule> {
    let signal = table.parsed("signal", |text| one_of(text, Signal::ALL, Signal::name)).map(|signal| signal.value);
    match (base, signal) {
        (Some(base), signal) => Some(Rule { signal: signal.unwrap_or(base.signal), ..base }),
        (None, Some(signal)) => Some(fresh(name, signal)),
        (None, None) => {
            if !table.has("signal") {
                let advice = format!("write signal = one of {}", list(Signal::ALL, Signal::name));
                table.faults().report(table.place(), "has no signal", advice);
            }
            None
        }
    }
}

/// What is compared with what, and what that is called.
fn judgement(table: &TableReader<'_>, rule: &mut Rule) {
    let threshold = quantity(table, "threshold");
    if rule.threshold.is_nan() && threshold.is_none() && !table.has("threshold") {
        table.faults().report(table.place(), "has no threshold", "write threshold = …");
    }
    set(&mut rule.threshold, threshold);
    set(&mut rule.comparison, table.parsed("comparison", |text| one_of(text, Comparison::ALL, Comparison::name)));
    set(&mut rule.kind, table.parsed("type", |text| one_of(text, AlertKind::ALL, AlertKind::name)));
    set(&mut rule.severity, table.parsed("severity", |text| one_of(text, Severity::ALL, Severity::name)));
    if let Some(clear) = quantity(table, "clear_threshold") {
        rule.clear_threshold = Some(clear.value);
    }
    clear_threshold(table, rule);
}

fn timing(table: &TableReader<'_>, rule: &mut Rule, acts: bool) {
    set(&mut rule.hold, table.wait("for"));
    set(&mut rule.keep_firing_for, table.wait("keep_firing_for"));
    set(&mut rule.window, table.duration("window"));
    // Who only watches waits for no remedy.
    if let Some(remedy) = table.wait("after_remedy").filter(|_| acts) {
        rule.hold = rule.hold.max(remedy.value);
    }
}

fn texts(table: &TableReader<'_>, rule: &mut Rule) {
    let labels = labels(table);
    rule.annotations.extend(annotations(table, &labels));
    if !labels.is_empty() {
        rule.labels = labels;
    }
}

/// A rule of the user's own, before its keys are read.
fn fresh(name: String, signal: Signal) -> Rule {
    let kind = kind_of(signal);
    Rule {
        name,
        kind,
        signal,
        comparison: comparison(signal),
        threshold: if signal.is_flag() { 1.0 } else { f64::NAN },
        clear_threshold: None,
        hold: Duration::ZERO,
        keep_firing_for: Duration::ZERO,
        window: defaults::RESTART_WINDOW,
        severity: Severity::Warning,
        labels: BTreeMap::new(),
        annotations: defaults::annotations(kind, signal),
        services: Selector::default(),
        receivers: None,
    }
}

/// What is trouble unless the rule says otherwise.
fn comparison(signal: Signal) -> Comparison {
    match signal {
        Signal::DiskFree | Signal::MemoryForecast | Signal::DiskForecast => Comparison::Below,
        signal if signal.is_flag() || signal == Signal::Undelivered => Comparison::AtLeast,
        _ => Comparison::Above,
    }
}

/// What trouble with a signal is called unless the rule says otherwise.
fn kind_of(signal: Signal) -> AlertKind {
    match signal {
        Signal::Down => AlertKind::ServiceDown,
        Signal::Cpu => AlertKind::HighCpu,
        Signal::Memory => AlertKind::HighMemory,
        Signal::Disk | Signal::DiskRead | Signal::DiskWrite => AlertKind::HighDiskIo,
        Signal::Restarts => AlertKind::RestartLoop,
        Signal::Stalled => AlertKind::SyncStalled,
        Signal::Peers => AlertKind::LowPeerCount,
        Signal::Unhealthy => AlertKind::HealthCheckFailed,
        Signal::ResponseTime => AlertKind::ServiceDegraded,
        Signal::DependencyWait => AlertKind::DependencyTimeout,
        Signal::CpuDeviation | Signal::MemoryDeviation | Signal::ResponseTimeDeviation | Signal::RestartDeviation => {
            AlertKind::Unusual
        }
        Signal::MemoryForecast | Signal::DiskForecast => AlertKind::LimitAhead,
        Signal::Undelivered => AlertKind::NotificationFailed,
        Signal::EngineLatency => AlertKind::EngineSlow,
        Signal::DiskFree => AlertKind::DiskFilling,
        Signal::LookDelay => AlertKind::ProbesBehind,
    }
}

/// A clear threshold lies on the good side of the threshold, or the alert would be over while it begins.
fn clear_threshold(table: &TableReader<'_>, rule: &Rule) {
    let Some(clear) = rule.clear_threshold.filter(|_| table.has("clear_threshold")) else { return };
    let upwards = matches!(rule.comparison, Comparison::Above | Comparison::AtLeast);
    let good = if upwards { clear <= rule.threshold } else { clear >= rule.threshold };
    if !good {
        let advice = format!("write a value on the other side of {}", rule.threshold);
        table.faults().report(table.place(), "clear_threshold lies on the bad side of threshold", advice);
    }
}

/// A number, or for bytes a size such as "2GiB".
fn quantity(table: &TableReader<'_>, key: &'static str) -> Option<Located<f64>> {
    if !table.is_string(key) {
        return table.number(key, -1e18..=1e18);
    }
    let bytes = table.parsed(key, |text| size::parse(text).map_err(|error| (error.to_string(), String::new())))?;
    Some(Located { value: bytes.value as f64, place: bytes.place })
}

fn labels(table: &TableReader<'_>) -> BTreeMap<String, String> {
    let name = |name: &str| {
        if OWN_LABELS.contains(&name) {
            return Err((format!("{name:?} is a label that every alert has"), "choose another name".to_owned()));
        }
        check::label_name(name)
    };
    checked_map(table, "labels", name, |text| check::label(text).map(drop))
}

fn annotations(table: &TableReader<'_>, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (name, text) in table.map("annotations").unwrap_or_default() {
        let own = |asked: &&str| !fold::TEMPLATE_NAMES.contains(asked) && !labels.contains_key(*asked);
        let unknown = template::names(&text.value).find(own).map(str::to_owned);
        match unknown {
            Some(unknown) => {
                let advice = format!("a text may ask for {}, and the rule's labels", fold::TEMPLATE_NAMES.join(", "));
                table.faults().report(&text.place, format!("there is nothing called {unknown:?}"), advice);
            }
            None => drop(texts.insert(name, text.value)),
        }
    }
    texts
}

fn selector(table: &TableReader<'_>, drafts: &[Draft]) -> Selector {
    let read = |key| table.strings(key).map(|list| list.value).unwrap_or_default();
    let (names, kinds, chains) = (read("services"), read("types"), read("chains"));
    for pattern in names.iter().chain(&kinds).chain(&chains) {
        if pattern.value.matches('*').count() > MAX_STARS || pattern.value.len() > 100 {
            let advice = format!("write at most 100 characters with {MAX_STARS} times *");
            table.faults().report(&pattern.place, "is too long a pattern", advice);
            return Selector::default();
        }
    }
    let texts = |list: Vec<Located<String>>| list.into_iter().map(|text| text.value).collect::<Vec<_>>();
    let first = names.first().or(kinds.first()).or(chains.first()).map(|text| text.place.clone());
    let selector = Selector { names: texts(names), kinds: texts(kinds), chains: texts(chains) };
    if let Some(place) = first
        && !drafts.iter().any(|draft| selects(&selector, &draft.spec))
    {
        table.faults().report(&place, "no service is like that", "the rule would never look at anything");
    }
    selector
}

/// What dixmgr says of itself is the same whatever services there are.
fn own_is_of_no_service(table: &TableReader<'_>, rule: &Rule) {
    let selects = ["services", "types", "chains"].into_iter().find(|key| table.has(key));
    if let Some(key) = selects.filter(|_| rule.signal.is_own()) {
        let problem = format!("{key} has no meaning for {:?}, which is of dixmgr itself", rule.signal.name());
        table.faults().report(table.place(), problem, format!("leave {key} out"));
    }
}

/// Replicas have names of their own.
fn selects(selector: &Selector, spec: &ServiceSpec) -> bool {
    let count = spec.replicas.map_or(0, |replicas| replicas.count);
    let replica = |index| ServiceSpec { name: format!("{}-{index}", spec.name), ..spec.clone() };
    selector.selects(spec) || (0..count).any(|index| selector.selects(&replica(index)))
}

fn set<T>(place: &mut T, written: Option<Located<T>>) {
    if let Some(written) = written {
        *place = written.value;
    }
}

fn one_of<T: Copy, const N: usize>(text: &str, all: [T; N], name: fn(T) -> &'static str) -> Result<T, check::Wrong> {
    let found = all.into_iter().find(|item| name(*item) == text);
    found.ok_or_else(|| (format!("{text:?} is not known"), format!("write one of {}", list(all, name))))
}

fn list<T: Copy, const N: usize>(all: [T; N], name: fn(T) -> &'static str) -> String {
    all.map(|item| format!("\"{}\"", name(item))).join(", ")
}
