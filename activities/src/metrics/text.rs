//! Writes families and samples: Prometheus' text format 0.0.4, or OpenMetrics 1.0 for who asks for it.
//!
//! The two differ in how a counter's family is named (without `_total` in OpenMetrics), in the spelling of bucket bounds
//! (always with a fraction), in what says since when a counter counts (`_created`), and in the last line (`# EOF`).

use std::fmt::{Display, Write as _};

/// What a page is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The media type, as the `Content-Type` header has it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Type of a family, as the formats name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page that is being written, or a piece of one.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    format: Format,
    /// Since when everything on it counts, in seconds since the epoch, as it is written.
    created: Option<String>,
}

impl Page {
    /// An empty page, of about `size` bytes in the end. `created`: since when its counters count, in seconds since the epoch.
    pub(super) fn new(format: Format, size: usize, created: Option<f64>) -> Self {
        let created = created.filter(|_| format == Format::OpenMetrics).map(|seconds| Float(seconds).to_string());
        Self { text: String::with_capacity(size), format, created }
    }

    /// What was written, after which comes another piece.
    pub(super) fn cut(self) -> String {
        self.text
    }

    /// What was written, and after it the end of the page.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// Where text of the page's own format can be added.
    pub(super) fn text(&mut self) -> &mut String {
        &mut self.text
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }
}

/// The lines of one family.
#[derive(Debug)]
pub(super) struct Family<'a> {
    page: &'a mut Page,
    kind: Kind,
    /// The family's name; samples of a counter have `_total` after it.
    name: String,
}

impl<'a> Family<'a> {
    /// Begins a family. `name` is that of a counter's samples, with its `_total`.
    pub(super) fn begin(page: &'a mut Page, name: &str, kind: Kind, help: &str) -> Self {
        let stem = if kind == Kind::Counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
        let (family, kind_name) = match (page.format, kind) {
            (Format::Text, Kind::Counter) => (name, "counter"),
            (Format::OpenMetrics, Kind::Counter) => (stem, "counter"),
            (_, Kind::Gauge) => (name, "gauge"),
            (_, Kind::Histogram) => (name, "histogram"),
        };
        let help = Help(help, page.format);
        append(&mut page.text, format_args!("# HELP {family} {help}\n# TYPE {family} {kind_name}\n"));
        if let (Format::OpenMetrics, Some(unit)) = (page.format, unit(stem)) {
            append(&mut page.text, format_args!("# UNIT {family} {unit}\n"));
        }
        Self { kind, name: stem.to_owned(), page }
    }

    /// One sample; `labels` are rendered already, without braces, in pieces.
    pub(super) fn integer(&mut self, labels: &[&str], value: u64) {
        self.sample(labels, Value::Integer(value));
    }

    /// One sample of a floating-point value.
    pub(super) fn float(&mut self, labels: &[&str], value: f64) {
        self.sample(labels, Value::Float(value));
    }

    fn sample(&mut self, labels: &[&str], value: Value<'_>) {
        let suffix = if self.kind == Kind::Counter { "_total" } else { "" };
        self.line(suffix, labels, value);
        if self.kind == Kind::Counter {
            self.created(labels);
        }
    }

    /// One histogram: `cumulative` are its bounds, each with how many observations are at most that.
    pub(super) fn histogram(
        &mut self,
        labels: &str,
        cumulative: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        let comma = if labels.is_empty() { "" } else { "," };
        let (name, format) = (&self.name, self.page.format);
        for (bound, value) in cumulative.filter(|(bound, _)| bound.is_finite()) {
            let bound = Bound(bound, format);
            append(&mut self.page.text, format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {value}\n"));
        }
        append(&mut self.page.text, format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}\n"));
        self.line("_sum", &[labels], Value::Float(sum));
        self.line("_count", &[labels], Value::Integer(count));
        self.created(&[labels]);
    }

    /// Since when the series that was just written counts.
    fn created(&mut self, labels: &[&str]) {
        if let Some(created) = self.page.created.take() {
            self.line("_created", labels, Value::Text(&created));
            self.page.created = Some(created);
        }
    }

    /// Of thousands of services there are hundreds of thousands of lines: without `fmt`, which takes three times as long.
    fn line(&mut self, suffix: &str, labels: &[&str], value: Value<'_>) {
        let page = &mut self.page.text;
        page.push_str(&self.name);
        page.push_str(suffix);
        if labels.iter().any(|piece| !piece.is_empty()) {
            page.push('{');
            page.extend(labels.iter().copied());
            page.push('}');
        }
        page.push(' ');
        value.write(page);
        page.push('\n');
    }
}

/// What a sample's line ends with.
enum Value<'a> {
    Integer(u64),
    Float(f64),
    Text(&'a str),
}

impl Value<'_> {
    fn write(self, page: &mut String) {
        match self {
            Self::Integer(value) => page.push_str(itoa::Buffer::new().format(value)),
            // Most are whole, and many of them 0.
            Self::Float(value) if (0.0..WHOLE).contains(&value) && value.fract() == 0.0 => {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "it is whole and small enough"
                )]
                page.push_str(itoa::Buffer::new().format(value as u64));
            }
            Self::Float(value) => append(page, format_args!("{}", Float(value))),
            Self::Text(value) => page.push_str(value),
        }
    }
}

/// Below this a floating-point number knows every whole number: 2^53.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// The unit that a family's name ends with, as OpenMetrics states it.
fn unit(name: &str) -> Option<&'static str> {
    ["seconds", "bytes"].into_iter().find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
}

/// A number in the spelling of Go's `ParseFloat`, which the formats refer to.
struct Float(f64);

impl Display for Float {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            value if value.is_infinite() => f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" }),
            value => write!(f, "{value}"),
        }
    }
}

/// A bucket's bound. In OpenMetrics it is always a float, so that `le="1"` and `le="1.0"` are not two series.
struct Bound(f64, Format);

impl Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1 {
            Format::Text => write!(f, "{}", self.0),
            Format::OpenMetrics => write!(f, "{:?}", self.0),
        }
    }
}

/// A help text, escaped.
struct Help<'a>(&'a str, Format);

impl Display for Help<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|character| match (character, self.1) {
            ('\\', _) => f.write_str("\\\\"),
            ('\n', _) => f.write_str("\\n"),
            ('"', Format::OpenMetrics) => f.write_str("\\\""),
            (character, _) => f.write_char(character),
        })
    }
}

fn append(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = page.write_fmt(text);
}
