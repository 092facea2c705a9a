//! Two servers side by side, and what was promised of the second.

use std::fmt;

/// A quantity of both servers.
pub(crate) struct Comparison {
    what: String,
    ours: f64,
    theirs: Option<f64>,
    unit: &'static str,
    promise: Option<(String, Option<bool>)>,
}

/// All of a run.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Comparison>,
}

impl Comparison {
    pub(crate) fn new(what: &str, ours: f64, theirs: Option<f64>, unit: &'static str) -> Self {
        Self { what: what.to_owned(), ours, theirs, unit, promise: None }
    }

    /// Measured on the engine only.
    pub(crate) fn ours(what: &str, ours: f64, unit: &'static str) -> Self {
        Self::new(what, ours, None, unit)
    }

    /// Promised to be at least so many times the server's.
    pub(crate) fn at_least_times(self, factor: f64) -> Self {
        let kept = self.theirs.map(|theirs| self.ours >= factor * theirs);
        self.promised(format!(">= {factor} x"), kept)
    }

    /// Promised to be at most that part of the server's.
    pub(crate) fn at_most_one_in(self, divisor: f64) -> Self {
        let kept = self.theirs.map(|theirs| self.ours * divisor <= theirs);
        self.promised(format!("<= 1/{divisor}"), kept)
    }

    pub(crate) fn under(self, limit: f64) -> Self {
        let (promise, kept) = (format!("< {limit} {}", self.unit), self.ours < limit);
        self.promised(promise, Some(kept))
    }

    pub(crate) fn above(self, limit: f64) -> Self {
        let (promise, kept) = (format!("> {limit} {}", self.unit), self.ours > limit);
        self.promised(promise, Some(kept))
    }

    fn promised(mut self, promise: String, kept: Option<bool>) -> Self {
        self.promise = Some((promise, kept));
        self
    }

    /// How the engine's stands to the server's.
    fn ratio(&self) -> Option<String> {
        let theirs = self.theirs.filter(|theirs| *theirs > 0.0 && self.ours > 0.0)?;
        let ratio = self.ours / theirs;
        Some(if ratio >= 1.0 { format!("{ratio:.1} x") } else { format!("1/{:.1}", 1.0 / ratio) })
    }
}

impl Table {
    pub(crate) fn add(&mut self, row: Comparison) {
        println!("  {}: {}", row.what, quantity(row.ours, row.unit));
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["figure", "server", "engine", "ratio", "promised", "kept"].map(str::to_owned);
        write_row(f, &head)?;
        writeln!(f, "|{:-<38}|{:-<11}:|{:-<11}:|{:-<9}:|{:-<12}:|{:-<6}|", "", "", "", "", "", "")?;
        for row in &self.rows {
            let (promise, kept) = row.promise.clone().unwrap_or_default();
            let kept = kept.map_or("", |kept| if kept { "yes" } else { "NO" }).to_owned();
            let theirs = row.theirs.map(|theirs| quantity(theirs, row.unit)).unwrap_or_default();
            let ratio = row.ratio().unwrap_or_default();
            write_row(f, &[row.what.clone(), theirs, quantity(row.ours, row.unit), ratio, promise, kept])?;
        }
        Ok(())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, [what, theirs, ours, ratio, promise, kept]: &[String; 6]) -> fmt::Result {
    writeln!(f, "| {what:<36} | {theirs:>10} | {ours:>10} | {ratio:>8} | {promise:>11} | {kept:<4} |")
}

/// Three digits that count.
fn quantity(value: f64, unit: &str) -> String {
    let decimals = if value >= 100.0 { 0 } else if value >= 10.0 { 1 } else { 2 };
    format!("{value:.decimals$} {unit}")
}
