//! What can be wrong with an HTTP check, each with what to do about it.
//!
//! No text here shows a URL's user, password or query, a header's value, or a body beyond a short excerpt.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use dixmgr_model::duration;
use reqwest::Url;

use super::{MAX_BODY, MAX_REDIRECTS};
use crate::secret::SecretError;

/// Why an HTTP check failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The check itself can never work.
    #[error("bad HTTP check: {0}")]
    BadCheck(BadCheck),
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
    /// Nobody listens there.
    #[error("{to}: connection refused; is the service listening on that port?")]
    Refused {
        /// Scheme, host and port.
        to: String,
    },
    /// The host's name is not known.
    #[error("{to}: the host name cannot be resolved; check its spelling and this machine's DNS")]
    Dns {
        /// Scheme, host and port.
        to: String,
    },
    /// The exchange took too long.
    #[error("{to}: no complete answer within {}", duration::format(*.within))]
    Timeout {
        /// Scheme, host and port.
        to: String,
        /// What it was given.
        within: Duration,
    },
    /// The server's certificate was refused.
    #[error(
        "{to}: its certificate is not trusted ({detail}); add its issuer to this machine's certificates, or mend the name"
    )]
    Untrusted {
        /// Scheme, host and port.
        to: String,
        /// Why.
        detail: String,
    },
    /// TLS failed for another reason.
    #[error("{to}: TLS failed ({detail}); does that port speak TLS?")]
    Tls {
        /// Scheme, host and port.
        to: String,
        /// Why.
        detail: String,
    },
    /// The connection broke, or what came over it is not HTTP.
    #[error("{to}: {detail}")]
    Transport {
        /// Scheme, host and port.
        to: String,
        /// What went wrong.
        detail: String,
    },
    /// One redirect after the other.
    #[error(
        "{to}: more than {MAX_REDIRECTS} redirects; the server redirects in a circle, or the check should name the final URL"
    )]
    RedirectLoop {
        /// Scheme, host and port of the last one.
        to: String,
    },
    /// A redirect to something that is no `http` or `https` URL.
    #[error("{to}: redirects to something that is not an http or https URL")]
    BadRedirect {
        /// Scheme, host and port that it came from.
        to: String,
    },
    /// The body is needed for the verdict and is too large.
    #[error("the body is larger than {MAX_BODY} bytes, the most that is evaluated; point the check at a smaller page")]
    TooLarge,
    /// The answer is complete, and not what a healthy service gives.
    #[error("{0}")]
    Unhealthy(#[from] Unhealthy),
}

/// Why a check can never work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCheck {
    /// Not an absolute `http` or `https` URL.
    #[error("the URL is not an absolute http or https URL ({0})")]
    Url(String),
    /// Not a method.
    #[error("{0:?} is not an HTTP method")]
    Method(String),
    /// Not a header.
    #[error("header {0:?} has a name or a value that HTTP does not allow")]
    Header(String),
    /// Not a path.
    #[error("JSON path {path:?}: {detail}")]
    JsonPath {
        /// The path.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A header's value refers to a secret that is not there.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// What is not healthy in a complete answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unhealthy {
    /// Another status.
    #[error("status {status}, expected {}", expected.map_or_else(|| "any 2xx".to_owned(), |code| code.to_string()))]
    Status {
        /// What came.
        status: u16,
        /// What should have come; any 2xx when absent.
        expected: Option<u16>,
    },
    /// The expected text is not there.
    #[error("the body does not contain {expected:?}")]
    Text {
        /// What should have been there.
        expected: String,
    },
    /// The body is not JSON.
    #[error("the body is not JSON ({detail}), so JSON path {path:?} cannot be evaluated")]
    NotJson {
        /// The path.
        path: String,
        /// Where it stops being JSON.
        detail: String,
    },
    /// The path leads nowhere.
    #[error("JSON path {path:?} is not in the body")]
    PathNotFound {
        /// The path.
        path: String,
    },
    /// The value there says that the service is not healthy.
    #[error("JSON path {path:?} is {value}, which is not healthy")]
    Value {
        /// The path.
        path: String,
        /// What stands there, in short.
        value: String,
    },
    /// Too slow.
    #[error("took {}, longer than {}", duration::format(*.took), duration::format(*.limit))]
    Slow {
        /// What it took.
        took: Duration,
        /// What it may take.
        limit: Duration,
    },
}

impl HttpError {
    /// What it says about reaching the target: `Some(false)` when nothing came from there, or nothing that makes sense; nothing when
    /// the fault is ours. A refused connection is an answer, as a bad status is.
    pub(crate) fn reached(&self) -> Option<bool> {
        match self {
            Self::BadCheck(_) | Self::Client(_) => None,
            Self::Dns { .. } | Self::Timeout { .. } | Self::Tls { .. } | Self::Transport { .. } => Some(false),
            Self::Refused { .. }
            | Self::Untrusted { .. }
            | Self::RedirectLoop { .. }
            | Self::BadRedirect { .. }
            | Self::TooLarge
            | Self::Unhealthy(_) => Some(true),
        }
    }
}

impl From<BadCheck> for HttpError {
    fn from(bad: BadCheck) -> Self {
        Self::BadCheck(bad)
    }
}

/// Sorts an error of the transport. `to` is where the exchange went.
pub(crate) fn classify(error: reqwest::Error, to: &Url) -> HttpError {
    let to = origin(to);
    // The URL in the error's own text may carry a password.
    let error = error.without_url();
    if error.is_dns() {
        return HttpError::Dns { to };
    }
    for cause in causes(&error) {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return match tls {
                rustls::Error::InvalidCertificate(detail) => HttpError::Untrusted { to, detail: detail.to_string() },
                other => HttpError::Tls { to, detail: other.to_string() },
            };
        }
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::ConnectionRefused
        {
            return HttpError::Refused { to };
        }
    }
    // The outermost texts say only "error sending request"; the innermost says why.
    let detail = causes(&error).last().map_or_else(|| error.to_string(), ToString::to_string);
    HttpError::Transport { to, detail }
}

/// `scheme://host:port` of a URL: all of it that is safe to show.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The error and all that caused it. An [`io::Error`] made from another error hides that one from `source`.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn StdError + 'static)| {
        let hidden = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match hidden {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
    // No chain is that long; one that refers to itself would be endless.
    .take(16)
}
