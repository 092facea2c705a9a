//! Time zones as Go's `time` package has them: their names, and which instant a local time is.

use jiff::{Timestamp, tz::TimeZone};

use super::Civil;

/// A time zone.
#[derive(Debug, Clone)]
pub(crate) struct Zone(TimeZone);

/// What is no time zone, in the words of Go's `time.LoadLocation`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ZoneError {
    /// The name could be a path out of the database.
    #[error("time: invalid location name")]
    Name,
    /// There is none of that name.
    #[error("unknown time zone {0}")]
    Unknown(String),
    /// The data is not that of a time zone.
    #[error("malformed time zone information")]
    Data,
}

impl Zone {
    /// Coordinated universal time.
    pub(crate) const UTC: Self = Self(TimeZone::UTC);

    /// The zone of that name, written as the database writes it. The server's local zone stands for UTC.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn named(name: &str) -> Result<Self, ZoneError> {
        if matches!(name, "" | "UTC" | "Local") {
            return Ok(Self::UTC);
        }
        if name.contains("..") || name.starts_with(['/', '\\']) {
            return Err(ZoneError::Name);
        }
        let zone = TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name));
        zone.map(Self).ok_or_else(|| ZoneError::Unknown(name.to_owned()))
    }

    /// The zone that compiled data (RFC 8536) describes.
    ///
    /// # Errors
    /// The data cannot be read.
    pub(crate) fn from_data(name: &str, data: &[u8]) -> Result<Self, ZoneError> {
        TimeZone::tzif(name, data).map(Self).map_err(|_| ZoneError::Data)
    }

    /// The local time at an instant, in seconds since the epoch.
    pub(crate) fn local(&self, at: i64) -> Civil {
        Civil::from_seconds(at.saturating_add(self.offset(at)))
    }

    /// The instant of a local time. One that is skipped or repeated is resolved as Go's `time.Date` does.
    pub(crate) fn instant(&self, local: &Civil) -> i64 {
        let seconds = local.seconds();
        seconds - self.offset(seconds - self.offset(seconds))
    }

    /// Seconds to be added to universal time at an instant.
    pub(crate) fn offset(&self, at: i64) -> i64 {
        Timestamp::from_second(at).map_or(0, |time| i64::from(self.0.to_offset(time).seconds()))
    }
}
