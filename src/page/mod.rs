//! The status page: one HTML document made on the server that reads without JavaScript, and a script that keeps it up to date over
//! server-sent events. No build step, nothing from elsewhere, and a policy (CSP) that lets nothing else run.
//!
//! [`render`] turns what is known into markup, with [`svg`] for the pictures; [`past`] is what the history has for it, read anew now and
//! then; [`alerts`] are those that fire, and what can be done about them, with pictures of forecasts ([`forecast`]); [`events`] tells browsers of changes. The public form (`[status] public`) is the same page of fewer services
//! with fewer words, under a path of its own.

mod alerts;
mod events;
mod forecast;
mod past;
mod render;
mod svg;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use dixmgr_alerting::circuit_breaker::State as BreakerState;
use dixmgr_model::{Condition, ServiceSpec};
use serde::Deserialize;

use self::alerts::{Active, AlertsCache};
use self::events::Events;
use self::past::{Past, PastCache};
pub(crate) use self::render::{bytes, percent_of_core, response, word};
use crate::api::{Api, ApiError, Breaker, Params, Service, describe};
use crate::settings::StatusSettings;

/// Services on one page; further ones are on the next.
const PAGE: usize = 100;

/// Circuit breakers on the page.
const MOST_BREAKERS: usize = 20;

const STYLE: &str = include_str!("status.css");
const SCRIPT: &str = include_str!("status.js");
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What the page is made from.
#[derive(Clone)]
pub(crate) struct Page {
    api: Api,
    past: Arc<PastCache>,
    alerts: AlertsCache,
    events: Events,
    scope: Scope,
}

/// Who reads it.
#[derive(Clone)]
enum Scope {
    /// Those who may ask the API.
    Operators,
    /// Anyone: only these services, no units, no reasons.
    Public(Arc<StatusSettings>),
}

/// One day of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Day {
    /// Of the time that was seen; absent when none was.
    percent: Option<f64>,
}

/// What the reader wants to see.
#[derive(Debug, Default, Deserialize)]
struct View {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    page: usize,
}

/// A service on the page.
struct Card {
    service: Service,
    days: Vec<Day>,
    past: Option<Arc<past::Curves>>,
    uptime: Option<f64>,
}

/// The page for those who may ask the API.
pub(crate) fn routes(api: Api) -> Router {
    let alerts = AlertsCache::default();
    let events = Events::start(api.clone(), Scope::Operators);
    events.follow(api.clone(), alerts.clone());
    let page = Page { api, past: Arc::default(), alerts, events, scope: Scope::Operators };
    Router::new()
        .route("/", get(show))
        .route("/status.css", get(style))
        .route("/status.js", get(script))
        .route("/alerts/{fingerprint}/ack", post(alerts::acknowledge))
        .route("/alerts/{fingerprint}/silence", post(alerts::silence))
        .route("/alerts/{fingerprint}/unsilence", post(alerts::unsilence))
        .route("/api/v1/events", get(events::stream))
        .with_state(page)
}

/// The page for anyone, which stands before no guard.
pub(crate) fn public_routes(api: Api, settings: &StatusSettings) -> Router {
    let scope = Scope::Public(Arc::new(settings.clone()));
    let events = Events::start(api.clone(), scope.clone());
    let page = Page { api, past: Arc::default(), alerts: AlertsCache::default(), events, scope };
    Router::new()
        .route("/public", get(show))
        .route("/public/status.css", get(style))
        .route("/public/status.js", get(script))
        .route("/public/events", get(events::stream))
        .with_state(page)
}

async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

async fn show(State(page): State<Page>, Params(view): Params<View>) -> Result<Response, ApiError> {
    let (past, alerts) = tokio::join!(page.past.get(&page.api), page.firing());
    let plan = Arc::clone(&page.api.in_force.borrow().plan);
    let specs: Vec<&ServiceSpec> = plan.services.iter().filter(|spec| page.scope.shows(&spec.name)).collect();
    let all: Vec<Service> = specs.iter().map(|spec| page.scope.veil(describe(spec, &page.api))).collect();
    let graph = render::graph(&specs, &all);
    let counts = counts(&all);
    let mut chosen: Vec<Service> = all.into_iter().filter(|service| view.wants(service)).collect();
    // The worst first; within a state as in the file.
    chosen.sort_by_key(|service| Condition::ALL.iter().position(|state| *state == service.state));
    let found = chosen.len();
    let shown: Vec<Service> = chosen.into_iter().skip(view.page.saturating_mul(PAGE)).take(PAGE).collect();
    let days = past::days(&page.api, shown.iter().map(|service| service.name.clone()).collect()).await;
    let cards: Vec<Card> = shown.into_iter().map(|service| Card::of(service, &past, &days)).collect();
    let document = render::document(&render::Content {
        public: matches!(page.scope, Scope::Public(_)),
        counts,
        found,
        view: &view,
        cards: &cards,
        past: &past,
        alerts: alerts.as_deref(),
        breakers: &page.resting(),
        scope: &page.scope,
        graph,
    });
    Ok((safe_headers(), Html(document)).into_response())
}

/// What keeps a document from being used for anything else. A form's request names its own origin, for the guard.
fn safe_headers() -> [(HeaderName, &'static str); 4] {
    [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ]
}

impl Page {
    /// Circuit breakers that are not closed, for those who may see them.
    fn resting(&self) -> Vec<Breaker> {
        match self.scope {
            Scope::Operators => resting(&self.api),
            Scope::Public(_) => Vec::new(),
        }
    }

    /// The alerts that fire, for those who may see them.
    async fn firing(&self) -> Option<Arc<Active>> {
        match self.scope {
            Scope::Operators => Some(self.alerts.get(&self.api).await),
            Scope::Public(_) => None,
        }
    }
}

/// Circuit breakers that are not closed.
fn resting(api: &Api) -> Vec<Breaker> {
    let all = api.breakers.list().into_iter();
    all.take_while(|breaker| breaker.state != BreakerState::Closed).take(MOST_BREAKERS).map(Breaker::from).collect()
}

impl View {
    fn wants(&self, service: &Service) -> bool {
        let named = service.name.to_lowercase().contains(&self.q.trim().to_lowercase());
        named && (self.state.is_empty() || class(service.state) == self.state)
    }

    /// The query of a URL that shows the same.
    fn query(&self) -> String {
        self.query_of(self.page)
    }

    /// The same of another page.
    fn query_of(&self, page: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &self.q).append_pair("state", &self.state);
        query.append_pair("page", &page.to_string()).finish()
    }
}

impl Scope {
    /// Whether this service is to be seen.
    fn shows(&self, name: &str) -> bool {
        match self {
            Self::Operators => true,
            Self::Public(settings) => settings.services.is_empty() || settings.services.iter().any(|own| own == name),
        }
    }

    /// What may be said of it.
    fn veil(&self, service: Service) -> Service {
        match self {
            Self::Operators => service,
            Self::Public(_) => Service {
                unit: None,
                health: None,
                sync: None,
                restarts: 0,
                cpu_percent: None,
                memory_bytes: None,
                needs: service.needs.into_iter().filter(|need| self.shows(need)).collect(),
                workflow_id: String::new(),
                replicas: None,
                ..service
            },
        }
    }
}

impl Card {
    fn of(service: Service, past: &Past, days: &BTreeMap<String, Vec<Day>>) -> Self {
        let curves = past.curves.get(&service.name).cloned();
        let mut own = days.get(&service.name).cloned().unwrap_or_else(|| vec![Day { percent: None }; past::DAYS]);
        if let (Some(today), Some(last)) = (past.today.get(&service.name), own.last_mut()) {
            last.percent = *today;
        }
        let uptime = past.uptime.get(&service.name).copied().flatten();
        Self { service, days: own, past: curves, uptime }
    }
}

/// How many services are in each class.
fn counts(services: &[Service]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for service in services {
        *counts.entry(class(service.state)).or_default() += 1;
    }
    counts
}

/// The four kinds of news: each has a shape of its own.
fn class(state: Condition) -> &'static str {
    match state {
        Condition::Up => "ok",
        Condition::Syncing | Condition::Stalled | Condition::Starting | Condition::Stopping | Condition::Restarting => {
            "warn"
        }
        Condition::Unhealthy | Condition::Down => "bad",
        Condition::Unknown => "none",
    }
}

/// A text as HTML shows it, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
