//! What is otherwise in one configuration than in another, in words, and without secrets.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dixmgr_model::{Plan, ServiceSpec};

use super::facts::{Fact, Facts, Kind, Subject, others, service};
use super::meaning::Meaning;

/// Most lines of one difference, and most parts of its summary.
const LINES: usize = 200;
const PARTS: usize = 12;
/// Longest value that is shown, in characters.
const LONGEST: usize = 80;

/// The difference of two configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    changes: BTreeMap<Subject, What>,
}

/// How one subject differs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Added,
    Removed,
    /// Keys with their values before and after.
    Changed(Vec<(&'static str, Option<Fact>, Option<Fact>)>),
}

/// The value of a key before and after.
type Step<'d> = (&'d Option<Fact>, &'d Option<Fact>);

impl Difference {
    /// From one configuration to another.
    pub(crate) fn between(old: &Meaning, new: &Meaning) -> Self {
        let mut changes = services(&old.plan, &new.plan);
        let (mut before, after) = (others(old), others(new));
        for (subject, facts) in after {
            let what = match before.remove(&subject) {
                Some(old) => changed(&old, &facts),
                None => Some(What::Added),
            };
            changes.extend(what.map(|what| (subject, what)));
        }
        changes.extend(before.into_keys().map(|subject| (subject, What::Removed)));
        Self { changes }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// In a few words: "2 services added, 1 removed, 1 threshold changed, interval 5s → 10s".
    pub(crate) fn summary(&self) -> String {
        if self.is_empty() {
            return "nothing changed".to_owned();
        }
        let mut parts = self.counts();
        parts.extend(self.keys());
        let more = parts.len().saturating_sub(PARTS);
        parts.truncate(PARTS);
        if more > 0 {
            parts.push(format!("and {more} more"));
        }
        parts.join(", ")
    }

    /// One line for each thing that is otherwise.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.changes.iter().flat_map(|(subject, what)| lines(subject, what)).collect();
        let more = lines.len().saturating_sub(LINES);
        lines.truncate(LINES);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }

    /// What was added and removed, kind by kind; the noun stands once.
    fn counts(&self) -> Vec<String> {
        let kinds: BTreeSet<Kind> = self.changes.keys().map(|(kind, _)| *kind).collect();
        let mut parts = Vec::new();
        for kind in kinds {
            let count = |wanted: &What| {
                let own = self.changes.iter().filter(|((own, _), what)| *own == kind && *what == wanted);
                own.count()
            };
            let mut noun = Some(kind.noun());
            for (count, verb) in [(count(&What::Added), "added"), (count(&What::Removed), "removed")] {
                if count > 0 {
                    let noun = noun.take().map(|noun| format!(" {}", plural(noun, count))).unwrap_or_default();
                    parts.push(format!("{count}{noun} {verb}"));
                }
            }
        }
        parts
    }

    /// What became of keys. The same step for several subjects is told once.
    fn keys(&self) -> Vec<String> {
        let mut steps: BTreeMap<(Kind, &'static str), Vec<Step<'_>>> = BTreeMap::new();
        for ((kind, _), what) in &self.changes {
            let What::Changed(keys) = what else { continue };
            for (key, from, to) in keys {
                steps.entry((*kind, key)).or_default().push((from, to));
            }
        }
        steps.into_iter().map(|((kind, key), steps)| step(kind, key, &steps)).collect()
    }
}

fn step(kind: Kind, key: &'static str, steps: &[Step<'_>]) -> String {
    let count = steps.len();
    let last = key.rsplit('.').next().unwrap_or(key);
    if kind == Kind::Rule && last == "threshold" {
        return format!("{count} {} changed", plural("threshold", count));
    }
    let named = matches!(kind, Kind::Service | Kind::Rule | Kind::Channel | Kind::Route | Kind::Maintenance);
    let of = match count {
        1 => String::new(),
        count => format!(" of {count} {}", plural(kind.noun(), count)),
    };
    match (steps.iter().all(|step| step == &steps[0]), steps[0]) {
        (true, (Some(Fact::Shown(from)), Some(Fact::Shown(to)))) => format!("{key}{of} {}", arrow(from, to)),
        _ if kind == Kind::Channel => format!("{count} {} changed", plural("channel", count)),
        _ if named && count == 1 => format!("{key} of 1 {} changed", kind.noun()),
        _ => format!("{key}{of} changed"),
    }
}

fn services(old: &Plan, new: &Plan) -> BTreeMap<Subject, What> {
    let mut before: HashMap<&str, &ServiceSpec> = old.services.iter().map(|spec| (spec.name.as_str(), spec)).collect();
    let mut changes = BTreeMap::new();
    for spec in &new.services {
        let what = match before.remove(spec.name.as_str()) {
            None => Some(What::Added),
            Some(old) if old == spec => None,
            Some(old) => changed(&service(old), &service(spec)),
        };
        changes.extend(what.map(|what| ((Kind::Service, spec.name.clone()), what)));
    }
    changes.extend(before.into_keys().map(|name| ((Kind::Service, name.to_owned()), What::Removed)));
    changes
}

fn changed(old: &Facts, new: &Facts) -> Option<What> {
    let keys: BTreeSet<&'static str> = old.keys().chain(new.keys()).copied().collect();
    let keys = keys.into_iter().filter(|key| old.get(key) != new.get(key));
    let keys: Vec<_> = keys.map(|key| (key, old.get(key).cloned(), new.get(key).cloned())).collect();
    (!keys.is_empty()).then_some(What::Changed(keys))
}

fn lines((kind, name): &Subject, what: &What) -> Vec<String> {
    let subject = [kind.noun(), name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    match what {
        What::Added => vec![format!("{subject} added")],
        What::Removed => vec![format!("{subject} removed")],
        What::Changed(keys) => {
            let line = |(key, from, to): &(&'static str, Option<Fact>, Option<Fact>)| {
                let subject = if subject.is_empty() { String::new() } else { format!("{subject}: ") };
                match (from, to) {
                    (Some(Fact::Hidden(_)), _) | (_, Some(Fact::Hidden(_))) => format!("{subject}{key} changed"),
                    _ => format!("{subject}{key} {}", arrow(value(from.as_ref()), value(to.as_ref()))),
                }
            };
            keys.iter().map(line).collect()
        }
    }
}

fn value(fact: Option<&Fact>) -> &str {
    match fact {
        Some(Fact::Shown(text)) => text,
        Some(Fact::Hidden(_)) | None => "",
    }
}

/// From one value to another; what is not there is called so.
pub(super) fn arrow(from: &str, to: &str) -> String {
    let word = |text: &str| match text.char_indices().nth(LONGEST) {
        _ if text.is_empty() => "none".to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    };
    format!("{} → {}", word(from), word(to))
}

fn plural(noun: &str, count: usize) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

#[cfg(test)]
#[path = "difference_tests.rs"]
mod tests;
