//! `[alerts]`: rules, channels, and who is told when.

mod channel;
mod delivery;
mod email;
mod maintenance;
mod rule;

use std::collections::BTreeSet;
use std::time::Duration;

use dixmgr_activities::notify::dead_man::DeadMan;
use dixmgr_activities::notify::{Channel, ChannelKind, LOG, Webhook};
use dixmgr_activities::secret;
use dixmgr_alerting::{beyond, defaults};
use dixmgr_model::{AlertPolicy, Delivery, Maintenance, Rule};

use super::check;
use super::fault::FaultSink;
use super::reader::TableReader;
use super::resolve::Draft;

use delivery::receiver;

/// Most channels and rules; each alert may be on its way to every one of the former.
const MAX_CHANNELS: usize = 32;
const MAX_RULES: usize = 200;
/// Time between two words that all is well.
const DEAD_MAN_INTERVAL: Duration = Duration::from_mins(1);
/// Most kinds of maintenance windows.
const MAX_MAINTENANCE: usize = 50;

/// What a file says about alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct Alerts {
    /// Rules, and who is told.
    pub policy: AlertPolicy,
    /// Where messages go.
    pub channels: Vec<Channel>,
    /// Where it is said, and how often, that all is well.
    pub dead_man: Option<DeadMan>,
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
        let policy = AlertPolicy {
            rules: defaults::rules(),
            delivery: Delivery { receivers: vec![receiver(LOG, Duration::ZERO)], ..Delivery::default() },
            routes: Vec::new(),
            maintenance: Vec::new(),
            id_prefix: prefix.to_owned(),
        };
        Self { policy, channels: vec![Channel { name: LOG.to_owned(), kind: ChannelKind::Log }], dead_man: None }
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
    let enabled = table.boolean("enabled").is_none_or(|enabled| enabled.value);
    let commands = table.boolean("allow_commands").is_some_and(|allowed| allowed.value);
    let channels = bounded(table.tables("channel"), MAX_CHANNELS, faults);
    alerts.channels.extend(channels.into_iter().filter_map(|table| channel::read(table, commands)));
    channel::duplicates(&alerts.channels, table.place(), faults);
    let names: Vec<String> = alerts.channels.iter().map(|channel| channel.name.clone()).collect();
    delivery::read(&table, &mut alerts.policy, &names);
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
    alerts.dead_man = table.table("dead_man").and_then(|table| dead_man(&table));
    if table.boolean("beyond_thresholds").is_some_and(|wanted| !wanted.value) {
        alerts.policy.rules.retain(|rule| !beyond::is_beyond(rule.signal));
    }
    if !enabled {
        alerts.policy.rules.clear();
    }
    table.finish();
    alerts
}

/// Somebody outside who notices when dixmgr falls silent.
fn dead_man(table: &TableReader<'_>) -> Option<DeadMan> {
    let url =
        channel::required(table, "url", "write url = \"https://…\" or a reference such as \"env:NAME\"", |text| {
            if secret::is_reference(text) { Ok(text.to_owned()) } else { check::http_url(text) }
        });
    let interval = table.duration("interval").map_or(DEAD_MAN_INTERVAL, |interval| interval.value);
    table.finish();
    Some(DeadMan { url: url?, interval })
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
