//! The log: readable lines for people, JSON for machines, fields of its own for journald.

use std::fmt;
use std::io::IsTerminal;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::LogFormat;
use crate::error::RunError;

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
        Some(LogFormat::Human) => Sink::Human,
        Some(LogFormat::Json) => Sink::Json,
        None if std::env::var_os("JOURNAL_STREAM").is_some() => {
            tracing_journald::layer().map_or(Sink::Human, |layer| Sink::Journald(layer.with_field_prefix(None)))
        }
        None => Sink::Human,
    }
}

fn human<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let terminal = std::io::stdout().is_terminal();
    tracing_subscriber::fmt::layer()
        .compact()
        .with_target(false)
        .with_ansi(terminal)
        .with_timer(WallTime { date: !terminal })
}

/// UTC to the millisecond; the date only where the line may be read on another day.
struct WallTime {
    date: bool,
}

impl FormatTime for WallTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, millis) = (since.as_secs(), since.subsec_millis());
        if self.date {
            let (year, month, day) = civil_date(seconds / 86_400);
            write!(writer, "{year:04}-{month:02}-{day:02}T")?;
        }
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(writer, "{hour:02}:{minute:02}:{second:02}.{millis:03}{}", if self.date { "Z" } else { "" })
    }
}

/// Year, month and day of a day since the epoch, in the proleptic Gregorian calendar (Howard Hinnant, `civil_from_days`).
fn civil_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(20_777), (2026, 11, 20));
        assert_eq!(civil_date(47_540), (2100, 2, 28));
        assert_eq!(civil_date(47_541), (2100, 3, 1));
    }

    #[test]
    fn a_bad_filter_says_where_it_came_from() {
        let error = filter(Some("dixmgr=loud")).map(|_| ()).map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("[log] filter")));
    }
}
