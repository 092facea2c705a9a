//! The log: readable lines for people, JSON for machines, fields of its own for journald.

mod human;
mod time;

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::LogFormat;
use crate::error::RunError;

use human::HumanLine;
use time::WallTime;

/// What is logged unless asked otherwise: our own story, and of the libraries only what goes wrong.
const DEFAULT_FILTER: &str = "warn,dixmgr=info,dixmgr_activities=info,dixmgr_workflows=info,dixmgr_engine=info";
/// The environment variable that holds a filter.
const VARIABLE: &str = "DIXMGR_LOG";

/// Starts logging.
///
/// # Errors
/// The filter cannot be read.
pub fn start(format: Option<LogFormat>, file_filter: Option<&str>) -> Result<(), RunError> {
    let registry = Registry::default().with(filter(file_filter)?);
    let result = match sink(format) {
        Sink::Journald(layer) => registry.with(layer).try_init(),
        Sink::Json => registry.with(tracing_subscriber::fmt::layer().json().flatten_event(true)).try_init(),
        Sink::Human => registry.with(human()).try_init(),
    };
    result.map_err(|error| RunError::Setup { what: "logging", detail: error.to_string() })
}

fn filter(file_filter: Option<&str>) -> Result<EnvFilter, RunError> {
    let from_environment = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let (filter, origin) = match (from_environment, file_filter) {
        (Some(filter), _) => (filter, "DIXMGR_LOG"),
        (None, Some(filter)) => (filter.to_owned(), "[log] filter"),
        (None, None) => (DEFAULT_FILTER.to_owned(), "default"),
    };
    EnvFilter::try_new(&filter).map_err(|error| RunError::LogFilter { filter, origin, detail: error.to_string() })
}

enum Sink {
    Human,
    Json,
    Journald(tracing_journald::Layer),
}

/// An explicit form wins; under systemd the journal gets fields instead of text.
fn sink(format: Option<LogFormat>) -> Sink {
    match format {
        Some(LogFormat::Json) => Sink::Json,
        None if is_journal() => {
            tracing_journald::layer().map_or(Sink::Human, |layer| Sink::Journald(layer.with_field_prefix(None)))
        }
        Some(LogFormat::Human) | None => Sink::Human,
    }
}

/// Whether standard output is the journal, as systemd.exec(5) says to find out: a variable alone may be inherited.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stdout()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

fn human<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let terminal = std::io::stdout().is_terminal();
    let line = HumanLine { time: WallTime { date: !terminal } };
    tracing_subscriber::fmt::layer().with_ansi(terminal).event_format(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_says_where_it_came_from() {
        let error = filter(Some("dixmgr=loud")).map(|_| ()).map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("[log] filter")));
    }
}
