//! Messages as HTTP POST requests of JSON.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dixmgr_alerting::channel::retry_after;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use ring::hmac;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::{Auth, NotifyError, Webhook, later};
use crate::http::{HttpChecker, classify, parse_url, read_body};
use crate::secret;

/// How much of an answer is read, so that its connection can be used again.
const ANSWER: usize = 16 * 1024;

/// Longest wait that a receiver may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Posts a body. Whatever status of 200 to 299 comes back, the message has arrived.
pub(super) async fn post(
    http: &HttpChecker,
    webhook: &Webhook,
    body: &Value,
    key: &str,
) -> Result<String, NotifyError> {
    let body = body.to_string();
    let headers = headers(webhook, &body, key)?;
    let url = secret::resolve(&webhook.url)?;
    // The address may be the secret: what is wrong with it is said without it.
    let url =
        parse_url(url.expose_secret()).map_err(|_| later("the channel's url is not an http or https URL".into()))?;
    let client = http.client().map_err(|error| later(error.to_string()))?;
    let sent = client.post(url.clone()).headers(headers).body(body).send().await;
    let mut response = sent.map_err(|error| later(classify(error, &url).to_string()))?;
    let status = response.status();
    let wait = wanted_wait(&response);
    // An answer that breaks off changes nothing about its status.
    let _ = read_body(&mut response, ANSWER, &mut Vec::new()).await;
    judge(status, wait)
}

fn judge(status: StatusCode, retry_after: Option<Duration>) -> Result<String, NotifyError> {
    match status.as_u16() {
        200..=299 => Ok(format!("status {}", status.as_u16())),
        // It is our message that the receiver does not understand, or finds too large.
        400 | 413 | 422 => Err(NotifyError::Refused(format!("refused with status {}", status.as_u16()))),
        other => Err(NotifyError::Later { detail: format!("status {other}"), retry_after }),
    }
}

fn wanted_wait(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    retry_after(text, now).map(|wait| wait.min(LONGEST_WAIT))
}

fn headers(webhook: &Webhook, body: &str, key: &str) -> Result<HeaderMap, NotifyError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static("idempotency-key"), value(key, "the message's key")?);
    if let Some(reference) = &webhook.hmac_key {
        let secret = secret::resolve(reference)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        let signature = hmac::sign(&key, body.as_bytes());
        let hex = signature.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        headers
            .insert(HeaderName::from_static("x-dixmgr-signature"), value(&format!("sha256={hex}"), "the signature")?);
    }
    if let Some(auth) = &webhook.auth {
        headers.insert(AUTHORIZATION, authorization(auth)?);
    }
    for (name, text) in &webhook.headers {
        let bad = || later(format!("{name:?} cannot be the name of a header"));
        let text = secret::resolve(text)?;
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, value(text.expose_secret(), name)?);
    }
    Ok(headers)
}

fn authorization(auth: &Auth) -> Result<HeaderValue, NotifyError> {
    let text = match auth {
        Auth::Bearer { token } => format!("Bearer {}", secret::resolve(token)?.expose_secret()),
        Auth::Basic { username, password } => {
            let password = secret::resolve(password)?;
            format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{}", password.expose_secret())))
        }
    };
    value(&text, "authorization")
}

fn value(text: &str, name: &str) -> Result<HeaderValue, NotifyError> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| later(format!("the value of header {name:?} cannot be sent")))?;
    value.set_sensitive(true);
    Ok(value)
}
