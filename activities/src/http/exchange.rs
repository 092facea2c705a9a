//! One HTTP exchange: request, redirects, and as much of the body as is wanted. Never more than that is held in memory.

use dixmgr_model::HttpCheck;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, Response, StatusCode, Url};
use secrecy::ExposeSecret as _;

use super::MAX_REDIRECTS;
use super::error::{BadCheck, HttpError, classify, origin};
use crate::secret;

/// A request, checked and with its secrets in place. Not for logs.
pub(super) struct Request {
    pub(super) url: Url,
    method: Method,
    headers: HeaderMap,
    body: Option<String>,
    follow: bool,
}

impl Request {
    /// What a check asks for.
    pub(super) fn new(check: &HttpCheck) -> Result<Self, BadCheck> {
        let method = Method::from_bytes(check.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| BadCheck::Method(check.method.clone()))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &check.headers {
            let bad = || BadCheck::Header(name.clone());
            let value = secret::resolve(value)?;
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, value);
        }
        // A check that expects a redirect wants to see it.
        let follow = !check.expected_status.is_some_and(|status| (300..400).contains(&status));
        Ok(Self { url: parse_url(&check.url)?, method, headers, body: check.body.clone(), follow })
    }

    /// Sends it, and follows redirects to the answer. `self.url` is then where the answer came from.
    pub(super) async fn send(&mut self, client: &Client) -> Result<Response, HttpError> {
        for _ in 0..=MAX_REDIRECTS {
            let mut request = client.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
            if let Some(body) = &self.body {
                request = request.body(body.clone());
            }
            let response = request.send().await.map_err(|error| classify(error, &self.url))?;
            match response.headers().get(LOCATION) {
                Some(location) if self.follow && is_redirect(response.status()) => {
                    let next = location.to_str().ok().and_then(|location| self.url.join(location).ok());
                    self.redirect(response.status(), next)?;
                }
                _ => return Ok(response),
            }
        }
        Err(HttpError::RedirectLoop { to: origin(&self.url) })
    }

    /// What to ask next, as the Fetch standard has it; but a header may be a secret, so none goes to another origin.
    fn redirect(&mut self, status: StatusCode, next: Option<Url>) -> Result<(), HttpError> {
        let next = next
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| HttpError::BadRedirect { to: origin(&self.url) })?;
        if next.origin() != self.url.origin() {
            self.headers.clear();
        }
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            self.method = Method::GET;
            self.body = None;
        }
        self.url = next;
        Ok(())
    }
}

/// Reads an absolute `http` or `https` URL.
pub(crate) fn parse_url(text: &str) -> Result<Url, BadCheck> {
    let url = Url::parse(text).map_err(|error| BadCheck::Url(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(BadCheck::Url(format!("its scheme is {other:?}"))),
    }
}

/// Reads a body up to `limit` bytes. The flag says whether it ended there; what lies beyond the limit is not read.
pub(crate) async fn read_body(
    response: &mut Response,
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<bool, reqwest::Error> {
    while let Some(chunk) = response.chunk().await? {
        let room = limit - into.len();
        if chunk.len() > room {
            into.extend_from_slice(&chunk[..room]);
            return Ok(false);
        }
        into.extend_from_slice(&chunk);
    }
    Ok(true)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
