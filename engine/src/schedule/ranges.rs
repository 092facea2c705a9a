//! One field of a calendar as text: `*`, `5`, `mon-fri`, `0/15`, `1-9/2,20`, as the server reads it (`makeRange` in
//! `service/worker/scheduler/calendar.go`).

use temporalio_common::protos::temporal::api::schedule::v1::Range;

use super::YEARS;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
/// Sunday, as the last day of a week.
const LAST_SUNDAY: i32 = 7;

/// A field of a calendar.
pub(super) struct Field {
    name: &'static str,
    min: i32,
    max: i32,
    names: Names,
    default: &'static str,
}

/// Words that stand for the values of a field: any beginning of one that is long enough.
struct Names {
    words: &'static [&'static str],
    shortest: usize,
}

const NUMBERS: Names = Names { words: &[], shortest: usize::MAX };

impl Field {
    const fn number(name: &'static str, max: i32) -> Self {
        Self { name, min: 0, max, names: NUMBERS, default: "0" }
    }
}

pub(super) const SECOND: Field = Field::number("Second", 59);
pub(super) const MINUTE: Field = Field::number("Minute", 59);
pub(super) const HOUR: Field = Field::number("Hour", 23);
pub(super) const DAY_OF_MONTH: Field = Field { name: "DayOfMonth", min: 1, max: 31, names: NUMBERS, default: "*" };
pub(super) const MONTH: Field =
    Field { name: "Month", min: 1, max: 12, names: Names { words: &MONTHS, shortest: 3 }, default: "*" };
pub(super) const YEAR: Field =
    Field { name: "Year", min: *YEARS.start(), max: *YEARS.end(), names: NUMBERS, default: "*" };
pub(super) const DAY_OF_WEEK: Field =
    Field { name: "DayOfWeek", min: 0, max: LAST_SUNDAY, names: Names { words: &WEEKDAYS, shortest: 2 }, default: "*" };

/// The ranges that `text` stands for; of a year that is left open, none.
///
/// # Errors
/// What is wrong with it, in the server's words.
pub(super) fn parse(text: &str, field: &Field) -> Result<Vec<Range>, String> {
    let text = match text.trim() {
        "" => field.default,
        text => text,
    };
    let mut ranges = Vec::new();
    if text == "*" && field.min == *YEARS.start() {
        return Ok(ranges);
    }
    for part in text.split(',') {
        let (first, last, step) = range(part, field)?;
        push(&mut ranges, field, first, last, step);
    }
    Ok(ranges)
}

fn range(part: &str, field: &Field) -> Result<(i32, i32, i32), String> {
    let name = field.name;
    let mut pieces = part.split('/');
    let ends = pieces.next().unwrap_or_default();
    let step = match (pieces.next(), pieces.next()) {
        (None, _) => None,
        (Some(step), None) => Some(number(step)?),
        _ => return Err(format!("{name} has too many slashes")),
    };
    if step.is_some_and(|step| step < 1) {
        return Err(format!("{name} has invalid Step"));
    }
    let (min, max) = (field.min, field.max);
    let pieces: Vec<_> = ends.split('-').collect();
    let (first, last) = match pieces.as_slice() {
        ["*"] => (min, max),
        [one] => {
            let first = value(one, field, min).ok_or_else(|| format!("{name} is not in range [{min}-{max}]"))?;
            (first, if step.is_some() { max } else { first })
        }
        [first, last] => {
            let first =
                value(first, field, min).ok_or_else(|| format!("{name} Start is not in range [{min}-{max}]"))?;
            let last = value(last, field, first)
                .ok_or_else(|| format!("{name} End is before Start or not in range [{min}-{max}]"))?;
            (first, last)
        }
        _ => return Err(format!("{name} has too many dashes")),
    };
    Ok((first, last, step.unwrap_or(1)))
}

/// Adds a range in its shortest form. The Sunday at the end of a week becomes the one at its beginning.
fn push(ranges: &mut Vec<Range>, field: &Field, first: i32, mut last: i32, step: i32) {
    if field.max == LAST_SUNDAY && last == LAST_SUNDAY {
        if (LAST_SUNDAY - first) % step == 0 && (step > 1 || first > 1) {
            ranges.push(Range::default());
            if first == LAST_SUNDAY {
                return;
            }
        }
        last -= 1;
    }
    let end = if first == last { 0 } else { last };
    ranges.push(Range { start: first, end, step: if step == 1 { 0 } else { step } });
}

/// A value from `least` on, as a word or a number.
fn value(text: &str, field: &Field, least: i32) -> Option<i32> {
    let text = text.to_ascii_lowercase();
    let word = || field.names.words.iter().position(|word| word.starts_with(&text));
    let named = if text.len() >= field.names.shortest { word() } else { None };
    let value = match named {
        // Weekdays begin at 0, months at 1, like their fields.
        Some(index) => field.min + i32::try_from(index).ok()?,
        None => text.parse().ok()?,
    };
    (least..=field.max).contains(&value).then_some(value)
}

/// A number, refused in the words of Go's `strconv.Atoi`.
fn number(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
}
