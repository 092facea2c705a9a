//! What forecasts that fire are made from, for their pictures: the history of a service's memory, and that of the disk.

use std::collections::BTreeMap;

use dixmgr_activities::history::HistoryError;
use dixmgr_activities::history::read::Query;
use dixmgr_alerting::beyond::{HORIZON, memory_limit};
use dixmgr_alerting::forecast::Course;
use dixmgr_alerting::incident::Incident;
use dixmgr_alerting::own;
use dixmgr_model::AlertKind;

use crate::api::{Api, ask_history};
use crate::silences;

/// Pictures on a page.
const MOST: usize = 10;

/// A service whose memory is asked for.
struct Asked {
    fingerprint: String,
    service: String,
    limit: f64,
}

/// Of the forecasts among these alerts, by fingerprint. What is not known has none.
pub(super) async fn of(api: &Api, incidents: &[&Incident]) -> BTreeMap<String, Course> {
    let ahead = incidents.iter().map(|incident| &incident.alert).filter(|alert| alert.kind == AlertKind::LimitAhead);
    let (mut courses, mut asked) = (BTreeMap::new(), Vec::new());
    for alert in ahead.take(MOST) {
        let fingerprint = alert.fingerprint.clone();
        if alert.service == own::SERVICE {
            courses.extend(api.disk.course().map(|course| (fingerprint, course)));
        } else if let Some(limit) = limit(api, &alert.service) {
            asked.push(Asked { fingerprint, service: alert.service.clone(), limit });
        }
    }
    if !asked.is_empty() {
        let read = move |query: &Query| memory(query, &asked, silences::now());
        courses.extend(ask_history(api, read).await.unwrap_or_default());
    }
    courses
}

/// What the memory of a service must not reach.
fn limit(api: &Api, service: &str) -> Option<f64> {
    let in_force = api.in_force.borrow();
    let spec = in_force.plan.services.iter().find(|spec| spec.name == service)?;
    memory_limit(&in_force.alerts, spec)
}

fn memory(query: &Query, asked: &[Asked], now: u64) -> Result<BTreeMap<String, Course>, HistoryError> {
    let mut courses = BTreeMap::new();
    for Asked { fingerprint, service, limit } in asked {
        let past = query.past(service, now.saturating_sub(HORIZON), now)?;
        courses.extend(past.memory_course(now, *limit).map(|course| (fingerprint.clone(), course)));
    }
    Ok(courses)
}
