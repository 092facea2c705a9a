//! Writes families and samples in Prometheus' text format 0.0.4.

use std::fmt::{Display, Write as _};

/// Type of a family, as the format names it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The lines of one family.
#[derive(Debug)]
pub(super) struct Family<'a> {
    page: &'a mut String,
    name: String,
}

impl<'a> Family<'a> {
    /// Begins a family. `help` holds no line break and no backslash.
    pub(super) fn begin(page: &'a mut String, namespace: &str, name: &str, kind: Kind, help: &str) -> Self {
        let name = format!("{namespace}_{name}");
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        append(page, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Self { page, name }
    }

    /// One sample; `labels` are rendered already, without braces.
    pub(super) fn integer(&mut self, labels: &str, value: u64) {
        append(self.page, format_args!("{}{{{labels}}} {value}\n", self.name));
    }

    /// One sample of a floating-point value.
    pub(super) fn float(&mut self, labels: &str, value: f64) {
        append(self.page, format_args!("{}{{{labels}}} {}\n", self.name, Float(value)));
    }

    /// One histogram: `cumulative[i]` observations are at most `bounds[i]`.
    pub(super) fn histogram(&mut self, labels: &str, bounds: &[f64], cumulative: &[u64], count: u64, sum: f64) {
        let name = &self.name;
        for (bound, value) in bounds.iter().zip(cumulative) {
            append(self.page, format_args!("{name}_bucket{{{labels},le=\"{}\"}} {value}\n", Float(*bound)));
        }
        append(self.page, format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n"));
        append(self.page, format_args!("{name}_sum{{{labels}}} {}\n", Float(sum)));
        append(self.page, format_args!("{name}_count{{{labels}}} {count}\n"));
    }
}

/// A number in the spelling of Go's `ParseFloat`, which the format refers to.
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

fn append(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = page.write_fmt(text);
}
