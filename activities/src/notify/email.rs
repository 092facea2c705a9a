//! Messages by SMTP, one connection each. What they say stands in `dixmgr_alerting::channel::email`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dixmgr_alerting::channel::email;
use dixmgr_alerting::message::Message;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error as SmtpError};
use lettre::{AsyncTransport as _, Tokio1Executor};
use secrecy::ExposeSecret as _;

use super::{NotifyError, later};
use crate::secret;

/// Longest wait for one answer of the server.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest file of authorities.
const MAX_CA: u64 = 1024 * 1024;
/// Longest answer of a server that is repeated, in characters.
const MAX_ANSWER: usize = 200;

/// Where mail goes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// Name or address of the server.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the way there is kept secret.
    pub tls: EmailTls,
    /// Authority of the server's certificate, in PEM form, beside those that this machine trusts.
    pub ca: Option<PathBuf>,
    /// User and reference to the password, if the server asks for them.
    pub login: Option<(String, String)>,
    /// Who writes.
    pub from: String,
    /// Who is written to.
    pub to: Vec<String>,
}

/// How the way to a mail server is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailTls {
    /// From the first byte on.
    Tls,
    /// After a first word in the clear; not at all if the server cannot.
    StartTls,
    /// Not at all: for servers on this machine.
    None,
}

/// Whether a text is the address of a mailbox, with a name or without.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_mailbox(text: &str) -> Result<(), String> {
    text.parse::<Mailbox>().map(drop).map_err(|error| error.to_string())
}

/// Sends a message.
pub(super) async fn send(channel: &Email, message: &Message) -> Result<String, NotifyError> {
    let mail = compose(channel, message)?;
    let answer = transport(channel).await?.send(mail).await.map_err(|error| judge(&error))?;
    let said = answer.message().collect::<Vec<_>>().join(" ");
    Ok(format!("{} {}", answer.code(), visible(&said)))
}

fn compose(channel: &Email, message: &Message) -> Result<lettre::Message, NotifyError> {
    let mailbox = |text: &str| {
        text.parse::<Mailbox>().map_err(|error| NotifyError::Refused(format!("{text:?} is no mailbox: {error}")))
    };
    let threads = email::threads(message);
    let mut mail = lettre::Message::builder()
        .from(mailbox(&channel.from)?)
        .subject(email::subject(message))
        .message_id(Some(email::message_id(message)))
        .references(threads.join(" "))
        .date_now();
    if let Some(first) = threads.first() {
        mail = mail.in_reply_to(first.clone());
    }
    for to in &channel.to {
        mail = mail.to(mailbox(to)?);
    }
    let body = MultiPart::alternative_plain_html(email::text(message), email::html(message));
    mail.multipart(body).map_err(|error| NotifyError::Refused(error.to_string()))
}

async fn transport(channel: &Email) -> Result<AsyncSmtpTransport<Tokio1Executor>, NotifyError> {
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(channel.server.clone())
        .port(channel.port)
        .timeout(Some(PATIENCE))
        .tls(match channel.tls {
            EmailTls::None => Tls::None,
            EmailTls::Tls => Tls::Wrapper(parameters(channel).await?),
            EmailTls::StartTls => Tls::Required(parameters(channel).await?),
        });
    if let Some((user, password)) = &channel.login {
        let password = secret::resolve(password)?;
        builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
    }
    Ok(builder.build())
}

async fn parameters(channel: &Email) -> Result<TlsParameters, NotifyError> {
    let mut builder = TlsParameters::builder(channel.server.clone());
    if let Some(path) = &channel.ca {
        builder = builder.add_root_certificate(authority(path).await?);
    }
    builder.build_rustls().map_err(|error| later(error.to_string()))
}

async fn authority(path: &Path) -> Result<Certificate, NotifyError> {
    let unreadable = |detail: String| later(format!("the authority {} cannot be read: {detail}", path.display()));
    let metadata = tokio::fs::metadata(path).await.map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > MAX_CA {
        return Err(unreadable("it is no file of a certificate".to_owned()));
    }
    let pem = tokio::fs::read(path).await.map_err(|error| unreadable(error.to_string()))?;
    Certificate::from_pem(&pem).map_err(|error| unreadable(error.to_string()))
}

/// A server that says no for good is believed, unless it is about who we are: that an operator can mend.
fn judge(error: &SmtpError) -> NotifyError {
    let code = error.status().map(u16::from);
    let detail = visible(&error.to_string());
    match code {
        Some(530 | 534 | 535 | 538) | None => later(detail),
        Some(_) if error.is_permanent() => NotifyError::Refused(detail),
        Some(_) => later(detail),
    }
}

/// On one line, and not too long.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_ANSWER).collect()
}
