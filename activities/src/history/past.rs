//! The history of a service in the form in which it is judged by what is usual.

use dixmgr_alerting::beyond::{Means, Past};

use super::HistoryError;
use super::read::{Page, Period, Query, Step};

/// Rows that are read at most: more than a year of hours, or 300 actions a day for a month.
const ROWS: u32 = 10_000;

impl Query {
    /// The hours and restarts of a service that begin from `from` on and before `to`, in milliseconds since the epoch.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn past(&self, service: &str, from: u64, to: u64) -> Result<Past, HistoryError> {
        let hours = self.periods(service, Step::Hour, from, to, ROWS)?;
        let page = Page { service: Some(service.to_owned()), since: from, limit: ROWS, ..Page::default() };
        let restarts = self.restarts(&page)?;
        Ok(Past { hours: hours.iter().map(|hour| (hour.start, hour.means())).collect(), restarts })
    }

    /// When services were started anew, the earliest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn restarts(&self, page: &Page) -> Result<Vec<u64>, HistoryError> {
        let actions = self.actions(page)?;
        let done = actions.iter().filter(|action| action.verb != "stop" && action.outcome == "done");
        let mut restarts: Vec<u64> = done.map(|action| action.at).collect();
        restarts.sort_unstable();
        Ok(restarts)
    }
}

impl Period {
    /// Its means.
    #[must_use]
    pub fn means(&self) -> Means {
        Means { cpu: self.cpu_avg, memory: self.memory_avg, response: self.response_avg }
    }
}
