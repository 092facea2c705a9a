//! Schedules against what a Temporal server says of the same specifications, against searches second by second, and as a state
//! machine.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what went wrong by panicking")]

mod machine;
mod overlap;
mod specs;
mod times;

use temporalio_common::protos::temporal::api::schedule::v1::ScheduleSpec;

use super::Times;
use crate::history::time::Nanos;

const SECOND: Nanos = 1_000_000_000;
const HOUR: Nanos = 3_600 * SECOND;

fn at(text: &str) -> Nanos {
    i64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond()).unwrap()
}

fn text(time: Nanos) -> String {
    jiff::Timestamp::from_nanosecond(time.into()).unwrap().to_string()
}

fn cron(strings: &[&str]) -> ScheduleSpec {
    ScheduleSpec { cron_string: strings.iter().map(|&string| string.to_owned()).collect(), ..Default::default() }
}

/// Every so many seconds.
fn every(seconds: i64) -> ScheduleSpec {
    cron(&[&format!("@every {seconds}s")])
}

fn times(spec: ScheduleSpec) -> Times {
    Times::new(&super::canonical(spec).unwrap(), "a namespace and a schedule".to_owned()).unwrap()
}
