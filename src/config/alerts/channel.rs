//! One `[[alerts.channel]]`. Whatever is secret has to be a reference: the file itself is none of the places for secrets.

use dixmgr_activities::notify::{Auth, Channel, ChannelKind, LOG, Webhook};

use dixmgr_alerting::channel::{ntfy, pagerduty, telegram};

use super::super::check;
use super::super::fault::{FaultSink, Place};
use super::super::reader::TableReader;
use super::super::written::checked_map;
use super::email;

/// Types of channels.
const KINDS: [&str; 7] = ["webhook", "slack", "pagerduty", "telegram", "ntfy", "email", "command"];

/// Most words of a command.
const MAX_WORDS: usize = 64;

/// Reads one channel; commands only where they are allowed. `None` when it cannot be used; what is wrong is reported.
pub(super) fn read(mut table: TableReader<'_>, allow_commands: bool) -> Option<Channel> {
    let name = required(&table, "name", "write name = \"…\"", check::service_name);
    if let Some(name) = &name {
        table.rename(format!("alerts.channel[{name}]"));
    }
    let kind = required(&table, "type", "write type = \"webhook\", \"slack\", …", kind);
    let kind = match kind? {
        "webhook" => webhook(&table).map(ChannelKind::Webhook),
        "pagerduty" => pagerduty_keys(&table),
        "telegram" => telegram_keys(&table),
        "ntfy" => ntfy_keys(&table),
        "email" => email::read(&table).map(ChannelKind::Email),
        "command" => command(&table, allow_commands),
        _ => required(&table, "url", "write url = \"env:NAME\"", check::secret_reference)
            .map(|url| ChannelKind::Slack { url }),
    };
    table.finish();
    Some(Channel { name: name?, kind: kind? })
}

/// Each channel has a name of its own.
pub(super) fn duplicates(channels: &[Channel], place: &Place, faults: &FaultSink<'_>) {
    for (index, channel) in channels.iter().enumerate() {
        if channels[..index].iter().any(|other| other.name == channel.name) {
            let problem = if channel.name == LOG {
                format!("a channel called {LOG:?} is there already: dixmgr's own log")
            } else {
                format!("a second channel is called {:?}", channel.name)
            };
            faults.report(place, problem, "give each channel a name of its own");
        }
    }
}

fn kind(text: &str) -> Result<&'static str, check::Wrong> {
    let known = KINDS.into_iter().find(|kind| *kind == text);
    let advice = || format!("write one of {}", KINDS.map(|kind| format!("\"{kind}\"")).join(", "));
    known.ok_or_else(|| (format!("{text:?} is not a type of channel"), advice()))
}

fn pagerduty_keys(table: &TableReader<'_>) -> Option<ChannelKind> {
    let url = server(table, pagerduty::URL);
    let key = required(table, "routing_key", "write routing_key = \"env:NAME\"", check::secret_reference);
    Some(ChannelKind::PagerDuty { url: url?, routing_key: key? })
}

fn telegram_keys(table: &TableReader<'_>) -> Option<ChannelKind> {
    let url = server(table, telegram::URL);
    let token = required(table, "token", "write token = \"env:NAME\"", check::secret_reference);
    let chat = required(table, "chat", "write chat = \"-1001234567890\" or \"@channel\"", check::not_empty);
    Some(ChannelKind::Telegram { url: url?, token: token?, chat: chat? })
}

fn ntfy_keys(table: &TableReader<'_>) -> Option<ChannelKind> {
    let url = server(table, ntfy::URL);
    let topic = required(table, "topic", "write topic = \"…\"", check::not_empty);
    let token = table.parsed("token", check::secret_reference).map(|token| token.value);
    Some(ChannelKind::Ntfy { url: url?, topic: topic?, token })
}

/// A program. Whoever may write the file could otherwise do nothing as dixmgr but choose what it watches.
fn command(table: &TableReader<'_>, allowed: bool) -> Option<ChannelKind> {
    if !table.has("command") {
        table.faults().report(table.place(), "has no command", "write command = [\"/usr/local/bin/page\", \"-now\"]");
    }
    let argv = table.strings("command")?;
    if !allowed {
        let advice = "write allow_commands = true in [alerts] if programs may be run for messages";
        table.faults().report(&argv.place, "is not allowed", advice);
        return None;
    }
    let words: Vec<String> = argv.value.into_iter().map(|word| word.value).collect();
    if words.first().is_none_or(|program| !program.starts_with('/')) || words.len() > MAX_WORDS {
        let advice = format!("write the whole path of a program, and at most {} arguments", MAX_WORDS - 1);
        table.faults().report(&argv.place, "is no command", advice);
        return None;
    }
    Some(ChannelKind::Command { argv: words })
}

/// `url` of a server of one's own, without a last slash; the usual one when it is not there.
fn server(table: &TableReader<'_>, usual: &str) -> Option<String> {
    if !table.has("url") {
        return Some(usual.to_owned());
    }
    table.parsed("url", check::http_url).map(|url| url.value.trim_end_matches('/').to_owned())
}

fn webhook(table: &TableReader<'_>) -> Option<Webhook> {
    let url = required(table, "url", "write url = \"https://…\" or a reference such as \"env:NAME\"", |text| {
        if dixmgr_activities::secret::is_reference(text) { Ok(text.to_owned()) } else { check::http_url(text) }
    });
    let headers = checked_map(table, "headers", check::header_name, check::header_value);
    let bearer = table.parsed("bearer", check::secret_reference);
    let username = table.parsed("username", check::not_empty);
    let password = table.parsed("password", check::secret_reference);
    let hmac_key = table.parsed("hmac_key", check::secret_reference).map(|key| key.value);
    let auth = match (bearer, username, password) {
        (Some(bearer), None, None) => Some(Auth::Bearer { token: bearer.value }),
        (None, Some(username), Some(password)) => {
            Some(Auth::Basic { username: username.value, password: password.value })
        }
        (None, None, None) => None,
        (Some(bearer), _, _) => {
            table.faults().report(&bearer.place, "excludes username and password", "leave out one of the two");
            None
        }
        (None, Some(found), None) | (None, None, Some(found)) => {
            table.faults().report(&found.place, "is half of a login", "write both username and password");
            None
        }
    };
    Some(Webhook { url: url?, headers, auth, hmac_key })
}

/// A key that has to be there.
pub(super) fn required<T>(
    table: &TableReader<'_>,
    key: &'static str,
    advice: &str,
    parse: impl FnOnce(&str) -> Result<T, check::Wrong>,
) -> Option<T> {
    if !table.has(key) {
        table.faults().report(table.place(), format!("has no {key}"), advice);
    }
    table.parsed(key, parse).map(|found| found.value)
}
