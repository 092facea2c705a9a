//! Who is told of alerts, when, and what together: keys of `[alerts]` itself and of each `[[alerts.route]]`.

use std::collections::BTreeSet;
use std::time::Duration;

use dixmgr_activities::notify::LOG;
use dixmgr_alerting::route as alert_route;
use dixmgr_alerting::silence::{MAX_MATCHERS, check_form, text};
use dixmgr_model::{ALL_LABELS, AlertPolicy, Delivery, Matcher, Receiver, Route};

use super::super::check;
use super::super::fault::{FaultSink, Located};
use super::super::reader::TableReader;
use super::super::suggest;
use super::{MAX_CHANNELS, bounded};

/// Most routes; each alert may be compared with every one.
const MAX_ROUTES: usize = 100;

/// Reads how alerts are told into `policy`.
pub(super) fn read(table: &TableReader<'_>, policy: &mut AlertPolicy, names: &[String]) {
    timing(table, &mut policy.delivery);
    policy.delivery.receivers = receivers(table, names);
    let mut written = BTreeSet::new();
    for mut table in bounded(table.tables("route"), MAX_ROUTES, table.faults()) {
        let route = route(&mut table, &policy.delivery, names);
        if let Some(route) = &route
            && !written.insert(route.delivery.route.clone())
        {
            let problem = format!("a second route is called {:?}", route.delivery.route);
            table.faults().report(table.place(), problem, "give each route a name of its own");
        }
        policy.routes.extend(route);
        table.finish();
    }
}

/// One route: what it does not say is as for all others.
fn route(table: &mut TableReader<'_>, usual: &Delivery, names: &[String]) -> Option<Route> {
    if !table.has("name") {
        table.faults().report(table.place(), "has no name", "write name = \"…\"");
    }
    let name = table.parsed("name", check::service_name);
    if let Some(name) = &name {
        table.rename(format!("alerts.route[{}]", name.value));
    }
    let mut delivery = Delivery { route: name.as_ref()?.value.clone(), ..usual.clone() };
    timing(table, &mut delivery);
    if table.has("channels") || table.has("escalation") {
        delivery.receivers = receivers(table, names);
    }
    Some(Route { matchers: matchers(table)?, delivery })
}

/// The labels that an alert has to have.
fn matchers(table: &TableReader<'_>) -> Option<Vec<Matcher>> {
    let Some(written) = table.strings("matchers") else {
        if !table.has("matchers") {
            let advice = "write matchers = [\"severity=critical\"]; what is for all alerts stands in [alerts]";
            table.faults().report(table.place(), "has no matchers", advice);
        }
        return None;
    };
    let mut matchers = Vec::new();
    for one in written.value {
        match text::matcher(&one.value) {
            Ok(matcher) => matchers.push(matcher),
            Err(error) => table.faults().report(&one.place, error.to_string(), "see `[[alerts.route]]`"),
        }
    }
    match check_form(&matchers) {
        Ok(()) => Some(matchers),
        Err(error) => {
            let advice = format!("write 1 to {MAX_MATCHERS} matchers such as \"severity=critical\"");
            table.faults().report(&written.place, error.to_string(), advice);
            None
        }
    }
}

/// What is told together, and the times of its messages.
fn timing(table: &TableReader<'_>, delivery: &mut Delivery) {
    for (key, wait) in [
        ("group_wait", &mut delivery.group_wait),
        ("group_interval", &mut delivery.group_interval),
        ("repeat_interval", &mut delivery.repeat_interval),
        ("dedupe_window", &mut delivery.dedupe_window),
    ] {
        if let Some(written) = table.wait(key) {
            *wait = written.value;
        }
    }
    if let Some(names) = table.strings("group_by") {
        delivery.group_by = labels(names.value, table.faults());
    }
}

/// Names of labels to group by. An alert changes its severity and stays the same, so that is none.
fn labels(written: Vec<Located<String>>, faults: &FaultSink<'_>) -> Vec<String> {
    let mut labels = Vec::new();
    for name in written {
        let valid = name.value == ALL_LABELS || check::label_name(&name.value).is_ok();
        if name.value == alert_route::SEVERITY {
            faults.report(&name.place, "alerts cannot be grouped by severity", "write a route for it");
        } else if !valid || labels.contains(&name.value) {
            let problem = format!("{:?} is not the name of another label", name.value);
            faults.report(
                &name.place,
                problem,
                "name each label once, such as \"alertname\", or write \"...\" for all",
            );
        } else {
            labels.push(name.value);
        }
    }
    labels
}

/// Who is told: the channels that are named, or all that are no escalation step; and the steps.
fn receivers(table: &TableReader<'_>, names: &[String]) -> Vec<Receiver> {
    let chosen = table.strings("channels").map(|list| known(list.value, names, table.faults()));
    let mut steps: Vec<Receiver> = Vec::new();
    for step in bounded(table.tables("escalation"), MAX_CHANNELS, table.faults()) {
        let (after, channels) = (step.duration("after"), step.strings("channels"));
        match (after, channels) {
            (Some(after), Some(list)) => {
                let channels = known(list.value, names, table.faults());
                steps.extend(channels.iter().map(|name| receiver(name, after.value)));
            }
            (None, _) if !step.has("after") => {
                table.faults().report(step.place(), "has no after", "write after = \"15m\"");
            }
            (_, None) if !step.has("channels") => {
                table.faults().report(step.place(), "has no channels", "write channels = [\"…\"]");
            }
            _ => {}
        }
        step.finish();
    }
    let later: BTreeSet<&str> = steps.iter().map(|step| step.channel.as_str()).collect();
    let all = || names.iter().filter(|name| !later.contains(name.as_str())).cloned().collect();
    let mut receivers = with_log(chosen.unwrap_or_else(all));
    let at_once: Vec<String> = receivers.iter().map(|to| to.channel.clone()).collect();
    receivers.extend(steps.into_iter().filter(|step| !at_once.contains(&step.channel)));
    receivers
}

/// The log is always told.
pub(super) fn with_log(names: Vec<String>) -> Vec<Receiver> {
    let others = names.into_iter().filter(|name| name != LOG);
    std::iter::once(LOG.to_owned()).chain(others).map(|name| receiver(&name, Duration::ZERO)).collect()
}

pub(super) fn receiver(channel: &str, after: Duration) -> Receiver {
    Receiver { channel: channel.to_owned(), after }
}

/// Those of the names that are channels.
pub(super) fn known(written: Vec<Located<String>>, names: &[String], faults: &FaultSink<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in written {
        if found.contains(&name.value) {
            faults.report(&name.place, format!("{:?} is named twice", name.value), "name it once");
        } else if names.contains(&name.value) {
            found.push(name.value);
        } else {
            let near = suggest::nearest(&name.value, names.iter().map(String::as_str));
            let advice = near.map_or_else(
                || "write an [[alerts.channel]] with that name".to_owned(),
                |near| format!("did you mean {near:?}?"),
            );
            faults.report(&name.place, format!("no channel is called {:?}", name.value), advice);
        }
    }
    found
}
