//! Silences: which alerts they are for, and when. Alertmanager's meaning throughout
//! (<https://prometheus.io/docs/alerting/latest/alertmanager/#silences>): every matcher must fit, a regular expression stands for
//! the whole value, and a label that is not there counts as empty.
//!
//! - here: silences that are ready to be matched, and what makes one acceptable;
//! - [`book`]: the silences of a daemon, and how they change;
//! - [`text`]: matchers as people write them;
//! - [`maintenance`]: windows, from which the clock makes silences.

pub mod book;
pub mod maintenance;
pub mod text;

use std::collections::BTreeMap;

use dixmgr_model::{Matcher, Silence, SilenceState};
use regex_lite::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Most matchers of one silence.
pub const MAX_MATCHERS: usize = 16;
/// Longest texts, in bytes.
const MAX_ID: usize = 200;
const MAX_LABEL: usize = 128;
const MAX_VALUE: usize = 512;
const MAX_AUTHOR: usize = 200;
const MAX_COMMENT: usize = 1_000;
/// Largest compiled expression, in bytes: nobody's pattern is to cost us more.
const MAX_PATTERN: usize = 32 * 1024;

/// Labels of an alert.
pub type AlertLabels = BTreeMap<String, String>;

/// Why a silence cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// It is for everything.
    #[error("at least one matcher must not match the empty string; a silence of everything is not taken")]
    MatchesAll,
    /// It has none, or too many.
    #[error("there may be 1 to {MAX_MATCHERS} matchers, not {0}")]
    Matchers(usize),
    /// Not the name of a label.
    #[error("{0:?} is not the name of a label; write letters, digits and _, at most {MAX_LABEL}")]
    Label(String),
    /// Not an expression.
    #[error("{value:?} is not a regular expression: {detail}")]
    Pattern {
        /// What stood there.
        value: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A text is too long.
    #[error("{what} is longer than {limit} bytes")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// How long it may be.
        limit: usize,
    },
    /// It ends before it begins.
    #[error("the end must be after the start")]
    Backwards,
    /// It would be over at once.
    #[error("the end must not be in the past")]
    Past,
    /// There is no room for it.
    #[error("there are too many silences already; let some expire")]
    Full,
}

/// Silences, ready to be matched. Stored as what they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Silence>", into = "Vec<Silence>")]
pub struct Silences {
    list: Vec<Compiled>,
}

#[derive(Debug, Clone)]
struct Compiled {
    silence: Silence,
    /// For each matcher its expression, if it is one. One that cannot be read fits nothing.
    patterns: Vec<Option<Regex>>,
}

impl Silences {
    /// The silences that are for an alert with these labels and in force at `now`.
    pub fn muting<'s>(&'s self, labels: &'s AlertLabels, now: u64) -> impl Iterator<Item = &'s Silence> + 's {
        let own = self.list.iter().filter(move |own| own.silence.state(now) == SilenceState::Active);
        own.filter(|own| own.fits(labels)).map(|own| &own.silence)
    }

    /// The silences that are for an alert with these labels, whenever they are in force.
    pub fn selecting<'s>(&'s self, labels: &'s AlertLabels) -> impl Iterator<Item = &'s Silence> + 's {
        self.list.iter().filter(move |own| own.fits(labels)).map(|own| &own.silence)
    }

    /// Whether nobody is to be told now that an alert with these labels fires.
    #[must_use]
    pub fn mutes(&self, labels: &AlertLabels, now: u64) -> bool {
        self.muting(labels, now).next().is_some()
    }

    /// When the next silence begins or ends by itself, whatever it is for.
    #[must_use]
    pub fn wake_at(&self, now: u64) -> Option<u64> {
        let times = self.list.iter().flat_map(|own| [own.silence.starts_at, own.silence.ends_at]);
        times.filter(|at| *at > now).min()
    }

    /// What they are.
    pub fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.list.iter().map(|own| &own.silence)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl PartialEq for Silences {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl From<Vec<Silence>> for Silences {
    fn from(list: Vec<Silence>) -> Self {
        let compiled = |silence: Silence| {
            let pattern = |matcher: &Matcher| matcher.is_regex.then(|| pattern(&matcher.value).ok()).flatten();
            Compiled { patterns: silence.matchers.iter().map(pattern).collect(), silence }
        };
        Self { list: list.into_iter().map(compiled).collect() }
    }
}

impl From<Silences> for Vec<Silence> {
    fn from(silences: Silences) -> Self {
        silences.list.into_iter().map(|own| own.silence).collect()
    }
}

impl Compiled {
    fn fits(&self, labels: &AlertLabels) -> bool {
        let matchers = self.silence.matchers.iter().zip(&self.patterns);
        let mut fitting = matchers.map(|(matcher, pattern)| {
            let value = labels.get(&matcher.name).map_or("", String::as_str);
            fits(matcher, pattern.as_ref(), value)
        });
        // None at all would be a silence of everything, which is not taken.
        !self.silence.matchers.is_empty() && fitting.all(|fits| fits)
    }
}

/// Whether a value fits. An expression that cannot be read fits nothing, whichever way round it is asked for.
fn fits(matcher: &Matcher, pattern: Option<&Regex>, value: &str) -> bool {
    match (matcher.is_regex, pattern) {
        (false, _) => (matcher.value == value) == matcher.is_equal,
        (true, Some(pattern)) => pattern.is_match(value) == matcher.is_equal,
        (true, None) => false,
    }
}

/// A regular expression for the whole of a value. It is checked by itself first, so that it cannot leave its brackets.
fn pattern(text: &str) -> Result<Regex, regex_lite::Error> {
    let build = |text: &str| RegexBuilder::new(text).size_limit(MAX_PATTERN).build();
    build(text)?;
    build(&format!("^(?:{text})$"))
}

/// Whether matchers fit an alert's labels, for those who ask once.
#[must_use]
pub fn matches(matchers: &[Matcher], labels: &AlertLabels) -> bool {
    matchers.iter().all(|matcher| {
        let value = labels.get(&matcher.name).map_or("", String::as_str);
        let pattern = matcher.is_regex.then(|| pattern(&matcher.value).ok()).flatten();
        fits(matcher, pattern.as_ref(), value)
    })
}

/// Checks a silence that is to be taken at `now`.
///
/// # Errors
/// What is wrong with it.
pub fn check(silence: &Silence, now: u64) -> Result<(), SilenceError> {
    check_matchers(&silence.matchers)?;
    let texts = [
        ("the silence's id", silence.id.len(), MAX_ID),
        ("the author's name", silence.created_by.len(), MAX_AUTHOR),
        ("the comment", silence.comment.len(), MAX_COMMENT),
    ];
    if let Some((what, _, limit)) = texts.into_iter().find(|(_, length, limit)| length > limit) {
        return Err(SilenceError::TooLong { what, limit });
    }
    if silence.ends_at <= silence.starts_at {
        return Err(SilenceError::Backwards);
    }
    if silence.ends_at <= now {
        return Err(SilenceError::Past);
    }
    Ok(())
}

/// Checks matchers one by one: their number, their labels, their expressions.
///
/// # Errors
/// What is wrong with them.
pub fn check_form(matchers: &[Matcher]) -> Result<(), SilenceError> {
    if matchers.is_empty() || matchers.len() > MAX_MATCHERS {
        return Err(SilenceError::Matchers(matchers.len()));
    }
    matchers.iter().try_for_each(|matcher| check_matcher(matcher).map(drop))
}

/// Checks the matchers of a silence.
///
/// # Errors
/// What is wrong with them.
pub fn check_matchers(matchers: &[Matcher]) -> Result<(), SilenceError> {
    if matchers.is_empty() || matchers.len() > MAX_MATCHERS {
        return Err(SilenceError::Matchers(matchers.len()));
    }
    let mut narrows = false;
    for matcher in matchers {
        let pattern = check_matcher(matcher)?;
        narrows |= !fits(matcher, pattern.as_ref(), "");
    }
    if narrows { Ok(()) } else { Err(SilenceError::MatchesAll) }
}

fn check_matcher(matcher: &Matcher) -> Result<Option<Regex>, SilenceError> {
    if !is_label(&matcher.name) {
        return Err(SilenceError::Label(matcher.name.chars().take(MAX_LABEL).collect()));
    }
    if matcher.value.len() > MAX_VALUE {
        return Err(SilenceError::TooLong { what: "the value of a matcher", limit: MAX_VALUE });
    }
    if !matcher.is_regex {
        return Ok(None);
    }
    let detail = |error: regex_lite::Error| SilenceError::Pattern {
        value: matcher.value.clone(),
        detail: crate::detail(&error.to_string()),
    };
    pattern(&matcher.value).map(Some).map_err(detail)
}

/// Whether a text is the name of a label, as Prometheus has them.
pub(crate) fn is_label(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty()
        && name.len() <= MAX_LABEL
        && name.chars().all(good)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
#[path = "silence_tests.rs"]
mod tests;
