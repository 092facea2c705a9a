//! HTTP health checks: whether a service answers as a healthy one would.
//!
//! A check never fails as a whole: whatever a server does (nothing, garbage, 2 GB, redirects in a circle, a certificate
//! that nobody trusts) comes back as a [`CheckResult`] with the reason. Bodies are read as they come, up to a stated limit.

mod error;
mod exchange;
mod json_path;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dixmgr_alerting::health::CheckVerdict;
use dixmgr_model::HttpCheck;
use reqwest::{Client, redirect};
use serde::{Deserialize, Serialize};

pub use error::{BadCheck, HttpError, Unhealthy};
pub(crate) use error::{classify, origin};
use exchange::Request;
pub(crate) use exchange::{parse_url, read_body};
pub use json_path::{JsonPath, is_healthy};

/// Most redirects that one check follows.
pub const MAX_REDIRECTS: usize = 5;

/// Largest body that is evaluated, in bytes.
pub const MAX_BODY: usize = 1 << 20;

/// How much of the body a result keeps, in bytes.
pub const KEPT_BODY: usize = 1024;

/// How much is read of a body that no verdict depends on, so that its connection can be used again.
const DRAINED_BODY: usize = 64 * 1024;

/// How long an unused connection is kept; longer than the usual interval between two checks.
const IDLE: Duration = Duration::from_secs(90);

/// What a check gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Whether all that was expected was so.
    pub healthy: bool,
    /// Status of the (last) answer; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// From the start to the last byte read, in whole milliseconds when serialised.
    #[serde(with = "dixmgr_model::duration")]
    pub response_time: Duration,
    /// The body's first [`KEPT_BODY`] bytes.
    #[serde(default)]
    pub body: String,
    /// Why it is not healthy, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl CheckResult {
    /// What this says to the health fold.
    pub fn verdict(&self) -> CheckVerdict {
        match &self.error {
            None if self.healthy => CheckVerdict::Passed,
            error => CheckVerdict::Failed(error.clone().unwrap_or_else(|| "unhealthy".to_owned())),
        }
    }
}

/// Carries out HTTP checks. Cheap to clone; clones share connections.
///
/// The client, with all the certificates that this machine trusts, is made for the first check: most services have none.
#[derive(Debug, Clone, Default)]
pub struct HttpChecker {
    client: Arc<OnceLock<Result<Client, String>>>,
}

impl HttpChecker {
    /// A checker that trusts what this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured). On a machine without
    /// any certificates it trusts nothing: plain HTTP works, and HTTPS says that the certificate is not trusted.
    pub fn new() -> Self {
        Self::default()
    }

    /// The client.
    ///
    /// # Errors
    /// It cannot be set up.
    pub(crate) fn client(&self) -> Result<&Client, HttpError> {
        let client = self.client.get_or_init(|| make_client().map_err(|error| error.to_string()));
        client.as_ref().map_err(|error| HttpError::Client(error.clone()))
    }

    /// Carries out a check. Never fails: what went wrong is in the result, in words.
    pub async fn check(&self, check: &HttpCheck) -> CheckResult {
        self.examine(check).await.0
    }

    /// As [`HttpChecker::check`], with what went wrong as a value: for callers that tell a bad check from a bad service.
    pub async fn examine(&self, check: &HttpCheck) -> (CheckResult, Result<(), HttpError>) {
        let mut result = CheckResult::default();
        let started = Instant::now();
        let verdict = match Plan::new(check) {
            Ok(plan) => self.exchange(plan, check, started, &mut result).await,
            Err(bad) => Err(bad.into()),
        };
        if result.response_time.is_zero() {
            result.response_time = started.elapsed();
        }
        result.healthy = verdict.is_ok();
        result.error = verdict.as_ref().err().map(ToString::to_string);
        (result, verdict)
    }

    /// The exchange and its verdict, within the check's timeout.
    async fn exchange(
        &self,
        mut plan: Plan,
        check: &HttpCheck,
        started: Instant,
        result: &mut CheckResult,
    ) -> Result<(), HttpError> {
        let to = origin(&plan.request.url);
        let evaluated = check.expected_body.is_some() || plan.json_path.is_some();
        let mut body = Vec::new();
        let exchange = async {
            let mut response = plan.request.send(self.client()?).await?;
            result.status = Some(response.status().as_u16());
            let limit = if evaluated { MAX_BODY } else { DRAINED_BODY };
            read_body(&mut response, limit, &mut body).await.map_err(|error| classify(error, &plan.request.url))
        };
        let complete = tokio::time::timeout(check.timeout, exchange).await;
        result.response_time = started.elapsed();
        result.body = kept(&body);
        let complete = complete.unwrap_or(Err(HttpError::Timeout { to, within: check.timeout }))?;

        expect_status(result.status.unwrap_or_default(), check.expected_status)?;
        if evaluated && !complete {
            return Err(HttpError::TooLarge);
        }
        evaluate(&body, check, plan.json_path.as_ref(), result.response_time)?;
        Ok(())
    }
}

/// A check, read and found to be possible.
struct Plan {
    request: Request,
    json_path: Option<JsonPath>,
}

impl Plan {
    fn new(check: &HttpCheck) -> Result<Self, BadCheck> {
        Ok(Self {
            request: Request::new(check)?,
            json_path: check.json_path.as_deref().map(JsonPath::parse).transpose()?,
        })
    }
}

fn expect_status(status: u16, expected: Option<u16>) -> Result<(), Unhealthy> {
    let good = expected.map_or((200..300).contains(&status), |expected| status == expected);
    good.then_some(()).ok_or(Unhealthy::Status { status, expected })
}

fn evaluate(body: &[u8], check: &HttpCheck, json_path: Option<&JsonPath>, took: Duration) -> Result<(), Unhealthy> {
    if let Some(expected) = &check.expected_body
        && !String::from_utf8_lossy(body).contains(expected)
    {
        return Err(Unhealthy::Text { expected: expected.clone() });
    }
    if let Some(path) = json_path {
        let not_json =
            |error: serde_json::Error| Unhealthy::NotJson { path: path.as_str().to_owned(), detail: error.to_string() };
        path.verdict(&serde_json::from_slice(body).map_err(not_json)?)?;
    }
    match check.max_response_time {
        Some(limit) if took > limit => Err(Unhealthy::Slow { took, limit }),
        _ => Ok(()),
    }
}

/// The beginning of a body as text, never cut within a character.
fn kept(body: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&body[..body.len().min(KEPT_BODY)]).into_owned();
    if body.len() > KEPT_BODY {
        // A character cut by the limit has become a replacement character.
        while text.ends_with(char::REPLACEMENT_CHARACTER) {
            text.pop();
        }
    }
    // Each byte that is no text has become three.
    text.truncate(text.floor_char_boundary(KEPT_BODY));
    text
}

/// How every HTTP client of dixmgr begins: no redirect is followed, no proxy used, the TLS provider is there.
pub fn client_builder() -> reqwest::ClientBuilder {
    // Taken by whoever comes first; all of dixmgr uses the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("dixmgr/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(2)
}

fn make_client() -> Result<Client, reqwest::Error> {
    client_builder().build().or_else(|error| {
        tracing::warn!(%error, "no certificates on this machine, so HTTPS checks will fail; install ca-certificates: {error}");
        trusting_nothing()
    })
}

fn trusting_nothing() -> reqwest::Result<Client> {
    client_builder().tls_certs_only([]).build()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_machine_without_certificates_still_has_a_client() {
        trusting_nothing().unwrap();
    }

    #[test]
    fn what_is_kept_of_a_body_is_whole_characters() {
        assert_eq!(kept(b"short"), "short");
        let long = "ä".repeat(KEPT_BODY);
        assert_eq!(kept(long.as_bytes()), "ä".repeat(KEPT_BODY / 2));
        let shifted = format!("x{long}");
        assert_eq!(kept(shifted.as_bytes()).len(), KEPT_BODY - 1);
        assert!(kept(&[0xff; 5000]).len() <= KEPT_BODY);
    }
}
