//! How long a service has been down. Pure; time is an argument.

use std::time::Duration;

/// Counts from the moment that a service went down to the moment that it came back, whenever one looks in between.
#[derive(Debug, Default)]
pub(super) struct Downtime {
    /// Down, and counted up to this moment.
    counted_to: Option<Duration>,
}

impl Downtime {
    /// Takes in that the service is down or up at `now`, and answers the downtime to be added. `since` is when it went down,
    /// where that is known to have been before `now`; it counts only when it was up until now.
    pub(super) fn observe(&mut self, down: bool, since: Option<Duration>, now: Duration) -> Duration {
        let from = match (self.counted_to, down) {
            (Some(counted), _) => counted,
            (None, true) => since.unwrap_or(now),
            (None, false) => return Duration::ZERO,
        };
        self.counted_to = down.then_some(now.max(from));
        now.saturating_sub(from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn counts_from_when_it_went_down_to_when_it_came_back() {
        let mut downtime = Downtime::default();
        assert_eq!(downtime.observe(false, None, s(10)), s(0));
        assert_eq!(downtime.observe(true, None, s(17)), s(0));
        assert_eq!(downtime.observe(true, None, s(40)), s(23));
        assert_eq!(downtime.observe(false, None, s(41)), s(1));
        assert_eq!(downtime.observe(false, None, s(90)), s(0));
    }

    #[test]
    fn checks_that_failed_for_a_while_count_from_their_first_failure() {
        let mut downtime = Downtime::default();
        assert_eq!(downtime.observe(true, Some(s(100)), s(160)), s(60));
        assert_eq!(downtime.observe(true, Some(s(100)), s(170)), s(10));
    }

    proptest! {
        #[test]
        fn looks_in_between_change_nothing(looks in prop::collection::btree_set(1u64..1_000, 0..20)) {
            let mut downtime = Downtime::default();
            let mut total = downtime.observe(true, None, s(0));
            for look in looks {
                total += downtime.observe(true, None, s(look));
            }
            total += downtime.observe(false, None, s(1_000));
            prop_assert_eq!(total, s(1_000));
        }
    }
}
