//! Who may ask for what.
//!
//! A browser on this machine is the stranger to be kept out: a page from anywhere can make it send requests to loopback (CSRF),
//! or reach loopback under a name of its own (DNS rebinding). So on loopback a request has to name a host that is ours,
//! and one that changes anything must not come from another origin. Where a token is configured, changes need it, and on an
//! address that other machines can reach everything does.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dixmgr_activities::secret;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::ApiError;
use super::connections::Peer;
use crate::error::RunError;
use crate::settings::ApiSettings;

/// What requests are held against.
pub(crate) struct Guard {
    token: Option<SecretString>,
    /// The reference to it.
    name: Option<String>,
    /// Names under which a browser may reach us, besides those of loopback.
    hosts: Vec<String>,
    /// Only this machine reaches the address.
    loopback: bool,
}

/// How a request shows that it knows the token.
#[derive(Debug, PartialEq, Eq)]
enum Proof {
    /// A program sent it.
    Bearer,
    /// A browser sent it, perhaps without its user's knowledge.
    Basic,
    /// It does not.
    None,
}

/// Who asks, as far as the guard knows. Handlers find it in the request's extensions.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Name of the token that was shown: the reference to it.
    pub(super) token: Option<String>,
    /// Whether there is a token at all.
    pub(super) guarded: bool,
    /// From where the request came.
    pub(super) address: Option<String>,
}

/// The guard that is in force. Cheap to clone; clones share it.
#[derive(Clone)]
pub(crate) struct Doorkeeper {
    guard: Arc<RwLock<Arc<Guard>>>,
    /// What the address is that the API listens on, whatever is configured since.
    loopback: bool,
}

/// Lets a request through, or answers why not.
pub(super) async fn admit(State(door): State<Doorkeeper>, mut request: Request, next: Next) -> Response {
    match door.guard().check(request.method(), request.uri(), request.headers()) {
        Ok(mut caller) => {
            caller.address = request.extensions().get::<ConnectInfo<Peer>>().map(|info| info.0.to_string());
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

impl Doorkeeper {
    /// # Errors
    /// The token's reference leads nowhere.
    pub(crate) fn new(settings: Option<&ApiSettings>) -> Result<Self, RunError> {
        let loopback = settings.is_none_or(|settings| settings.listen.ip().is_loopback());
        let guard = Guard::new(settings, loopback)?;
        Ok(Self { guard: Arc::new(RwLock::new(Arc::new(guard))), loopback })
    }

    /// A guard by other settings, its token read anew.
    ///
    /// # Errors
    /// The token's reference leads nowhere.
    pub(crate) fn consider(&self, settings: Option<&ApiSettings>) -> Result<Guard, RunError> {
        Guard::new(settings, self.loopback)
    }

    /// From now on it is this one.
    pub(crate) fn replace(&self, guard: Guard) {
        *self.guard.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(guard);
    }

    fn guard(&self) -> Arc<Guard> {
        Arc::clone(&self.guard.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Guard {
    fn new(settings: Option<&ApiSettings>, loopback: bool) -> Result<Self, RunError> {
        let Some(settings) = settings else { return Ok(Self { token: None, name: None, hosts: Vec::new(), loopback }) };
        let token = settings.token.as_deref().map(secret::resolve).transpose().map_err(RunError::Secret)?;
        if token.as_ref().is_some_and(|token| token.expose_secret().is_empty()) {
            let detail = "the token of [api] is empty".to_owned();
            return Err(RunError::Setup { what: "the API", detail });
        }
        Ok(Self { token, name: settings.token.clone(), hosts: settings.hosts.clone(), loopback })
    }

    fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let proof = self.proof(headers)?;
        let token = self.name.clone().filter(|_| proof != Proof::None);
        let caller = Caller { token, guarded: self.token.is_some(), address: None };
        if proof == Proof::Bearer {
            return Ok(caller);
        }
        let host = host(uri, headers);
        if self.loopback && !host.is_some_and(|host| self.is_ours(host)) {
            let advice = "add the name to [api] hosts if this dixmgr is to be reached under it";
            return Err(ApiError::forbidden(format!("the request is for another host than this; {advice}")));
        }
        let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if proof == Proof::None && (!self.loopback || (changes && self.token.is_some())) {
            return Err(ApiError::unauthenticated());
        }
        if changes && is_foreign(headers, host) {
            return Err(ApiError::forbidden("a page of another origin may not change anything here"));
        }
        Ok(caller)
    }

    /// What a request knows; a wrong token is an error even where none is needed.
    fn proof(&self, headers: &HeaderMap) -> Result<Proof, ApiError> {
        let (Some(token), Some(given)) = (&self.token, headers.get(header::AUTHORIZATION)) else {
            return Ok(Proof::None);
        };
        let given = given.as_bytes();
        let (proof, secret) = if let Some(secret) = without_scheme(given, b"Bearer ") {
            (Proof::Bearer, secret.to_vec())
        } else if let Some(encoded) = without_scheme(given, b"Basic ") {
            let pair = STANDARD.decode(encoded).unwrap_or_default();
            let colon = pair.iter().position(|byte| *byte == b':').map_or(pair.len(), |at| at + 1);
            (Proof::Basic, pair[colon..].to_vec())
        } else {
            return Err(ApiError::unauthenticated());
        };
        if bool::from(secret.ct_eq(token.expose_secret().as_bytes())) {
            Ok(proof)
        } else {
            Err(ApiError::unauthenticated())
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = without_port(host);
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        name.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.is_loopback())
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// Schemes are compared without regard to case (RFC 9110, 11.1).
fn without_scheme<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| uri.authority().map(axum::http::uri::Authority::as_str))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a browser says that a page of another origin makes it ask.
fn is_foreign(headers: &HeaderMap, host: Option<&str>) -> bool {
    let site = headers.get("sec-fetch-site").map(axum::http::HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let own = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    own.is_none() || own != host
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn guard(token: Option<&str>, loopback: bool) -> Guard {
        Guard {
            token: token.map(Into::into),
            name: Some("env:TOKEN".to_owned()),
            hosts: vec!["status.example".to_owned()],
            loopback,
        }
    }

    fn status(guard: &Guard, method: &Method, headers: &[(&'static str, &str)]) -> u16 {
        let headers = headers.iter().map(|(name, value)| {
            (header::HeaderName::from_static(name), header::HeaderValue::from_str(value).unwrap())
        });
        match guard.check(method, &Uri::from_static("/"), &headers.collect()) {
            Ok(_) => 200,
            Err(refused) => refused.into_response().status().as_u16(),
        }
    }

    #[test]
    fn on_loopback_the_host_has_to_be_ours() {
        let guard = guard(None, true);
        for ours in ["localhost:9091", "LOCALHOST", "127.0.0.1:9091", "127.8.8.8", "[::1]:9091", "status.example"] {
            assert_eq!(status(&guard, &Method::GET, &[("host", ours)]), 200, "{ours}");
        }
        for foreign in ["evil.example:9091", "localhost.evil.example", "192.168.0.1", "", "127.0.0.1.evil:80"] {
            assert_eq!(status(&guard, &Method::GET, &[("host", foreign)]), 403, "{foreign}");
        }
        assert_eq!(status(&guard, &Method::GET, &[]), 403);
    }

    #[test]
    fn on_loopback_pages_of_others_change_nothing() {
        let guard = guard(None, true);
        let host = ("host", "localhost:9091");
        assert_eq!(status(&guard, &Method::POST, &[host]), 200);
        assert_eq!(status(&guard, &Method::POST, &[host, ("origin", "http://localhost:9091")]), 200);
        for origin in ["http://evil.example", "http://localhost:8080", "null"] {
            assert_eq!(status(&guard, &Method::POST, &[host, ("origin", origin)]), 403, "{origin}");
            assert_eq!(status(&guard, &Method::DELETE, &[host, ("origin", origin)]), 403, "{origin}");
            assert_eq!(status(&guard, &Method::GET, &[host, ("origin", origin)]), 200, "{origin}");
        }
        assert_eq!(status(&guard, &Method::POST, &[host, ("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(status(&guard, &Method::POST, &[host, ("sec-fetch-site", "same-origin")]), 200);
    }

    #[test]
    fn a_token_is_needed_for_changes_and_from_afar_for_all() {
        let host = ("host", "localhost");
        let near = guard(Some("s3cret"), true);
        assert_eq!(status(&near, &Method::GET, &[host]), 200);
        assert_eq!(status(&near, &Method::POST, &[host]), 401);
        assert_eq!(status(&near, &Method::POST, &[host, ("authorization", "Bearer s3cret")]), 200);
        assert_eq!(status(&near, &Method::POST, &[host, ("authorization", "Basic OnMzY3JldA==")]), 200);
        for wrong in ["Bearer s3cre", "Bearer s3cret2", "Basic bm9wZQ==", "Basic !", "Digest x", ""] {
            assert_eq!(status(&near, &Method::GET, &[host, ("authorization", wrong)]), 401, "{wrong}");
        }
        let far = guard(Some("s3cret"), false);
        assert_eq!(status(&far, &Method::GET, &[("host", "10.0.0.1")]), 401);
        assert_eq!(status(&far, &Method::GET, &[("authorization", "bearer s3cret")]), 200);
        // A browser that remembers the password sends it for pages of others too.
        let basic = ("authorization", "Basic eDpzM2NyZXQ=");
        assert_eq!(status(&far, &Method::GET, &[("host", "10.0.0.1"), basic]), 200);
        let foreign = [("host", "10.0.0.1"), basic, ("origin", "http://evil.example")];
        assert_eq!(status(&far, &Method::POST, &foreign), 403);
    }
}
