//! A page of metrics in Prometheus' text format, read strictly: a line that is none fails the test.

use std::collections::BTreeMap;

/// One series: its name and labels.
type Series = (String, BTreeMap<String, String>);

/// The samples of one scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    samples: Vec<(Series, f64)>,
}

impl Metrics {
    /// Reads a page.
    ///
    /// # Panics
    /// When a line is neither a comment nor a sample, or when a series stands there twice.
    #[must_use]
    pub fn parse(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples: Vec<_> =
            lines.map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line:?}"))).collect();
        let mut names: Vec<&Series> = samples.iter().map(|(series, _)| series).collect();
        names.sort();
        let mut pairs = names.iter().zip(names.iter().skip(1));
        if let Some((series, _)) = pairs.find(|(one, next)| one == next) {
            panic!("twice on the page: {series:?}");
        }
        Self { samples }
    }

    /// Names and labels of all series.
    pub fn series(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, String>)> {
        self.samples.iter().map(|((name, labels), _)| (name.as_str(), labels))
    }

    /// Value of the one series with this name whose labels include `labels`; `None` when there is none.
    ///
    /// # Panics
    /// When several match.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut matching = self.matching(name, labels);
        let first = matching.next();
        assert!(matching.next().is_none(), "{name}{labels:?} matches several series");
        first
    }

    /// Sum over all series with this name whose labels include `labels`; 0 when there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).sum()
    }

    /// How many series have this name and include `labels`.
    #[must_use]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        self.matching(name, labels).count()
    }

    fn matching<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = f64> + 'a {
        self.samples
            .iter()
            .filter(move |((series, _), _)| series == name)
            .filter(move |((_, own), _)| {
                labels.iter().all(|(key, value)| own.get(*key).is_some_and(|own| own == value))
            })
            .map(|(_, value)| *value)
    }
}

fn sample(line: &str) -> Option<(Series, f64)> {
    let name_end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => read_labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = match rest.split_whitespace().next()? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    Some(((name.to_owned(), labels), value))
}

/// Labels up to the closing brace, and what follows it.
fn read_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (key, after) = rest.split_once("=\"")?;
        let (value, after) = read_quoted(after)?;
        labels.insert(key.to_owned(), value);
        rest = after;
    }
}

/// An escaped value up to its closing quote, and what follows it.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"# HELP dixmgr_service_health Whether it is healthy.
# TYPE dixmgr_service_health gauge
dixmgr_service_health{service="a",type="",chain=""} 1
dixmgr_service_health{service="b \"c\", d}",type="x",chain=""} 0
up 1e3
le_bucket{le="+Inf"} +Inf
"#;

    #[test]
    fn reads_a_page() {
        let metrics = Metrics::parse(PAGE);
        assert_eq!(metrics.get("dixmgr_service_health", &[("service", "a")]), Some(1.0));
        assert_eq!(metrics.get("dixmgr_service_health", &[("service", "b \"c\", d}")]), Some(0.0));
        assert_eq!(metrics.get("dixmgr_service_health", &[("service", "c")]), None);
        assert_eq!(metrics.get("up", &[]), Some(1000.0));
        assert_eq!(metrics.get("le_bucket", &[("le", "+Inf")]), Some(f64::INFINITY));
        assert_eq!(metrics.count("dixmgr_service_health", &[]), 2);
        assert!((metrics.sum("dixmgr_service_health", &[]) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    #[should_panic(expected = "twice on the page")]
    fn refuses_a_series_that_stands_there_twice() {
        let _ = Metrics::parse("up{a=\"1\"} 1\nup{a=\"1\"} 2\n");
    }

    #[test]
    #[should_panic(expected = "not a sample")]
    fn refuses_what_is_no_sample() {
        let _ = Metrics::parse("up{a=\"1} 1\n");
    }
}
