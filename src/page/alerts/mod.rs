//! The alerts that fire, for operators: what is shown of each ([`show`]), and what can be done about one ([`act`]).
//!
//! Alerts are workflows, and asking all of them costs more than a look at the board. So they are asked at most every other
//! second for all readers together, never twice at a time, and a page does not wait for long: it shows what was last known.

mod act;
mod courses;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dixmgr_alerting::forecast::Course;
use dixmgr_alerting::group::Group;
use dixmgr_alerting::incident::Incident;
use dixmgr_model::AlertStatus;
use futures_util::{StreamExt as _, stream};
use tokio::sync::{Semaphore, watch};

pub(super) use self::act::{acknowledge, silence, unsilence};
pub(super) use self::show::section;
use crate::api::{AlertsNow, Api};
use crate::incidents;

/// How old what is known may be.
const FRESH: Duration = Duration::from_secs(2);
/// Longest time that a page waits for something newer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Alerts on the page; of further ones, their number.
const MOST: usize = 50;
/// Groups that are asked at the same time.
const AT_ONCE: usize = 8;

/// The alerts that fire.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Active {
    /// The worst first; [`MOST`] at most.
    alerts: Vec<Firing>,
    /// How many there are.
    total: usize,
    /// Why there are none to be shown.
    trouble: Option<String>,
}

/// An alert that fires.
#[derive(Debug, PartialEq)]
struct Firing {
    incident: Incident,
    /// `firing`, `acknowledged`, `silenced` or `suppressed`.
    state: &'static str,
    /// Ids of the silences that are for it; its own has its fingerprint.
    silenced_by: Vec<String>,
    /// What each channel was told, or why not.
    delivery: Vec<String>,
    /// What a forecast is made from.
    course: Option<Course>,
}

/// The newest that was read. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct AlertsCache {
    newest: watch::Sender<Option<Reading>>,
    /// What was begun to be read before that is not new any more.
    changed: watch::Sender<Option<Instant>>,
    reading: Arc<Semaphore>,
}

#[derive(Debug, Clone)]
struct Reading {
    begun: Instant,
    took: Duration,
    active: Arc<Active>,
}

impl Default for AlertsCache {
    fn default() -> Self {
        let (newest, changed) = (watch::Sender::new(None), watch::Sender::new(None));
        Self { newest, changed, reading: Arc::new(Semaphore::new(1)) }
    }
}

impl AlertsCache {
    /// The alerts as of now, or a few seconds ago; those that were known last when they take long to be asked.
    pub(super) async fn get(&self, api: &Api) -> Arc<Active> {
        let mut newest = self.newest.subscribe();
        let wait = async {
            while !self.is_fresh() {
                self.read(api);
                if newest.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(PATIENCE, wait).await;
        let known = self.newest.borrow().as_ref().map(|reading| Arc::clone(&reading.active));
        known.unwrap_or_else(|| {
            Arc::new(Active { trouble: Some("they take long to be asked".to_owned()), ..Active::default() })
        })
    }

    /// Something was done about an alert: what is known is old.
    fn forget(&self) {
        self.changed.send_replace(Some(Instant::now()));
    }

    /// Time to leave between two readings, so that following alerts never takes more than a small share of a core.
    pub(super) fn pace(&self) -> Duration {
        let took = self.newest.borrow().as_ref().map(|reading| reading.took).unwrap_or_default();
        FRESH.max(10 * took)
    }

    fn is_fresh(&self) -> bool {
        let changed = *self.changed.borrow();
        let newest = self.newest.borrow();
        let is_fresh = |reading: &Reading| {
            (reading.begun + reading.took).elapsed() < FRESH && changed.is_none_or(|changed| reading.begun > changed)
        };
        newest.as_ref().is_some_and(is_fresh)
    }

    /// Asks anew in a task of its own, unless one is at it.
    fn read(&self, api: &Api) {
        let Ok(place) = Arc::clone(&self.reading).try_acquire_owned() else { return };
        let (newest, api) = (self.newest.clone(), api.clone());
        tokio::spawn(async move {
            let begun = Instant::now();
            let active = Arc::new(ask(&api).await);
            let reading = Reading { begun, took: begun.elapsed(), active };
            // Whoever waits for the reading may begin the next one.
            drop(place);
            newest.send_replace(Some(reading));
        });
    }
}

async fn ask(api: &Api) -> Active {
    let known = match AlertsNow::for_page(api).await {
        Ok(known) => known,
        Err(trouble) => return Active { trouble: Some(trouble), ..Active::default() },
    };
    let firing = |incident: &&Incident| incident.status == AlertStatus::Firing;
    let total = known.incidents.iter().filter(firing).count();
    let shown: Vec<&Incident> = known.incidents.iter().filter(firing).take(MOST).collect();
    let groups = groups(api, &shown).await;
    let mut courses = courses::of(api, &shown).await;
    let alerts = shown.into_iter().map(|incident| {
        let group = groups.get(&incident.group.workflow_id);
        Firing {
            state: known.state(incident),
            silenced_by: known.silenced_by(incident),
            delivery: group.map(|group| group.explain(&incident.alert.fingerprint, known.now)).unwrap_or_default(),
            course: courses.remove(&incident.alert.fingerprint),
            incident: incident.clone(),
        }
    });
    Active { alerts: alerts.collect(), total, trouble: None }
}

/// The groups in which these alerts are told, by the ids of their workflows.
async fn groups(api: &Api, incidents: &[&Incident]) -> BTreeMap<String, Group> {
    let Some(client) = api.client.borrow().clone() else { return BTreeMap::new() };
    let mut seen = BTreeSet::new();
    let one_of_each = incidents.iter().filter(|incident| seen.insert(incident.group.workflow_id.clone()));
    let asked = one_of_each.map(|incident| {
        let client = &client;
        async move { Some((incident.group.workflow_id.clone(), incidents::group(client, incident).await?)) }
    });
    let asked: Vec<_> = asked.collect();
    stream::iter(asked).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
}
