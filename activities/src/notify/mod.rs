//! Sends messages about alerts over channels. What they say is written in `dixmgr_alerting::channel`; whether and when, by
//! workflows. Secrets are resolved here, at the moment of sending, and stand in no error.

mod command;
pub mod dead_man;
mod email;
mod http;
mod streak;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dixmgr_alerting::channel::{ntfy, pagerduty, slack, telegram, webhook};
use dixmgr_alerting::message::Message;
use dixmgr_model::{AlertStatus, Severity};
use secrecy::ExposeSecret as _;

pub use self::email::{Email, EmailTls, check_mailbox};
use self::streak::Streak;
use crate::breakers::{CircuitBreakers, Refused, Target};
use crate::http::HttpChecker;
use crate::metrics::{ChannelMetrics, Metrics};
use crate::secret::{self, SecretError};

/// Name of the channel that is always there.
pub const LOG: &str = "log";

/// Longest time for one message; a program has a limit of its own.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Least wait before a message that was held back is tried again.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Unique name.
    pub name: String,
    /// How they get there.
    pub kind: ChannelKind,
}

/// How messages get to their receiver. Texts called references are `env:`, `file:` or `credential:`, or the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelKind {
    /// Lines of dixmgr's own log.
    Log,
    /// Alertmanager's JSON by HTTP.
    Webhook(Webhook),
    /// An incoming webhook of Slack.
    Slack {
        /// Reference to its URL, which is the secret.
        url: String,
    },
    /// `PagerDuty`'s Events API.
    PagerDuty {
        /// Where events go.
        url: String,
        /// Reference to the key of the integration.
        routing_key: String,
    },
    /// E-mail.
    Email(Email),
    /// A program that gets Alertmanager's JSON on its standard input.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
    },
    /// A bot of Telegram.
    Telegram {
        /// Where messages go.
        url: String,
        /// Reference to the bot's token.
        token: String,
        /// The chat that is told.
        chat: String,
    },
    /// A topic of ntfy.
    Ntfy {
        /// The server.
        url: String,
        /// The topic.
        topic: String,
        /// Reference to an access token.
        token: Option<String>,
    },
}

/// A webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Webhook {
    /// Its URL, or a reference to it.
    pub url: String,
    /// Headers; values may be references.
    pub headers: BTreeMap<String, String>,
    /// How we say who we are.
    pub auth: Option<Auth>,
    /// Reference to the key that bodies are signed with (HMAC-SHA256, in hex, as header `X-Dixmgr-Signature: sha256=…`).
    pub hmac_key: Option<String>,
}

/// How we say who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// By name and password.
    Basic {
        /// The name.
        username: String,
        /// Reference to the password.
        password: String,
    },
    /// By a token.
    Bearer {
        /// Reference to the token.
        token: String,
    },
}

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// It may go through another time.
    #[error("{detail}")]
    Later {
        /// What happened.
        detail: String,
        /// How long the receiver asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The receiver will never take this message.
    #[error("{0}")]
    Refused(String),
    /// No channel has this name now.
    #[error("no channel is called {0:?}; it stood in the configuration when the alert fired")]
    Unknown(String),
}

/// A channel in use.
#[derive(Debug)]
struct Line {
    channel: Channel,
    metrics: ChannelMetrics,
    streak: Streak,
}

/// Sends messages over the channels of a configuration.
#[derive(Debug)]
pub struct Notifier {
    channels: Vec<Line>,
    http: HttpChecker,
    breakers: CircuitBreakers,
}

impl Notifier {
    /// Over these channels. Their series exist from now on.
    #[must_use]
    pub fn new(channels: Vec<Channel>, http: HttpChecker, metrics: &Metrics) -> Self {
        let alerts = metrics.alerts();
        let channels = channels.into_iter().map(|channel| {
            let metrics = alerts.channel(&channel.name);
            Line { channel, metrics, streak: Streak::new(Instant::now()) }
        });
        Self { channels: channels.collect(), http, breakers: CircuitBreakers::default() }
    }

    /// Leaves channels alone for a while after they failed several times in a row. What is not sent then is to be tried again,
    /// as after any other failure.
    #[must_use]
    pub fn guarded(mut self, breakers: CircuitBreakers) -> Self {
        let outside = self.channels.iter().filter(|line| line.channel.kind != ChannelKind::Log);
        breakers.expect(outside.map(|line| Target::Channel(line.channel.name.clone())));
        self.breakers = breakers;
        self
    }

    /// Sends a message. Answers with what the receiver said, in a few words.
    ///
    /// # Errors
    /// It was not sent, or it is not known whether it was.
    pub async fn send(&self, channel: &str, message: &Message) -> Result<String, NotifyError> {
        let Some(Line { channel, metrics, streak }) = self.line(channel) else {
            return Err(NotifyError::Unknown(channel.to_owned()));
        };
        let call = match channel.kind {
            ChannelKind::Log => None,
            _ => Some(self.breakers.admit(&Target::Channel(channel.name.clone())).map_err(resting)?),
        };
        let limit = channel.kind.limit();
        let sent = tokio::time::timeout(limit, self.dispatch(channel, message)).await;
        let sent = sent.unwrap_or_else(|_| Err(later(format!("no answer within {} s", limit.as_secs()))));
        metrics.attempt(sent.is_ok());
        if let Some(call) = call {
            call.ended(reached(&sent));
        }
        streak.note(sent.as_ref().err(), Instant::now());
        sent
    }

    /// Names of the channels.
    #[must_use]
    pub fn channels(&self) -> Vec<String> {
        self.channels.iter().map(|line| line.channel.name.clone()).collect()
    }

    /// Attempts in a row that did not bring a message over this channel, where that is known.
    pub(crate) fn failures(&self, channel: &str) -> Option<u32> {
        self.line(channel).and_then(|line| line.streak.failures(Instant::now()))
    }

    /// What went wrong in the last of them.
    pub(crate) fn trouble(&self, channel: &str) -> Option<String> {
        self.line(channel).and_then(|line| line.streak.trouble())
    }

    fn line(&self, channel: &str) -> Option<&Line> {
        self.channels.iter().find(|line| line.channel.name == channel)
    }

    /// Says at a URL, or a reference to one, that all is well.
    ///
    /// # Errors
    /// It was not said.
    pub async fn ping(&self, url: &str) -> Result<String, NotifyError> {
        let webhook = Webhook { url: url.to_owned(), ..Webhook::default() };
        let body = dead_man::body();
        let said = http::post(&self.http, &webhook, &body, "dead-man");
        let said = tokio::time::timeout(TIMEOUT, said).await;
        said.unwrap_or_else(|_| Err(later(format!("no answer within {} s", TIMEOUT.as_secs()))))
    }

    async fn dispatch(&self, channel: &Channel, message: &Message) -> Result<String, NotifyError> {
        match &channel.kind {
            ChannelKind::Log => {
                log(message);
                Ok("logged".to_owned())
            }
            ChannelKind::Webhook(webhook) => {
                let body = webhook::body(message, &channel.name);
                http::post(&self.http, webhook, &body, &message.key).await
            }
            ChannelKind::Slack { url } => {
                let webhook = Webhook { url: url.clone(), ..Webhook::default() };
                http::post(&self.http, &webhook, &slack::body(message), &message.key).await
            }
            ChannelKind::PagerDuty { url, routing_key } => {
                let key = secret::resolve(routing_key)?;
                let body = pagerduty::body(message, key.expose_secret());
                let webhook = Webhook { url: format!("{url}/v2/enqueue"), ..Webhook::default() };
                http::post(&self.http, &webhook, &body, &message.key).await
            }
            ChannelKind::Email(email) => email::send(email, message).await,
            ChannelKind::Command { argv } => command::run(argv, &channel.name, message, command::TIMEOUT).await,
            ChannelKind::Telegram { url, token, chat } => {
                let token = secret::resolve(token)?;
                let webhook =
                    Webhook { url: format!("{url}/bot{}/sendMessage", token.expose_secret()), ..Webhook::default() };
                http::post(&self.http, &webhook, &telegram::body(message, chat), &message.key).await
            }
            ChannelKind::Ntfy { url, topic, token } => {
                let auth = token.clone().map(|token| Auth::Bearer { token });
                let webhook = Webhook { url: url.clone(), auth, ..Webhook::default() };
                http::post(&self.http, &webhook, &ntfy::body(message, topic), &message.key).await
            }
        }
    }
}

impl ChannelKind {
    /// Longest time for one message.
    fn limit(&self) -> Duration {
        match self {
            Self::Command { .. } => command::TIMEOUT + Duration::from_secs(1),
            _ => TIMEOUT,
        }
    }
}

impl From<SecretError> for NotifyError {
    /// An operator may mend it.
    fn from(error: SecretError) -> Self {
        later(error.to_string())
    }
}

/// The message is tried again when the breaker lets it through.
fn resting(refused: Refused) -> NotifyError {
    let wait = dixmgr_model::duration::format(refused.retry_in);
    let detail = format!("the channel failed several times in a row and is tried again in {wait} (circuit breaker)");
    NotifyError::Later { detail, retry_after: Some(refused.retry_in.max(LEAST_WAIT)) }
}

/// What became of a message says whether its receiver takes any: one that refuses this message, or asks us to wait, is there.
fn reached(sent: &Result<String, NotifyError>) -> Option<bool> {
    match sent {
        Ok(_) | Err(NotifyError::Refused(_) | NotifyError::Later { retry_after: Some(_), .. }) => Some(true),
        Err(NotifyError::Later { retry_after: None, .. }) => Some(false),
        Err(NotifyError::Unknown(_)) => None,
    }
}

fn later(detail: String) -> NotifyError {
    NotifyError::Later { detail, retry_after: None }
}

/// One line for each alert, and one for what else there is to say.
fn log(message: &Message) {
    const TARGET: &str = "dixmgr::alert";
    for alert in &message.alerts {
        let firing = alert.status == AlertStatus::Firing;
        let status = if firing { "firing" } else { "resolved" };
        let title = format!("[{}] {}", alert.mark(), alert.summary());
        let (service, severity) = (&*alert.alert.service, alert.alert.severity.name());
        let (fingerprint, detail) = (&*alert.alert.fingerprint, alert.description().unwrap_or_default());
        if firing && alert.alert.severity > Severity::Info {
            tracing::warn!(target: TARGET, service, severity, status, fingerprint, detail, "{title}");
        } else {
            tracing::info!(target: TARGET, service, severity, status, fingerprint, detail, "{title}");
        }
    }
    if let Some(rest) = message.rest() {
        tracing::warn!(target: TARGET, group = message.group, "{}: {rest}", message.title());
    }
}
