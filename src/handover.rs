//! How a configuration reaches the workflows: the root workflow is told its revision, and reads the plan by itself.

use std::sync::Arc;
use std::time::Duration;

use dixmgr_activities::in_force::InForce;
use temporalio_client::Client;
use tokio::sync::watch;

use crate::health::{Milestone, Progress};
use crate::settings::Settings;
use crate::{notify, root};

/// Time in which the workflow of a service that was removed has ended.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// Tells the workflows that are there once of the configuration, and of every other one that comes into force.
pub(crate) async fn run(
    client: Client,
    settings: Settings,
    mut in_force: watch::Receiver<Arc<InForce>>,
    progress: Progress,
) {
    let mut told: Option<String> = None;
    loop {
        let now = Arc::clone(&in_force.borrow_and_update());
        let revision = now.plan.revision.as_str();
        let dead_man = now.dead_man.as_ref().map(|dead_man| dead_man.interval);
        let tell = async |revision: &str| {
            root::apply_plan(&client, &settings.task_queue, settings.mode, revision, dead_man).await;
        };
        tell(revision).await;
        let services = now.plan.services.len();
        let status = format!("keeping {services} services");
        let before = told.replace(revision.to_owned());
        if before.is_none() {
            progress.set(Milestone::PlanApplied, true);
            notify::ready(&status);
            tracing::info!(services, "ready");
        } else {
            notify::status(&status);
        }
        if before.is_some_and(|before| before != revision) {
            // A service that was removed and is back may have met its workflow on its way out. Told of what it does not know, the
            // root workflow reads the plan once more, and starts what does not run.
            tokio::select! {
                changed = in_force.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = tokio::time::sleep(TELL_AGAIN) => tell(&format!("{revision} again")).await,
            }
        }
        if in_force.changed().await.is_err() {
            return;
        }
    }
}
