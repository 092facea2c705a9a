//! `/api/v1/events`: changes as server-sent events. One task makes each message once for all who listen; whoever is too slow to
//! take them all is told to look anew.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use super::alerts::AlertsCache;
use super::{Page, Scope, class, render, resting};
use crate::api::{Api, ApiError, Service, describe};

/// Listeners at a time.
const LISTENERS: usize = 1100;
/// Messages that wait for a slow listener.
const BUFFER: usize = 32;
/// Changes within this time make one message.
const GATHER: Duration = Duration::from_millis(100);
/// Services in one message; when more have changed, listeners look anew.
const MOST: usize = 500;

/// What an event says that has nothing more to say: browsers drop one without data.
const CHANGED: &str = "changed";

/// Tells listeners.
#[derive(Clone)]
pub(super) struct Events {
    messages: broadcast::Sender<Message>,
    places: Arc<Semaphore>,
}

/// What listeners are told.
#[derive(Debug, Clone)]
enum Message {
    /// These services have changed, as JSON.
    Services(Arc<str>),
    /// Alerts have changed, or circuit breakers.
    Alerts,
    /// It is better to look anew.
    Resync,
}

/// What the script needs to bring a card up to date: words as the page has them.
#[derive(Serialize)]
struct Changed<'s> {
    name: &'s str,
    state: &'static str,
    class: &'static str,
    word: &'static str,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<String>,
}

impl Events {
    /// Starts the task, which ends with its last handle.
    pub(super) fn start(api: Api, scope: Scope) -> Self {
        let (messages, _) = broadcast::channel(BUFFER);
        let publisher = messages.downgrade();
        tokio::spawn(async move {
            let mut changes = api.board.changes();
            let mut told = api.board.version();
            let mut in_force = api.in_force.clone();
            loop {
                // Other services: what every listener shows has to be made anew.
                let anew = tokio::select! {
                    Ok(()) = in_force.changed() => true,
                    news = changes.changed() => {
                        if news.is_err() {
                            return;
                        }
                        false
                    }
                };
                tokio::time::sleep(GATHER).await;
                let Some(messages) = publisher.upgrade() else { return };
                let newest = api.board.version();
                if messages.receiver_count() > 0 {
                    // Nobody listens any more: nothing is lost.
                    let news = if anew { Message::Resync } else { message(&api, &scope, told) };
                    let _ = messages.send(news);
                }
                told = newest;
            }
        });
        Self { messages, places: Arc::new(Semaphore::new(LISTENERS)) }
    }

    /// Tells of alerts too, from a task that ends with the last handle. They are asked only while anybody listens.
    pub(super) fn follow(&self, api: Api, alerts: AlertsCache) {
        let publisher = self.messages.downgrade();
        tokio::spawn(async move {
            let mut told = (Arc::default(), Vec::new());
            loop {
                tokio::time::sleep(alerts.pace()).await;
                let Some(messages) = publisher.upgrade() else { return };
                if messages.receiver_count() == 0 {
                    continue;
                }
                let now = (alerts.get(&api).await, resting(&api));
                if now != told {
                    let _ = messages.send(Message::Alerts);
                }
                told = now;
            }
        });
    }
}

/// The services that have changed since; too many are none to be told one by one.
fn message(api: &Api, scope: &Scope, since: u64) -> Message {
    let changed = api.board.newer_than(since);
    if changed.len() > MOST {
        return Message::Resync;
    }
    let names: HashSet<&str> = changed.iter().map(|(name, _)| &**name).collect();
    let plan = Arc::clone(&api.in_force.borrow().plan);
    // A group shows what its replicas are.
    let affected = plan.services.iter().filter(|spec| {
        names.contains(spec.name.as_str())
            || (spec.replicas.is_some() && names.iter().any(|name| name.starts_with(spec.name.as_str())))
    });
    let services: Vec<Service> =
        affected.filter(|spec| scope.shows(&spec.name)).map(|spec| scope.veil(describe(spec, api))).collect();
    let changed: Vec<Changed<'_>> = services.iter().map(|service| Changed::of(service, scope)).collect();
    serde_json::to_string(&changed).map_or(Message::Resync, |changed| Message::Services(changed.into()))
}

impl<'s> Changed<'s> {
    fn of(service: &'s Service, scope: &Scope) -> Self {
        let private = matches!(scope, Scope::Operators);
        Self {
            name: &service.name,
            state: service.state.name(),
            class: class(service.state),
            word: render::word(service.state),
            since: render::since(service),
            detail: private.then(|| render::detail(service)),
            cpu: private.then(|| render::percent_of_core(service.cpu_percent)),
            memory: private.then(|| render::bytes(service.memory_bytes)),
            response: Some(render::response(service.response_time_seconds)),
        }
    }
}

/// The stream of one listener.
struct Listener {
    messages: broadcast::Receiver<Message>,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn stream(
    State(page): State<Page>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let place = Arc::clone(&page.events.places)
        .try_acquire_owned()
        .map_err(|_| ApiError::unavailable(format!("{LISTENERS} others listen already")))?;
    let listener = Listener { messages: page.events.messages.subscribe(), _place: place };
    let events = unfold(listener, |mut listener| async move {
        let event = match listener.messages.recv().await {
            Ok(Message::Services(changed)) => Event::default().event("services").data(&*changed),
            Ok(Message::Alerts) => Event::default().event("alerts").data(CHANGED),
            Ok(Message::Resync) | Err(RecvError::Lagged(_)) => Event::default().event("resync").data(CHANGED),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(event), listener))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}
