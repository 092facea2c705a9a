//! Series of a service's health and sync checks: did it pass, how long did the answer take, how often did it fail.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use dixmgr_model::ServiceSpec;
use prometheus::core::{Atomic, AtomicF64};

use super::text::Family;

/// The checks of one service: its HTTP checks in their order, then the sync check.
#[derive(Debug, Default)]
pub(super) struct Checks {
    series: RwLock<Vec<Check>>,
}

#[derive(Debug)]
struct Check {
    /// `http-1`, `http-2`, …, `sync`: an URL would be no bounded value, and may hold what is nobody's business.
    name: String,
    passed: AtomicU8,
    failures: AtomicU64,
    /// Seconds that the last answer took; those of sync checks are not measured.
    took: Option<AtomicF64>,
}

impl Check {
    fn new(name: String, timed: bool) -> Self {
        let took = timed.then(|| AtomicF64::new(0.0));
        Self { name, passed: AtomicU8::new(0), failures: AtomicU64::new(0), took }
    }
}

impl Checks {
    /// The checks of `spec` exist from now on, and no others.
    pub(super) fn expect(&self, spec: &ServiceSpec) {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut *series);
        series.extend(names(spec).map(|name| match known.iter().position(|check| check.name == name) {
            Some(index) => known.swap_remove(index),
            None => Check::new(name.clone(), name != SYNC),
        }));
        series.shrink_to_fit();
    }

    /// Whether these are the checks of `spec`.
    pub(super) fn describes(&self, spec: &ServiceSpec) -> bool {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        series.iter().map(|check| check.name.as_str()).eq(names(spec))
    }

    /// The check at this place ran. `took`: how long the answer took, if there was one.
    pub(super) fn ran(&self, check: usize, passed: bool, took: Option<Duration>) {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let Some(check) = series.get(check) else { return };
        check.passed.store(u8::from(passed), Ordering::Relaxed);
        if !passed {
            check.failures.fetch_add(1, Ordering::Relaxed);
        }
        if let (Some(seconds), Some(took)) = (&check.took, took) {
            seconds.set(took.as_secs_f64());
        }
    }

    /// `labels` are the service's, rendered.
    pub(super) fn write_success(&self, family: &mut Family<'_>, labels: &str) {
        self.each(labels, |labels, check| family.integer(labels, check.passed.load(Ordering::Relaxed).into()));
    }

    pub(super) fn write_failures(&self, family: &mut Family<'_>, labels: &str) {
        self.each(labels, |labels, check| family.integer(labels, check.failures.load(Ordering::Relaxed)));
    }

    pub(super) fn write_duration(&self, family: &mut Family<'_>, labels: &str) {
        self.each(labels, |labels, check| {
            if let Some(seconds) = &check.took {
                family.float(labels, seconds.get());
            }
        });
    }

    fn each(&self, labels: &str, mut write: impl FnMut(&[&str], &Check)) {
        for check in self.series.read().unwrap_or_else(PoisonError::into_inner).iter() {
            write(&[labels, ",check=\"", &check.name, "\""], check);
        }
    }
}

const SYNC: &str = "sync";

fn names(spec: &ServiceSpec) -> impl Iterator<Item = String> + '_ {
    let http = (1..=spec.probes.http.len()).map(|number| format!("http-{number}"));
    http.chain(spec.probes.sync.iter().map(|_| SYNC.to_owned()))
}
