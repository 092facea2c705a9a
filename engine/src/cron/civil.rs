//! Dates and times of a calendar without a time zone, in the proleptic Gregorian calendar.

const DAY: i64 = 86_400;

/// A local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

impl Civil {
    /// The local time that is so many seconds after the beginning of 1970.
    pub(crate) fn from_seconds(seconds: i64) -> Self {
        let (year, month, day) = date(seconds.div_euclid(DAY));
        let rest = seconds.rem_euclid(DAY);
        Self { year, month, day, hour: rest / 3_600, minute: rest / 60 % 60, second: rest % 60 }
    }

    /// Seconds since the beginning of 1970. A day past the month's last is one of the next month.
    pub(crate) fn seconds(&self) -> i64 {
        let days = days(self.year, self.month, 1) + self.day - 1;
        days * DAY + self.hour * 3_600 + self.minute * 60 + self.second
    }

    /// Day of the week, 0 for Sunday.
    pub(crate) fn weekday(&self) -> i64 {
        (days(self.year, self.month, self.day) + 4).rem_euclid(7)
    }

    /// Days of the month that it lies in.
    pub(crate) fn days_in_month(&self) -> i64 {
        let next = self.next_month();
        days(next.year, next.month, 1) - days(self.year, self.month, 1)
    }

    /// The beginning of the day.
    pub(crate) fn midnight(&self) -> Self {
        Self { hour: 0, minute: 0, second: 0, ..*self }
    }

    /// The same time a month later.
    pub(crate) fn next_month(&self) -> Self {
        let year = if self.month == 12 { self.year + 1 } else { self.year };
        Self { year, month: self.month % 12 + 1, ..*self }
    }

    /// The same time a day later.
    pub(crate) fn next_day(&self) -> Self {
        Self::from_seconds(self.seconds() + DAY)
    }
}

/// Days from 1970-01-01 to a date. Years begin in March here, so that a leap day ends one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date so many days after 1970-01-01: [`days`] the other way round.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}
