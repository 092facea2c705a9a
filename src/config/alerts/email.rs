//! `[[alerts.channel]]` of type `email`.

use std::net::IpAddr;

use dixmgr_activities::notify::{Email, EmailTls, check_mailbox};

use super::super::check;
use super::super::reader::TableReader;
use super::channel::required;

/// Most mailboxes of one channel.
const MAX_TO: usize = 50;

/// Reads its keys.
pub(super) fn read(table: &TableReader<'_>) -> Option<Email> {
    let server = required(table, "server", "write server = \"mail.example\"", check::not_empty);
    let tls = table.parsed("tls", tls).map_or(EmailTls::StartTls, |tls| tls.value);
    let port = table.integer("port", 1..=65_535_u16).map(|port| port.value);
    let from = required(table, "from", "write from = \"dixmgr <dixmgr@example.org>\"", mailbox);
    let (to, login) = (to(table), login(table));
    let ca = table.parsed("ca", check::not_empty).map(|ca| ca.value.into());
    let server = server?;
    if tls == EmailTls::None && !is_loopback(&server) {
        let advice = "write tls = \"starttls\" or \"tls\"; without it, mail is for a server on this machine";
        table.faults().report(table.place(), "tls = \"none\" sends mail in the clear", advice);
        return None;
    }
    let port = port.unwrap_or(match tls {
        EmailTls::Tls => 465,
        EmailTls::StartTls => 587,
        EmailTls::None => 25,
    });
    Some(Email { server, port, tls, ca, login: login?, from: from?, to: to? })
}

fn to(table: &TableReader<'_>) -> Option<Vec<String>> {
    if !table.has("to") {
        table.faults().report(table.place(), "has no to", "write to = [\"ops@example.org\"]");
    }
    let list = table.strings("to")?;
    if list.value.is_empty() || list.value.len() > MAX_TO {
        table.faults().report(&list.place, "is for nobody, or too many", format!("write 1 to {MAX_TO} mailboxes"));
        return None;
    }
    let count = list.value.len();
    let good = list.value.into_iter().filter_map(|to| match mailbox(&to.value) {
        Ok(mailbox) => Some(mailbox),
        Err((problem, advice)) => {
            table.faults().report(&to.place, problem, advice);
            None
        }
    });
    let good: Vec<String> = good.collect();
    (good.len() == count).then_some(good)
}

/// Who we are to the server; nothing when it does not ask. `None` when half of it is missing.
#[allow(clippy::option_option, reason = "no login, and one that is wrong, are two things")]
fn login(table: &TableReader<'_>) -> Option<Option<(String, String)>> {
    let user = table.parsed("username", check::not_empty);
    let password = table.parsed("password", check::secret_reference);
    match (user, password) {
        (Some(user), Some(password)) => Some(Some((user.value, password.value))),
        (None, None) => Some(None),
        (Some(found), None) | (None, Some(found)) => {
            table.faults().report(&found.place, "is half of a login", "write both username and password");
            None
        }
    }
}

fn tls(text: &str) -> Result<EmailTls, check::Wrong> {
    match text {
        "tls" => Ok(EmailTls::Tls),
        "starttls" => Ok(EmailTls::StartTls),
        "none" => Ok(EmailTls::None),
        other => Err((format!("{other:?} is not known"), "write one of \"starttls\", \"tls\", \"none\"".to_owned())),
    }
}

fn mailbox(text: &str) -> Result<String, check::Wrong> {
    match check_mailbox(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => {
            let advice = "write it like \"ops@example.org\" or \"Operations <ops@example.org>\"".to_owned();
            Err((format!("{text:?} is no mailbox: {error}"), advice))
        }
    }
}

fn is_loopback(server: &str) -> bool {
    server == "localhost" || server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
