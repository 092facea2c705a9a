//! `dixmgr alerts backtest`: the rules of a configuration over the stored health history, and when they would have fired.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dixmgr_activities::disk::Disk;
use dixmgr_activities::history::read::{Page, Period, Query, Step};
use dixmgr_activities::history::{HistoryError, Place};
use dixmgr_alerting::backtest::{PastFiring, PastLook, judge};
use dixmgr_alerting::beyond;
use dixmgr_alerting::channel::rfc3339;
use dixmgr_alerting::own;
use dixmgr_model::{Rule, ServiceSpec, Signal, duration};
use serde_json::json;

use crate::config::Config;
use crate::progress::Progress;
use crate::workflow::WorkflowError;
use crate::workflow::output::Output;
use crate::workflow::table;

/// Length of the periods that are judged; older ones are hours.
const MINUTE: u64 = 60_000;
/// Periods that may be missing before the time between two of them counts as not seen.
const MISSED: u64 = 3;
/// Rows that are read of one service at most: a month of minutes.
const ROWS: u32 = 50_000;

/// Signals that the history keeps, or that are remembered beside it.
const KEPT: [Signal; 7] = [
    Signal::Down,
    Signal::Restarts,
    Signal::Cpu,
    Signal::Memory,
    Signal::ResponseTime,
    Signal::DiskFree,
    Signal::DiskForecast,
];
/// Length of the periods by which it is judged what is usual.
const HOUR: u64 = 60 * MINUTE;

/// Says when the rules of `config` would have fired within the time before now.
///
/// # Errors
/// The history cannot be read.
pub(crate) fn run(
    config: &Config,
    history: &Place,
    disk: &Disk,
    since: Duration,
    json: bool,
) -> Result<(), WorkflowError> {
    let failed = |error: HistoryError| WorkflowError::Failed(error.to_string());
    let query = Query::open(history).map_err(failed)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let from = millis(now.saturating_sub(since));
    let mut found: Vec<(&str, PastFiring)> = Vec::new();
    let mut judged = 0;
    let (mut progress, all) = (Progress::of("services"), config.plan.services.len() as u64);
    for (spec, done) in config.plan.services.iter().zip(0..) {
        progress.is(done, all);
        if query.knows(&spec.name).map_err(failed)? {
            judged += 1;
            let firings = of_service(config, &query, spec, from, millis(now)).map_err(failed)?;
            found.extend(firings.into_iter().map(|firing| (spec.name.as_str(), firing)));
        }
    }
    drop(progress);
    found.extend(of_disk(config, disk, from).into_iter().map(|firing| (own::SERVICE, firing)));
    found.sort_by_key(|(_, firing)| firing.from);
    let mut out = Output::new(json);
    if out.is_json() {
        let rows: Vec<_> = found.iter().map(|(service, firing)| row_as_json(service, firing)).collect();
        out.value(&json!({ "services": judged, "unjudged_rules": unjudged(config), "firings": rows }))?;
        return out.flush();
    }
    print(&mut out, config, &found, judged)?;
    out.flush()
}

/// The rules about the disk of dixmgr's data, over the hours that are remembered of it.
fn of_disk(config: &Config, disk: &Disk, from: u64) -> Vec<PastFiring> {
    let looks: Vec<PastLook> = disk.looks().into_iter().filter(|look| look.at >= from).collect();
    judge(&own::policy(&config.alerts.policy, &[]), &own::spec(), &looks, &[])
}

fn of_service(
    config: &Config,
    query: &Query,
    spec: &ServiceSpec,
    from: u64,
    now: u64,
) -> Result<Vec<PastFiring>, HistoryError> {
    let minutes = query.periods(&spec.name, Step::Minute, from, now, ROWS)?;
    let fine_from = minutes.first().map_or(now, |first| first.start);
    let hours = query.periods(&spec.name, Step::Hour, from, fine_from, ROWS)?;
    let page = Page { service: Some(spec.name.clone()), since: from, limit: ROWS, ..Page::default() };
    let mut looks: Vec<PastLook> = Vec::new();
    for change in query.changes(&page)? {
        let value = match change.availability.as_str() {
            "up" => Some(0.0),
            "down" => Some(1.0),
            _ => None,
        };
        let longest_gap = MISSED * if change.at < fine_from { HOUR } else { MINUTE };
        looks.push(PastLook { at: change.at, signal: Signal::Down, value, longest_gap });
    }
    let periods = hours.iter().map(|hour| (hour, HOUR)).chain(minutes.iter().map(|minute| (minute, MINUTE)));
    periods.for_each(|(period, length)| looks.extend(of_period(period, length)));
    looks.extend(beyond(config, query, spec, from, now)?);
    looks.sort_by_key(|look| look.at);
    let restarts = query.restarts(&page)?;
    Ok(judge(&config.alerts.policy, spec, &looks, &restarts))
}

/// What was unusual, or ahead, at the end of each hour, by what was known then.
fn beyond(
    config: &Config,
    query: &Query,
    spec: &ServiceSpec,
    from: u64,
    now: u64,
) -> Result<Vec<PastLook>, HistoryError> {
    let policy = &config.alerts.policy;
    if !beyond::is_wanted(policy) {
        return Ok(Vec::new());
    }
    let (past, limit) =
        (query.past(&spec.name, from.saturating_sub(beyond::HORIZON), now)?, beyond::memory_limit(policy, spec));
    let judged = past.hours.iter().filter(|(start, _)| *start >= from);
    let looks = judged.flat_map(|(start, means)| {
        let signals = past.expected(*start, limit).signals(*means);
        signals.map(|(signal, value)| PastLook { at: start + HOUR, signal, value, longest_gap: MISSED * HOUR })
    });
    Ok(looks.collect())
}

/// What a period says at its end. Averages: a peak of a moment is no trouble that lasts.
fn of_period(period: &Period, length: u64) -> impl Iterator<Item = PastLook> {
    let down = match (period.up_ms, period.down_ms) {
        (0, 0) => None,
        (0, _) => Some(1.0),
        _ => Some(0.0),
    };
    let values = [
        (Signal::Down, down),
        (Signal::Cpu, period.cpu_avg),
        (Signal::Memory, period.memory_avg),
        (Signal::ResponseTime, period.response_avg),
    ];
    let (at, longest_gap) = (period.start + length, MISSED * length);
    let known = values.into_iter().filter(|(_, value)| value.is_some());
    known.map(move |(signal, value)| PastLook { at, signal, value, longest_gap })
}

fn print(out: &mut Output, config: &Config, found: &[(&str, PastFiring)], judged: usize) -> Result<(), WorkflowError> {
    let head = [("FIRED", false), ("SEVERITY", false), ("RULE", true), ("SERVICE", true), ("LASTED", false)];
    let rows: Vec<[String; 5]> = found
        .iter()
        .map(|(service, firing)| {
            let from = rfc3339(firing.from);
            [from, firing.severity.name().to_owned(), firing.rule.clone(), (*service).to_owned(), lasted(firing)]
        })
        .collect();
    for line in table::lines(head, &rows, out.width()) {
        out.line(&line)?;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, firing) in found {
        *counts.entry(&firing.rule).or_default() += 1;
    }
    out.line("")?;
    for (rule, count) in counts {
        out.line(&format!("{rule} would have fired {count} times"))?;
    }
    let (all, times) = (config.plan.services.len(), found.len());
    out.line(&format!("{times} in all, over the history of {judged} of {all} services"))?;
    let unjudged = unjudged(config);
    if !unjudged.is_empty() {
        out.line(&format!("not judged, since the history does not keep what they look at: {}", unjudged.join(", ")))?;
    }
    Ok(())
}

/// Rules whose signal the history does not keep.
fn unjudged(config: &Config) -> Vec<String> {
    let kept = |rule: &&Rule| KEPT.contains(&rule.signal) || beyond::SIGNALS.contains(&rule.signal);
    let rules = config.alerts.policy.rules.iter().filter(|rule| !kept(rule));
    rules.map(|rule| rule.name.clone()).collect()
}

fn row_as_json(service: &str, firing: &PastFiring) -> serde_json::Value {
    json!({
        "service": service,
        "rule": firing.rule,
        "severity": firing.severity,
        "fired_at": rfc3339(firing.from),
        "resolved_at": firing.until.map(rfc3339),
        "value": firing.value,
    })
}

fn lasted(firing: &PastFiring) -> String {
    let length = |until: u64| duration::format(Duration::from_millis(until.saturating_sub(firing.from)));
    firing.until.map_or_else(|| "goes on".to_owned(), length)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
