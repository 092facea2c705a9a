//! A cursor over one TOML table that turns values into Rust ones and notes what is wrong on the way.
//!
//! serde stops at the first fault of a document; an operator wants all of them at once. So every getter here reports to
//! the [`FaultSink`] and answers `None`, and the caller goes on with the next key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use dixmgr_model::duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{FaultSink, Located, Place};
use super::suggest;

/// Longest duration that makes sense anywhere here, ten years.
const MAX_DURATION: Duration = Duration::from_hours(10 * 366 * 24);

/// One table being read.
pub(super) struct TableReader<'a> {
    table: &'a DeTable<'a>,
    place: Place,
    asked: RefCell<Vec<&'static str>>,
    faults: &'a FaultSink<'a>,
}

impl<'a> TableReader<'a> {
    /// A reader of the table written at `place`.
    pub(super) fn new(table: &'a DeTable<'a>, place: Place, faults: &'a FaultSink<'a>) -> Self {
        Self { table, place, asked: RefCell::default(), faults }
    }

    /// Where the table begins.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Gives the table a better name for faults, once it is known.
    pub(super) fn rename(&mut self, path: String) {
        self.place.path = path;
    }

    /// The sink that this reader reports to.
    pub(super) fn faults(&self) -> &'a FaultSink<'a> {
        self.faults
    }

    /// Keys and values as they stand, for tables whose keys are the user's own names.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Located<String>, &'a Spanned<DeValue<'a>>)> {
        self.table.iter().map(|(key, value)| {
            let name = key.get_ref().to_string();
            let place = Place { at: key.span().start, path: self.path(&name) };
            (Located { value: name, place }, value)
        })
    }

    /// Whether the key is there, whatever its value.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.asked.borrow_mut().push(key);
        self.table.contains_key(key)
    }

    /// Whether the key holds a string.
    pub(super) fn is_string(&self, key: &str) -> bool {
        matches!(self.table.get(key).map(Spanned::get_ref), Some(DeValue::String(_)))
    }

    fn path(&self, key: &str) -> String {
        if self.place.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place.path) }
    }

    fn value(&self, key: &'static str) -> Option<(&'a DeValue<'a>, Place)> {
        self.asked.borrow_mut().push(key);
        let value = self.table.get(key)?;
        Some((value.get_ref(), Place { at: value.span().start, path: self.path(key) }))
    }

    fn wrong_type<T>(&self, place: &Place, value: &DeValue<'_>, wanted: &str) -> Option<T> {
        let article = if value.type_str().starts_with(['a', 'i']) { "an" } else { "a" };
        self.faults.report(place, format!("is {article} {}, not {wanted}", value.type_str()), "");
        None
    }

    /// A string.
    pub(super) fn string(&self, key: &'static str) -> Option<Located<String>> {
        let (value, place) = self.value(key)?;
        match text(value) {
            Ok(text) => Some(Located { value: text.to_owned(), place }),
            Err(wanted) => self.wrong_type(&place, value, wanted),
        }
    }

    /// A string that `parse` accepts; its error says what is wrong and what to write.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, (String, String)>,
    ) -> Option<Located<T>> {
        let text = self.string(key)?;
        match parse(&text.value) {
            Ok(value) => Some(Located { value, place: text.place }),
            Err((problem, advice)) => {
                self.faults.report(&text.place, problem, advice);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &'static str) -> Option<Located<bool>> {
        let (value, place) = self.value(key)?;
        match value {
            DeValue::Boolean(value) => Some(Located { value: *value, place }),
            other => self.wrong_type(&place, other, "true or false"),
        }
    }

    /// A whole number within `range`.
    pub(super) fn integer<T>(&self, key: &'static str, range: RangeInclusive<T>) -> Option<Located<T>>
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let (value, place) = self.value(key)?;
        let DeValue::Integer(written) = value else {
            return self.wrong_type(&place, value, "a whole number");
        };
        let number = i64::from_str_radix(written.as_str(), written.radix()).ok().and_then(|n| T::try_from(n).ok());
        if let Some(value) = number.filter(|number| range.contains(number)) {
            return Some(Located { value, place });
        }
        let problem = format!("{written} is out of range");
        self.faults.report(&place, problem, format!("write {} to {}", range.start(), range.end()));
        None
    }

    /// A number within `range`.
    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<Located<f64>> {
        let (value, place) = self.value(key)?;
        let number: Option<f64> = match value {
            DeValue::Float(written) => written.as_str().parse().ok(),
            DeValue::Integer(written) if written.radix() == 10 => written.as_str().parse().ok(),
            other => return self.wrong_type(&place, other, "a number"),
        };
        if let Some(value) = number.filter(|number| range.contains(number)) {
            return Some(Located { value, place });
        }
        self.faults.report(&place, "is out of range", format!("write {} to {}", range.start(), range.end()));
        None
    }

    /// A duration longer than nothing, such as `"30s"`.
    pub(super) fn duration(&self, key: &'static str) -> Option<Located<Duration>> {
        let (value, place) = self.value(key)?;
        if let DeValue::Integer(written) = value {
            self.faults.report(&place, "is a number without a unit", format!("write it like \"{written}s\""));
            return None;
        }
        let Ok(text) = text(value) else { return self.wrong_type(&place, value, "a duration such as \"30s\"") };
        match duration::parse(text) {
            Ok(value) => self.bounded(value, place),
            Err(error) => {
                self.faults.report(&place, error.to_string(), "");
                None
            }
        }
    }

    /// A duration that may be nothing, such as `"0s"`.
    pub(super) fn wait(&self, key: &'static str) -> Option<Located<Duration>> {
        let (value, place) = self.value(key)?;
        let zero = text(value).is_ok_and(|text| duration::parse(text) == Ok(Duration::ZERO));
        if zero { Some(Located { value: Duration::ZERO, place }) } else { self.duration(key) }
    }

    /// A duration of the Go program's: like [`Self::duration`], or a whole number of nanoseconds as Go writes them.
    pub(super) fn go_duration(&self, key: &'static str) -> Option<Located<Duration>> {
        let (value, place) = self.value(key)?;
        let DeValue::Integer(written) = value else { return self.duration(key) };
        let nanoseconds = u64::from_str_radix(written.as_str(), written.radix()).unwrap_or(0);
        if nanoseconds < 1_000_000 {
            let problem = format!("{written} without a unit means nanoseconds in Go");
            self.faults.report(&place, problem, format!("write it like \"{written}s\""));
            return None;
        }
        self.bounded(Duration::from_nanos(nanoseconds), place)
    }

    fn bounded(&self, value: Duration, place: Place) -> Option<Located<Duration>> {
        let problem = match value {
            Duration::ZERO => "is zero",
            value if value > MAX_DURATION => "is longer than ten years",
            value => return Some(Located { value, place }),
        };
        self.faults.report(&place, problem, "write something between \"1ms\" and \"3650d\"");
        None
    }

    /// A list of strings.
    pub(super) fn strings(&self, key: &'static str) -> Option<Located<Vec<Located<String>>>> {
        let (value, place) = self.value(key)?;
        let DeValue::Array(items) = value else { return self.wrong_type(&place, value, "a list of strings") };
        let read = items.iter().enumerate().filter_map(|(index, item)| {
            let place = Place { at: item.span().start, path: format!("{}[{index}]", place.path) };
            match text(item.get_ref()) {
                Ok(text) => Some(Located { value: text.to_owned(), place }),
                Err(wanted) => self.wrong_type(&place, item.get_ref(), wanted),
            }
        });
        Some(Located { value: read.collect(), place })
    }

    /// A table of strings, such as headers.
    pub(super) fn map(&self, key: &'static str) -> Option<BTreeMap<String, Located<String>>> {
        let entries = self.table(key)?;
        let read = entries.entries().filter_map(|(name, value)| match text(value.get_ref()) {
            Ok(text) => Some((name.value, Located { value: text.to_owned(), place: name.place })),
            Err(wanted) => self.wrong_type(&name.place, value.get_ref(), wanted),
        });
        Some(read.collect())
    }

    /// A table.
    pub(super) fn table(&self, key: &'static str) -> Option<TableReader<'a>> {
        let (value, place) = self.value(key)?;
        self.as_table(value, place)
    }

    /// A value of [`Self::entries`] that must be a table.
    pub(super) fn as_table(&self, value: &'a DeValue<'a>, place: Place) -> Option<TableReader<'a>> {
        match value {
            DeValue::Table(table) => Some(TableReader::new(table, place, self.faults)),
            other => self.wrong_type(&place, other, "a table"),
        }
    }

    /// An array of tables.
    pub(super) fn tables(&self, key: &'static str) -> Vec<TableReader<'a>> {
        let Some((value, place)) = self.value(key) else { return Vec::new() };
        let DeValue::Array(items) = value else {
            let advice = format!("write [[{key}]] with two brackets");
            self.faults.report(&place, format!("is a {}, not a list of tables", value.type_str()), advice);
            return Vec::new();
        };
        let item_place = |index, at| Place { at, path: format!("{}[{index}]", place.path) };
        let tables = items.iter().enumerate();
        tables.filter_map(|(i, item)| self.as_table(item.get_ref(), item_place(i, item.span().start))).collect()
    }

    /// Reports every key that nobody asked for. Call it last.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.entries().filter(|(key, _)| !asked.contains(&key.value.as_str())) {
            let advice = match suggest::nearest(&key.value, asked.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("the keys here are {}", sorted(&asked).join(", ")),
            };
            self.faults.report(&key.place, "is not a key of this table", advice);
        }
    }
}

fn sorted<'k>(keys: &[&'k str]) -> Vec<&'k str> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The text of a string; no string here may hold NUL, since all end up as arguments, names or headers.
fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, &'static str> {
    match value {
        DeValue::String(text) if text.contains('\0') => Err("one without NUL characters"),
        DeValue::String(text) => Ok(text),
        _ => Err("a string"),
    }
}
