//! Findings beside what was promised.

use std::fmt;
use std::time::Duration;

/// One finding.
pub(crate) struct Figure {
    what: &'static str,
    measured: String,
    promised: Option<String>,
    kept: Option<bool>,
    value: f64,
}

/// A measured quantity: how it is written, and its value in the promise's unit.
pub(crate) struct Measure {
    text: String,
    value: f64,
}

/// All findings of a run.
pub(crate) struct Table {
    title: String,
    figures: Vec<Figure>,
}

impl Figure {
    /// A finding about which nothing was promised.
    pub(crate) fn new(what: &'static str, measure: Measure) -> Self {
        Self { what, measured: measure.text, promised: None, kept: None, value: measure.value }
    }

    /// It was promised to stay under this: a number and the unit that the measure is written in.
    pub(crate) fn under(mut self, promised: &'static str) -> Self {
        self.promised = Some(format!("< {promised}"));
        self.kept = Some(self.value < number(promised));
        self
    }

    /// It was promised to reach this.
    pub(crate) fn over(mut self, promised: &'static str) -> Self {
        self.promised = Some(format!(">= {promised}"));
        self.kept = Some(self.value >= number(promised));
        self
    }
}

fn number(promised: &str) -> f64 {
    promised.split(' ').next().and_then(|number| number.parse().ok()).expect("a number first")
}

impl Table {
    pub(crate) fn new(services: usize, window: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let title = format!("{services} units watched every 30 s, CPU time over {window:?}, {cores} cores");
        Self { title, figures: Vec::new() }
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        println!("  {}: {}", figure.what, figure.measured);
        self.figures.push(figure);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        writeln!(f, "| {:<39} | {:>12} | {:>13} | {:<4} |", "figure", "measured", "promised", "kept")?;
        writeln!(f, "|{:-<41}|{:-<13}:|{:-<14}:|{:-<6}|", "", "", "", "")?;
        for figure in &self.figures {
            let promised = figure.promised.as_deref().unwrap_or_default();
            let kept = figure.kept.map_or("", |kept| if kept { "yes" } else { "NO" });
            writeln!(f, "| {:<39} | {:>12} | {promised:>13} | {kept:<4} |", figure.what, figure.measured)?;
        }
        Ok(())
    }
}

pub(crate) fn megabytes(bytes: u64) -> Measure {
    let value = bytes as f64 / 1e6;
    Measure { text: format!("{value:.1} MB"), value }
}

pub(crate) fn millions(count: f64) -> Measure {
    let value = count / 1e6;
    Measure { text: format!("{value:.1} million"), value }
}

pub(crate) fn thousands(count: f64) -> Measure {
    let value = count / 1e3;
    Measure { text: format!("{value:.0} thousand"), value }
}

pub(crate) fn percent(share: f64) -> Measure {
    let value = share * 100.0;
    Measure { text: format!("{value:.2} %"), value }
}

pub(crate) fn seconds(duration: Duration) -> Measure {
    let value = duration.as_secs_f64();
    Measure { text: format!("{value:.2} s"), value }
}

pub(crate) fn milliseconds(duration: Duration) -> Measure {
    let value = duration.as_secs_f64() * 1e3;
    Measure { text: format!("{value:.1} ms"), value }
}
