//! JSON-RPC 2.0 over HTTP POST, as a node speaks it. Whatever comes back that is not an answer is a typed error.

use std::time::Duration;

use dixmgr_model::duration;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};

use crate::http::{BadCheck, HttpError, classify, origin, read_body};

/// Largest answer, in bytes. What is asked for takes a few hundred.
pub const MAX_ANSWER: usize = 64 * 1024;

/// Longest excerpt of what a node said, in characters.
const EXCERPT: usize = 120;

/// Every call has a connection to itself while it lasts, so one id will do.
const ID: u64 = 1;

/// "The method does not exist", JSON-RPC 2.0 section 5.1.
const METHOD_NOT_FOUND: i64 = -32601;

/// Why a node gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// The endpoint is not a URL: no use in trying again.
    #[error("bad sync check: {0}")]
    BadEndpoint(BadCheck),
    /// The exchange failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It did not answer in time.
    #[error("{to}: {method} unanswered after {}", duration::format(*.within))]
    Timeout {
        /// The endpoint.
        to: String,
        /// What was asked.
        method: &'static str,
        /// How long it was given.
        within: Duration,
    },
    /// Another HTTP status than 200.
    #[error("{to}: {method} got HTTP status {status}; is that the node's JSON-RPC port, and may this host ask it?")]
    Status {
        /// The endpoint.
        to: String,
        /// What was asked.
        method: &'static str,
        /// The status.
        status: u16,
    },
    /// The answer is too large.
    #[error("{to}: the answer to {method} is larger than {MAX_ANSWER} bytes; is that a node's JSON-RPC port?")]
    TooLarge {
        /// The endpoint.
        to: String,
        /// What was asked.
        method: &'static str,
    },
    /// The node refused.
    #[error("{to}: {method} failed with {code}: {message}")]
    Rpc {
        /// The endpoint.
        to: String,
        /// What was asked.
        method: &'static str,
        /// JSON-RPC's error code.
        code: i64,
        /// The node's own words, in short.
        message: String,
    },
    /// Not an answer to what was asked.
    #[error("{to}: {method} gave no {expected}: {got}; is that a node's JSON-RPC port?")]
    Garbage {
        /// The endpoint.
        to: String,
        /// What was asked.
        method: &'static str,
        /// What should have come.
        expected: &'static str,
        /// What came, in short.
        got: String,
    },
}

impl SyncError {
    /// As [`HttpError::reached`].
    pub(crate) fn reached(&self) -> Option<bool> {
        match self {
            Self::BadEndpoint(_) => None,
            Self::Http(error) => error.reached(),
            Self::Timeout { .. } | Self::Garbage { .. } => Some(false),
            Self::Status { .. } | Self::TooLarge { .. } | Self::Rpc { .. } => Some(true),
        }
    }

    /// Whether the node merely does not know the method (it is old, or keeps it from strangers).
    pub(super) fn is_unknown_method(&self) -> bool {
        matches!(self, Self::Rpc { code: METHOD_NOT_FOUND, .. })
    }
}

/// A node, as its JSON-RPC endpoint.
pub(super) struct Node<'a> {
    pub(super) client: &'a Client,
    pub(super) url: Url,
    pub(super) timeout: Duration,
}

impl Node<'_> {
    /// Calls a method and gives its `result`.
    pub(super) async fn call(&self, method: &'static str, params: Value) -> Result<Value, SyncError> {
        let answer = tokio::time::timeout(self.timeout, self.exchange(method, params)).await;
        let body = answer
            .unwrap_or_else(|_| Err(SyncError::Timeout { to: origin(&self.url), method, within: self.timeout }))?;
        self.read(method, &body)
    }

    /// What came where something else should have.
    pub(super) fn garbage(&self, method: &'static str, expected: &'static str, got: &Value) -> SyncError {
        SyncError::Garbage { to: origin(&self.url), method, expected, got: excerpt(&got.to_string()) }
    }

    async fn exchange(&self, method: &'static str, params: Value) -> Result<Vec<u8>, SyncError> {
        let transport = |error| SyncError::Http(classify(error, &self.url));
        let call = json!({"jsonrpc": "2.0", "id": ID, "method": method, "params": params});
        let request =
            self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(call.to_string());
        let mut response = request.send().await.map_err(transport)?;
        if response.status() != StatusCode::OK {
            let status = response.status().as_u16();
            return Err(SyncError::Status { to: origin(&self.url), method, status });
        }
        let mut body = Vec::new();
        let complete = read_body(&mut response, MAX_ANSWER, &mut body).await.map_err(transport)?;
        if complete { Ok(body) } else { Err(SyncError::TooLarge { to: origin(&self.url), method }) }
    }

    fn read(&self, method: &'static str, body: &[u8]) -> Result<Value, SyncError> {
        let garbage = |got: &str| SyncError::Garbage {
            to: origin(&self.url),
            method,
            expected: "JSON-RPC answer",
            got: excerpt(got),
        };
        let text = String::from_utf8_lossy(body);
        let mut answer: Value = serde_json::from_slice(body).map_err(|_| garbage(&text))?;
        if answer["id"] != ID {
            return Err(garbage(&text));
        }
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            let code = error["code"].as_i64().unwrap_or_default();
            let message = excerpt(error["message"].as_str().unwrap_or_default());
            return Err(SyncError::Rpc { to: origin(&self.url), method, code, message });
        }
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(garbage(&text)),
        }
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
