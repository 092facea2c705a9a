//! The API of a dixmgr that runs, for commands: asked with or without a token, its errors in its own words.

use std::time::Duration;

use dixmgr_activities::http::client_builder;
use dixmgr_activities::secret;
use reqwest::header::{CONTENT_TYPE, IF_MATCH};
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::ApiArgs;
use crate::workflow::WorkflowError;

/// Longest time for one question.
const PATIENCE: Duration = Duration::from_secs(20);
/// Services of one question; further ones are asked for by pages.
const PAGE: usize = 1000;

/// Asks one API.
#[derive(Debug)]
pub(crate) struct ApiClient {
    client: reqwest::Client,
    base: url::Url,
    token: Option<SecretString>,
}

/// What is sent.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Media type.
    pub(crate) kind: &'static str,
    /// Bytes.
    pub(crate) body: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Page<T> {
    services: Vec<T>,
    next_offset: Option<usize>,
}

impl ApiClient {
    /// For the API at that address.
    ///
    /// # Errors
    /// The address is none, or the token's reference leads nowhere.
    pub(crate) fn new(args: &ApiArgs) -> Result<Self, WorkflowError> {
        let wrong = |error: &dyn std::fmt::Display| {
            WorkflowError::Wrong(format!("-address {:?} is not HOST:PORT: {error}", args.address))
        };
        let base = url::Url::parse(&format!("http://{}/", args.address)).map_err(|error| wrong(&error))?;
        if base.path() != "/" || base.host().is_none() {
            return Err(wrong(&"it has more than that"));
        }
        let token = args.token.as_deref().map(secret::resolve).transpose();
        let token = token.map_err(|error| WorkflowError::Failed(error.to_string()))?;
        let client = client_builder().timeout(PATIENCE).build();
        let client = client.map_err(|error| WorkflowError::Failed(crate::worker::chain(&error)))?;
        Ok(Self { client, base, token })
    }

    /// All services whose name contains this.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub(crate) async fn services<T: DeserializeOwned>(&self, name: Option<&str>) -> Result<Vec<T>, WorkflowError> {
        let mut services = Vec::new();
        let limit = PAGE.to_string();
        loop {
            let offset = services.len().to_string();
            let mut query = vec![("limit", limit.as_str()), ("offset", offset.as_str())];
            query.extend(name.map(|name| ("q", name)));
            let page: Page<T> = self.get(&["api", "v1", "services"], &query).await?;
            let nothing = page.services.is_empty();
            services.extend(page.services);
            if page.next_offset.is_none() || nothing {
                return Ok(services);
            }
        }
    }

    /// The answer to a GET of this path with this query.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, WorkflowError> {
        self.ask(self.request(Method::GET, path, query)?).await
    }

    /// The same as text.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub(crate) async fn text(&self, path: &[&str], query: &[(&str, &str)]) -> Result<String, WorkflowError> {
        let body = self.send(self.request(Method::GET, path, query)?).await?;
        String::from_utf8(body).map_err(|error| otherwise(&error))
    }

    /// The answer to a POST to this path.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, WorkflowError> {
        self.ask(self.request(Method::POST, path, &[])?).await
    }

    /// The answer to a POST to this path, with this query and these contents, if revision `only_if` is in force.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub(crate) async fn send_to<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        contents: Option<Contents>,
        only_if: Option<u64>,
    ) -> Result<T, WorkflowError> {
        let mut request = self.request(Method::POST, path, query)?;
        if let Some(Contents { kind, body }) = contents {
            request = request.header(CONTENT_TYPE, kind).body(body);
        }
        if let Some(revision) = only_if {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        self.ask(request).await
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Result<RequestBuilder, WorkflowError> {
        let mut url = self.base.clone();
        let segments = url.path_segments_mut();
        segments.map_err(|()| WorkflowError::Wrong("-address is not HOST:PORT".to_owned()))?.extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        })
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, WorkflowError> {
        serde_json::from_slice(&self.send(request).await?).map_err(|error| otherwise(&error))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, WorkflowError> {
        let failed = |error: reqwest::Error| {
            let advice = "is dixmgr running, and is -address that of its API?";
            WorkflowError::Failed(format!("{}; {advice}", crate::worker::chain(&error)))
        };
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(failed)?;
        if !status.is_success() {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let why =
                body.pointer("/error/message").and_then(Value::as_str).unwrap_or("the API refuses without a word");
            let wrong = status == StatusCode::BAD_REQUEST;
            return Err(if wrong {
                WorkflowError::Wrong(why.to_owned())
            } else {
                WorkflowError::Failed(why.to_owned())
            });
        }
        Ok(body.into())
    }
}

fn otherwise(error: &dyn std::fmt::Display) -> WorkflowError {
    WorkflowError::Failed(format!("the API answers something else than was asked: {error}"))
}
