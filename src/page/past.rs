//! What the history has for the page. Read at most every few seconds, whatever number of readers there are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dixmgr_activities::history::HistoryError;
use dixmgr_activities::history::read::{self, Query, Step};
use tokio::sync::Mutex;

use super::Day;
use crate::api::{Action, Api, Incident, PastAlert, ask_history};
use crate::silences;

/// How old it may be.
const FRESH: Duration = Duration::from_secs(2);
/// Length of the curves.
const MINUTES: usize = 60;
/// Number of the bars.
pub(super) const DAYS: usize = 90;
const MINUTE: u64 = 60_000;
const DAY: u64 = 86_400_000;
/// Incidents, actions and alerts on the page.
const ROWS: u32 = 20;

/// What happened.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) curves: HashMap<String, Arc<Curves>>,
    /// Percent of today.
    pub(super) today: HashMap<String, Option<f64>>,
    /// Percent of 90 days.
    pub(super) uptime: HashMap<String, Option<f64>>,
    pub(super) open: Vec<Incident>,
    pub(super) incidents: Vec<Incident>,
    pub(super) actions: Vec<Action>,
    pub(super) alerts: Vec<PastAlert>,
    /// There is a history.
    pub(super) known: bool,
}

/// The last hour of a service, minute by minute.
#[derive(Debug)]
pub(super) struct Curves {
    pub(super) cpu: Vec<Option<f64>>,
    pub(super) memory: Vec<Option<f64>>,
    pub(super) response: Vec<Option<f64>>,
}

/// The newest that was read.
#[derive(Debug, Default)]
pub(super) struct PastCache {
    newest: Mutex<Option<(Instant, Arc<Past>)>>,
}

impl PastCache {
    /// What happened, as of now or a few seconds ago. Without a history, nothing.
    pub(super) async fn get(&self, api: &Api) -> Arc<Past> {
        // Readers wait for the one that reads instead of reading beside it.
        let mut newest = self.newest.lock().await;
        if let Some((read_at, past)) = newest.as_ref()
            && read_at.elapsed() < FRESH
        {
            return Arc::clone(past);
        }
        let past = Arc::new(ask_history(api, read).await.unwrap_or_default());
        *newest = Some((Instant::now(), Arc::clone(&past)));
        past
    }
}

fn read(query: &Query) -> Result<Past, HistoryError> {
    let now = silences::now();
    let begin = now - now % MINUTE - (MINUTES as u64 - 1) * MINUTE;
    let percents = |from: u64| -> Result<HashMap<String, Option<f64>>, HistoryError> {
        Ok(query.uptime(from)?.into_iter().map(|one| (one.service.clone(), one.percent())).collect())
    };
    let page = read::Page { limit: ROWS, ..read::Page::default() };
    let open = read::Page { open: true, ..page.clone() };
    let curves = query.all_periods(Step::Minute, begin)?;
    Ok(Past {
        curves: curves.into_iter().map(|(name, minutes)| (name, Arc::new(Curves::of(&minutes, begin)))).collect(),
        today: percents(now - now % DAY)?,
        uptime: percents(now - now % DAY - (DAYS as u64 - 1) * DAY)?,
        open: query.incidents(&open)?.into_iter().map(Incident::from).collect(),
        incidents: query.incidents(&page)?.into_iter().map(Incident::from).collect(),
        actions: query.actions(&page)?.into_iter().map(Action::from).collect(),
        alerts: query.alerts(&page)?.into_iter().map(PastAlert::from).collect(),
        known: true,
    })
}

impl Curves {
    fn of(minutes: &[read::Period], begin: u64) -> Self {
        let mut curves = Self { cpu: vec![None; MINUTES], memory: vec![None; MINUTES], response: vec![None; MINUTES] };
        for minute in minutes {
            let Ok(index) = usize::try_from(minute.start.saturating_sub(begin) / MINUTE) else { continue };
            if index < MINUTES {
                curves.cpu[index] = minute.cpu_avg;
                curves.memory[index] = minute.memory_avg;
                curves.response[index] = minute.response_avg;
            }
        }
        curves
    }
}

/// The last days of these services, the oldest first.
pub(super) async fn days(api: &Api, names: Vec<String>) -> BTreeMap<String, Vec<Day>> {
    let now = silences::now();
    let first = now - now % DAY - (DAYS as u64 - 1) * DAY;
    let read = move |query: &Query| {
        let mut all = BTreeMap::new();
        for name in names {
            let mut days = vec![Day { percent: None }; DAYS];
            for day in query.periods(&name, Step::Day, first, now, 100)? {
                let seen = day.up_ms + day.down_ms;
                let index = usize::try_from((day.start - first) / DAY).unwrap_or(usize::MAX);
                if let (true, Some(place)) = (seen > 0, days.get_mut(index)) {
                    place.percent = Some(100.0 * day.up_ms as f64 / seen as f64);
                }
            }
            all.insert(name, days);
        }
        Ok(all)
    };
    ask_history(api, read).await.unwrap_or_default()
}
