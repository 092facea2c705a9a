//! `[alerts]`: rules, channels, and who is told when.

mod channel;
mod maintenance;
mod rule;

use std::collections::BTreeSet;
use std::time::Duration;

use dixmgr_activities::notify::{Channel, ChannelKind, LOG, Webhook};
use dixmgr_alerting::defaults;
use dixmgr_model::{AlertPolicy, Delivery, Maintenance, Receiver, Rule};

use super::fault::{FaultSink, Located};
use super::reader::TableReader;
use super::resolve::Draft;
use super::suggest;

/// Wait before the first message, within which a remedy may help.
const GROUP_WAIT: Duration = Duration::from_secs(10);
const REPEAT_INTERVAL: Duration = Duration::from_hours(4);
const DEDUPE_WINDOW: Duration = Duration::from_mins(5);

/// Most channels and rules; each alert may be on its way to every one of the former.
const MAX_CHANNELS: usize = 32;
const MAX_RULES: usize = 200;
/// Most kinds of maintenance windows.
const MAX_MAINTENANCE: usize = 50;

/// What a file says about alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct Alerts {
    /// Rules, and who is told.
    pub policy: AlertPolicy,
    /// Where messages go.
    pub channels: Vec<Channel>,
}

/// What the command line says about alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFlags {
    /// `-alerts=false` switches all of it off.
    pub enabled: bool,
    /// `-slack-webhook`: one more channel, called `slack`.
    pub slack_webhook: Option<String>,
    /// `-webhook-url`: one more channel, called `webhook`.
    pub webhook_url: Option<String>,
}

impl Alerts {
    /// The default rules, told to the log.
    pub(super) fn usual(prefix: &str) -> Self {
        let delivery = Delivery {
            receivers: vec![receiver(LOG, Duration::ZERO)],
            group_wait: GROUP_WAIT,
            repeat_interval: REPEAT_INTERVAL,
            dedupe_window: DEDUPE_WINDOW,
        };
        let policy =
            AlertPolicy { rules: defaults::rules(), delivery, maintenance: Vec::new(), id_prefix: prefix.to_owned() };
        Self { policy, channels: vec![Channel { name: LOG.to_owned(), kind: ChannelKind::Log }] }
    }

    /// Puts the flags over the file: their channels are told of everything, in place of those of the same name.
    #[must_use]
    pub fn with(mut self, flags: &AlertFlags) -> Self {
        let slack = flags.slack_webhook.clone().map(|url| ("slack", ChannelKind::Slack { url }));
        let webhook = |url| ChannelKind::Webhook(Webhook { url, ..Webhook::default() });
        let webhook = flags.webhook_url.clone().map(|url| ("webhook", webhook(url)));
        for (name, kind) in slack.into_iter().chain(webhook) {
            self.channels.retain(|channel| channel.name != name);
            self.channels.push(Channel { name: name.to_owned(), kind });
            let rules = self.policy.rules.iter_mut().filter_map(|rule| rule.receivers.as_mut());
            for receivers in rules.chain([&mut self.policy.delivery.receivers]) {
                if !receivers.iter().any(|to| to.channel == name) {
                    receivers.push(receiver(name, Duration::ZERO));
                }
            }
        }
        if !flags.enabled {
            self.policy.rules.clear();
        }
        self
    }
}

/// Reads `[alerts]`. What rules select is checked against the services.
pub(super) fn read(
    root: &TableReader<'_>,
    prefix: &str,
    acts: bool,
    drafts: &[Draft],
    faults: &FaultSink<'_>,
) -> Alerts {
    let mut alerts = Alerts::usual(prefix);
    let Some(table) = root.table("alerts") else { return alerts };
    let delivery = &mut alerts.policy.delivery;
    for (key, wait) in [
        ("group_wait", &mut delivery.group_wait),
        ("repeat_interval", &mut delivery.repeat_interval),
        ("dedupe_window", &mut delivery.dedupe_window),
    ] {
        if let Some(written) = table.wait(key) {
            *wait = written.value;
        }
    }
    let enabled = table.boolean("enabled").is_none_or(|enabled| enabled.value);
    let channels = bounded(table.tables("channel"), MAX_CHANNELS, faults);
    alerts.channels.extend(channels.into_iter().filter_map(channel::read));
    channel::duplicates(&alerts.channels, table.place(), faults);
    let names: Vec<String> = alerts.channels.iter().map(|channel| channel.name.clone()).collect();
    receivers(&table, &mut alerts, &names);
    let around = rule::Surroundings { channels: &names, acts, drafts };
    let mut written = BTreeSet::new();
    for table in bounded(table.tables("rule"), MAX_RULES, faults) {
        if let Some(name) = rule::read(table, &mut alerts.policy.rules, &around)
            && !written.insert(name.value.clone())
        {
            faults.report(&name.place, format!("a second rule is called {:?}", name.value), "write each rule once");
        }
    }
    alerts.policy.maintenance = windows(&table);
    if !enabled {
        alerts.policy.rules.clear();
    }
    table.finish();
    alerts
}

/// The maintenance windows; each has a name of its own.
fn windows(table: &TableReader<'_>) -> Vec<Maintenance> {
    let mut found: Vec<Maintenance> = Vec::new();
    let tables = bounded(table.tables("maintenance"), MAX_MAINTENANCE, table.faults());
    for window in tables.into_iter().filter_map(maintenance::read) {
        if found.iter().any(|own| own.name == window.value.name) {
            let problem = format!("a second window is called {:?}", window.value.name);
            table.faults().report(&window.place, problem, "give each a name of its own");
        }
        found.push(window.value);
    }
    found
}

/// Who is told: the channels that are named, or all that are no escalation step; and the steps.
fn receivers(table: &TableReader<'_>, alerts: &mut Alerts, names: &[String]) {
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
    alerts.policy.delivery.receivers = with_log(chosen.unwrap_or_else(all));
    let at_once: Vec<String> = alerts.policy.delivery.receivers.iter().map(|to| to.channel.clone()).collect();
    alerts.policy.delivery.receivers.extend(steps.into_iter().filter(|step| !at_once.contains(&step.channel)));
}

/// The log is always told.
fn with_log(names: Vec<String>) -> Vec<Receiver> {
    let others = names.into_iter().filter(|name| name != LOG);
    std::iter::once(LOG.to_owned()).chain(others).map(|name| receiver(&name, Duration::ZERO)).collect()
}

fn receiver(channel: &str, after: Duration) -> Receiver {
    Receiver { channel: channel.to_owned(), after }
}

/// Those of the names that are channels.
fn known(written: Vec<Located<String>>, names: &[String], faults: &FaultSink<'_>) -> Vec<String> {
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

fn bounded<'a>(mut tables: Vec<TableReader<'a>>, most: usize, faults: &FaultSink<'_>) -> Vec<TableReader<'a>> {
    if let Some(table) = tables.get(most) {
        faults.report(table.place(), format!("is one too many; there may be {most}"), "leave some out");
    }
    tables.truncate(most);
    tables
}

/// The rule of this name.
fn position(rules: &[Rule], name: &str) -> Option<usize> {
    rules.iter().position(|rule| rule.name == name)
}
