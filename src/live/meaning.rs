//! A document, and the flags that go over it: all that a configuration means for this daemon.

use std::sync::Arc;

use dixmgr_model::Plan;

use super::difference::arrow;
use crate::cli::RunRequest;
use crate::config::{Alerts, Document};
use crate::settings::{ApiSettings, Settings};

/// What a configuration means.
#[derive(Debug, Clone)]
pub(crate) struct Meaning {
    /// The services.
    pub(crate) plan: Arc<Plan>,
    /// Alerts, with what the flags say of them.
    pub(crate) alerts: Alerts,
    /// The daemon itself, with what the flags say of it.
    pub(crate) settings: Settings,
}

impl Meaning {
    /// Puts the flags over a document.
    pub(crate) fn of(request: &RunRequest, document: &Document) -> Self {
        let settings = Settings::resolve(request, &document.config.settings);
        let alerts = document.config.alerts.clone().with(&settings.alerts);
        Self { plan: Arc::new(document.config.plan.clone()), alerts, settings }
    }
}

/// What differs from the settings that dixmgr was started with, and that only a start takes up.
pub(super) fn needs_restart(started: &Settings, wanted: &Settings) -> Vec<String> {
    let api = |settings: &Settings, of: fn(&ApiSettings) -> String| settings.api.as_ref().map(of).unwrap_or_default();
    let public = |settings: &ApiSettings| match &settings.public {
        None => "not public".to_owned(),
        Some(shown) if shown.services.is_empty() => "public, all services".to_owned(),
        Some(shown) => format!("public, {}", shown.services.join(", ")),
    };
    let history = |settings: &Settings| settings.history.as_ref().and_then(|history| history.postgres.clone());
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let named = |value: Option<String>| value.unwrap_or_default();
    let lower = |value: String| value.to_lowercase();
    let values = |settings: &Settings| {
        [
            ("temporal.hostport", text(&settings.temporal_host)),
            ("temporal.namespace", settings.namespace.clone()),
            ("temporal.taskqueue", settings.task_queue.clone()),
            ("metrics.listen", named(settings.metrics.map(|address| address.to_string()))),
            ("metrics.namespace", settings.metrics_namespace.clone()),
            ("api.listen", api(settings, |api| api.listen.to_string())),
            ("status", settings.api.as_ref().map(public).unwrap_or_default()),
            ("history.postgres", named(history(settings).map(|own| own.address().to_owned()))),
            ("history.host", named(history(settings).map(|own| own.host().to_owned()))),
            ("engine.synchronous", lower(format!("{:?}", settings.synchronous))),
            ("engine.listen", named(settings.listen.as_ref().map(|engine| engine.listen.to_string()))),
            ("log.format", named(settings.log_format.map(|format| lower(format!("{format:?}"))))),
            ("log.filter", text(&settings.log_filter)),
        ]
    };
    let pairs = values(started).into_iter().zip(values(wanted));
    let mut lines: Vec<String> = pairs
        .filter(|((_, from), (_, to))| from != to)
        .map(|((key, from), (_, to))| format!("{key} {}", arrow(&from, &to)))
        .collect();
    let secured = |settings: &Settings| settings.listen.as_ref().map(|own| (own.tls.clone(), own.api_key.clone()));
    if started.listen.is_some() && wanted.listen.is_some() && secured(started) != secured(wanted) {
        lines.push("how engine.listen is secured".to_owned());
    }
    lines
}
