//! The picture of a forecast: how something went, its trend on to the limit, and when it gets there. Pure. What it shows is
//! said in words beneath it, for those who do not see it.

use std::fmt::Write as _;
use std::time::Duration;

use dixmgr_alerting::baseline::HOUR;
use dixmgr_alerting::forecast::{Course, hours_after};

use super::escape;
use super::render::{bytes, clock};
use crate::api::rfc3339;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 200.0;
/// Room for words above and below.
const TOP: f64 = 34.0;
const BOTTOM: f64 = 170.0;
/// The future has at most this many times the room of the past: what is further away is not ahead yet.
const FUTURE: f64 = 2.0;

/// The picture of a course of bytes, called `what`; nothing when it leads nowhere near its limit.
pub(super) fn figure(course: &Course, what: &str) -> Option<String> {
    let (&(first, _), line) = (course.points.first()?, &course.line);
    let reached = hours_after(line.at, line.hours_until(course.limit))?;
    let past = line.at.saturating_sub(first) as f64;
    if past <= 0.0 || (reached - line.at) as f64 > past * FUTURE {
        return None;
    }
    let scale = Scale::of(course, first, reached);
    let svg = picture(course, &scale, first, reached);
    Some(format!(
        "<figure class=\"forecast\">{svg}<figcaption>{}</figcaption></figure>",
        caption(course, what, reached)
    ))
}

/// Where times and values stand in the picture.
struct Scale {
    begin: u64,
    span: f64,
    most: f64,
}

impl Scale {
    /// With a little room after the end, so that it is seen to be reached.
    fn of(course: &Course, begin: u64, reached: u64) -> Self {
        let most = course.points.iter().map(|(_, value)| *value).fold(course.limit, f64::max);
        Self { begin, span: (reached - begin) as f64 * 1.05, most }
    }

    fn x(&self, at: u64) -> f64 {
        at.saturating_sub(self.begin) as f64 / self.span * WIDTH
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - value.clamp(0.0, self.most) / self.most * (BOTTOM - TOP)
    }
}

fn picture(course: &Course, scale: &Scale, first: u64, reached: u64) -> String {
    let (line, limit) = (&course.line, scale.y(course.limit));
    let mut past = String::new();
    for (index, (at, value)) in course.points.iter().enumerate() {
        let _ = write!(past, "{}{:.1} {:.1}", if index == 0 { "M" } else { "L" }, scale.x(*at), scale.y(*value));
    }
    let back = line.at.saturating_sub(first) as f64 / HOUR as f64;
    let (from, now, end) = (scale.y(line.level - line.slope * back), scale.x(line.at), scale.x(reached));
    let labels = [
        (0.0, limit - 8.0, "start", format!("limit {}", size(course.limit))),
        (0.0, HEIGHT - 8.0, "start", moment(first)),
        (end, HEIGHT - 8.0, "end", moment(reached)),
    ];
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-hidden=\"true\">\
         <path class=\"axis\" d=\"M0 {BOTTOM}H{WIDTH}M{now:.1} {TOP}V{BOTTOM}\"/><path class=\"limit\" d=\"M0 {limit:.1}H{WIDTH}\"/>\
         <path class=\"trend\" d=\"M0 {from:.1}L{end:.1} {limit:.1}\"/><path class=\"line\" d=\"{past}\"/>\
         <path class=\"reached\" d=\"M{end:.1} {limit:.1}V{BOTTOM}\"/><circle class=\"reached\" cx=\"{end:.1}\" cy=\"{limit:.1}\" r=\"6\"/>"
    );
    for (x, y, anchor, text) in labels {
        let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(&text));
    }
    svg + "</svg>"
}

/// The same in words.
fn caption(course: &Course, what: &str, reached: u64) -> String {
    let (first, last) = (course.points.first().copied().unwrap_or_default(), course.line);
    let when = rfc3339(Duration::from_millis(reached));
    format!(
        "{} was {} on {} and is about {}: the trend reaches the limit of {} on <time datetime=\"{}\">{}</time>.",
        escape(what),
        size(first.1),
        moment(first.0),
        size(last.level),
        size(course.limit),
        when.as_deref().unwrap_or_default(),
        moment(reached)
    )
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes are not negative")]
fn size(value: f64) -> String {
    bytes(Some(value.max(0.0) as u64))
}

/// To the minute.
fn moment(at: u64) -> String {
    let time = clock(rfc3339(Duration::from_millis(at)).as_deref());
    time.rsplit_once(':').map(|(minute, _)| minute.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use dixmgr_alerting::forecast::line;

    use super::*;

    const GIB: f64 = 1_073_741_824.0;
    /// Nov 21, 2026, 12:00 UTC.
    const NOON: u64 = 1_795_262_400_000;

    fn course(slope: f64) -> Course {
        let points: Vec<_> =
            (0..49).map(|hour| (NOON - (48 - hour) * HOUR, GIB * (1.0 + slope * hour as f64))).collect();
        Course { line: line(&points, 4.0 * GIB).unwrap(), limit: 4.0 * GIB, points }
    }

    #[test]
    fn past_trend_and_limit_meet_where_it_is_said() {
        // From 1 GiB to 3.4 GiB in two days; the rest takes twelve hours.
        let figure = figure(&course(0.05), "Memory of <leak>").unwrap();
        let said = "Memory of &lt;leak&gt; was 1.00 GiB on Nov 19, 12:00 and is about 3.40 GiB: the trend reaches the limit \
                    of 4.00 GiB on <time datetime=\"2026-11-22T00:00:00";
        assert!(figure.contains(said), "{figure}");
        // 60 of 63 hours: the end of the trend is on the limit.
        assert!(figure.contains("L609.5 34.0\"/>") && figure.contains("cx=\"609.5\" cy=\"34.0\""), "{figure}");
        assert!(figure.contains(">limit 4.00 GiB</text>") && figure.contains(">Nov 22, 00:00</text>"), "{figure}");
        assert!(!figure.contains("style="), "the page's policy refuses styles in attributes");
    }

    #[test]
    fn what_is_reached_has_a_picture_and_what_is_far_away_has_none() {
        assert!(figure(&course(0.08), "x").unwrap().contains("cy=\""));
        assert_eq!(figure(&course(0.012), "x"), None, "it takes a week");
        assert_eq!(figure(&course(0.0), "x"), None);
    }

    #[test]
    fn nothing_is_no_number() {
        for slope in [0.03, 0.05, 0.1, 0.5] {
            let drawn = figure(&course(slope), "x").unwrap_or_default();
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        }
    }
}
