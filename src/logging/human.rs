//! A line of the log for people: time, message, and what else is known in brackets.
//!
//! Fields that the message has said already, and empty ones, are left out; JSON and the journal have them all.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::registry::LookupSpan;

use super::time::WallTime;

/// Longest value that is shown in full.
const MAX_VALUE: usize = 400;

/// How lines for people look.
pub(super) struct HumanLine {
    pub(super) time: WallTime,
}

impl<S, N> FormatEvent<S, N> for HumanLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut seen = Seen::default();
        event.record(&mut seen);
        let (dim, colour, plain) = colours(*event.metadata().level(), writer.has_ansi_escapes());
        write!(writer, "{dim}")?;
        self.time.format_time(&mut writer)?;
        write!(writer, "{plain} {colour}{:5}{plain} {}", event.metadata().level(), seen.message)?;
        let fields = seen.rest();
        if !fields.is_empty() {
            write!(writer, "  {dim}[{fields}]{plain}")?;
        }
        writeln!(writer)
    }
}

fn colours(level: Level, ansi: bool) -> (&'static str, &'static str, &'static str) {
    let colour = match level {
        _ if !ansi => return ("", "", ""),
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG | Level::TRACE => "\x1b[34m",
    };
    ("\x1b[2m", colour, "\x1b[0m")
}

/// The fields of one event.
#[derive(Default)]
struct Seen {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Seen {
    /// What the message does not say, as `name=value`.
    fn rest(&self) -> String {
        let mut rest = String::new();
        for (name, value) in &self.fields {
            let said = *name == "error" && self.message.ends_with(value.as_str())
                || matches!(*name, "service" | "unit") && self.message.split([' ', ':', ',']).any(|word| word == value);
            let repeated = *name == "unit" && self.fields.iter().any(|(other, v)| *other == "service" && v == value);
            if value.is_empty() || said || repeated {
                continue;
            }
            let space = if rest.is_empty() { "" } else { " " };
            let short = value.char_indices().nth(MAX_VALUE).map_or(value.as_str(), |(end, _)| &value[..end]);
            let cut = if short.len() < value.len() { "…" } else { "" };
            let _ = write!(rest, "{space}{name}={short}{cut}");
        }
        rest
    }

    fn add(&mut self, field: &Field, value: &str) {
        // A line is a line, whatever an error text holds; and no text may drive the terminal.
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if field.name() == "message" { self.message = value } else { self.fields.push((field.name(), value)) }
    }
}

impl Visit for Seen {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(message: &str, fields: &[(&'static str, &str)]) -> Seen {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Seen { message: message.to_owned(), fields }
    }

    #[test]
    fn what_the_message_says_is_not_said_twice() {
        let decision = seen("api failed", &[("service", "api"), ("decision", "restart"), ("reason", "unit_failed")]);
        assert_eq!(decision.rest(), "decision=restart reason=unit_failed");
        let change = seen("unit changed", &[("service", "api"), ("unit", "api"), ("result", ""), ("to", "active")]);
        assert_eq!(change.rest(), "service=api to=active");
        let apart = seen("unit changed", &[("service", "api"), ("unit", "api.service")]);
        assert_eq!(apart.rest(), "service=api unit=api.service");
    }
}
