//! Versions of workers, as an execution knows them: which one has completed its last workflow task, and whether it stays there.
//!
//! All of it follows from the history: from the start (an override, or what a parent or the run before has left), and from the
//! completed workflow tasks.

use temporalio_common::protos::temporal::api::{
    common::v1::Payload,
    deployment::v1::WorkerDeploymentVersion,
    enums::v1::VersioningBehavior as Behavior,
    history::v1::{WorkflowExecutionStartedEventAttributes, WorkflowTaskCompletedEventAttributes},
    workflow::v1::{
        VersioningOverride, WorkflowExecutionVersioningInfo,
        versioning_override::{Override, PinnedOverride},
    },
};

use super::{Execution, state::ExecutionInfo};
use crate::deployment::VersionId;

/// Search attributes by which executions are found by their workers.
const BUILD_IDS: &str = "BuildIds";
const DEPLOYMENT: &str = "TemporalWorkerDeployment";
const VERSION: &str = "TemporalWorkerDeploymentVersion";
const USED_VERSIONS: &str = "TemporalUsedWorkerDeploymentVersions";
const BEHAVIOR: &str = "TemporalWorkflowVersioningBehavior";
/// Builds that those of a list are kept of at the most, the latest ones.
const MAX_LISTED: usize = 50;

impl ExecutionInfo {
    /// The version that it stays on, if it does; an override has the first say.
    pub(crate) fn pinned_version(&self) -> Option<VersionId> {
        let versioning = self.versioning.as_ref()?;
        match versioning.versioning_override.as_ref().and_then(|given| given.r#override.as_ref()) {
            Some(Override::Pinned(pinned)) => pinned.version.as_ref().and_then(VersionId::of),
            None if versioning.behavior() == Behavior::Pinned => self.last_version(),
            Some(_) | None => None,
        }
    }

    /// The version that has completed its last workflow task, or that it has inherited.
    pub(crate) fn last_version(&self) -> Option<VersionId> {
        self.versioning.as_ref().and_then(|info| info.deployment_version.as_ref()).and_then(VersionId::of)
    }

    /// What a child, or the run that continues this one, inherits: the version that it stays on, and a pinned override.
    pub(crate) fn inherited_version(&self) -> (Option<WorkerDeploymentVersion>, Option<VersioningOverride>) {
        let Some(versioning) = self.versioning.as_ref() else { return (None, None) };
        let pins = |given: &&VersioningOverride| matches!(given.r#override, Some(Override::Pinned(_)));
        let given = versioning.versioning_override.as_ref().filter(pins);
        let stays = versioning.behavior() == Behavior::Pinned;
        (versioning.deployment_version.clone().filter(|_| stays), given.map(recorded))
    }
}

/// An override as the history has it, without what stands for older servers.
#[allow(deprecated, reason = "deprecated for clients; servers still read and show it")]
pub(crate) fn recorded(given: &VersioningOverride) -> VersioningOverride {
    let pinned = VersionId::from_old_name(&given.pinned_version).map(|version| version.message());
    let of_old = match given.behavior() {
        Behavior::Pinned => Some(Override::Pinned(PinnedOverride { behavior: PINNED, version: pinned })),
        Behavior::AutoUpgrade => Some(Override::AutoUpgrade(true)),
        Behavior::Unspecified => None,
    };
    VersioningOverride { r#override: given.r#override.clone().or(of_old), ..Default::default() }
}

/// Number of `PINNED_OVERRIDE_BEHAVIOR_PINNED`.
const PINNED: i32 = 1;

/// An override as clients are shown it, with what stands for older ones.
#[allow(deprecated, reason = "deprecated for clients; servers still read and show it")]
fn shown(given: &VersioningOverride) -> VersioningOverride {
    let (behavior, pinned_version) = match given.r#override.as_ref() {
        Some(Override::Pinned(pinned)) => {
            let version = pinned.version.as_ref().and_then(VersionId::of);
            (Behavior::Pinned, version.map(|version| version.old_name()).unwrap_or_default())
        }
        Some(Override::AutoUpgrade(true)) => (Behavior::AutoUpgrade, String::new()),
        _ => (Behavior::Unspecified, String::new()),
    };
    VersioningOverride { behavior: behavior.into(), pinned_version, ..recorded(given) }
}

impl Execution {
    /// What the start says of versions.
    #[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
    pub(super) fn apply_start_versioning(&mut self, a: &WorkflowExecutionStartedEventAttributes) {
        let inherited = a.inherited_pinned_version.as_ref().filter(|version| VersionId::of(version).is_some());
        if a.versioning_override.is_none() && inherited.is_none() {
            return;
        }
        self.info.versioning = Some(WorkflowExecutionVersioningInfo {
            behavior: inherited.map_or(Behavior::Unspecified, |_| Behavior::Pinned).into(),
            version: inherited.and_then(VersionId::of).map(|version| version.old_name()).unwrap_or_default(),
            deployment_version: inherited.cloned(),
            versioning_override: a.versioning_override.as_ref().map(shown),
            ..Default::default()
        });
    }

    /// What a completed workflow task says of versions.
    #[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
    pub(super) fn apply_versioning(&mut self, a: &WorkflowTaskCompletedEventAttributes) {
        let behavior = a.versioning_behavior();
        let version = a.deployment_version.as_ref().filter(|_| behavior != Behavior::Unspecified);
        let version = version.and_then(VersionId::of);
        let before = self.info.versioning.take();
        if before.is_none() && version.is_none() {
            return;
        }
        let given = before.and_then(|before| before.versioning_override);
        let build_id = a.worker_version.as_ref().map(|stamp| stamp.build_id.clone()).unwrap_or_default();
        self.info.versioning = (version.is_some() || given.is_some()).then(|| WorkflowExecutionVersioningInfo {
            behavior: version.as_ref().map_or(Behavior::Unspecified, |_| behavior).into(),
            version: version.as_ref().map(VersionId::old_name).unwrap_or_default(),
            deployment_version: version.as_ref().map(VersionId::message),
            versioning_override: given,
            ..Default::default()
        });
        self.list_version(version.as_ref(), &build_id);
    }

    /// What operators say of versions once it runs.
    pub(super) fn apply_override(&mut self, given: Option<&VersioningOverride>) {
        if given.is_some() || self.info.versioning.is_some() {
            let mut versioning = self.info.versioning.take().unwrap_or_default();
            versioning.versioning_override = given.map(shown);
            self.info.versioning = Some(versioning).filter(|info| *info != WorkflowExecutionVersioningInfo::default());
        }
    }

    /// Has the execution found by its version (`updateBuildIdsAndDeploymentSearchAttributes`).
    fn list_version(&mut self, version: Option<&VersionId>, build_id: &str) {
        let pinned = self.info.pinned_version();
        let fields = &mut self.info.search_attributes.get_or_insert_default().indexed_fields;
        let before = fields.clone();
        let mut builds = list(fields.get(BUILD_IDS));
        builds.retain(|build| !build.starts_with("pinned:"));
        if !build_id.is_empty() {
            add(&mut builds, format!("unversioned:{build_id}"));
        }
        if let Some(pinned) = &pinned {
            builds.insert(0, format!("pinned:{pinned}"));
        }
        fields.insert(BUILD_IDS.to_owned(), keywords(&builds));
        match version {
            Some(version) => {
                let mut used = list(fields.get(USED_VERSIONS));
                add(&mut used, version.to_string());
                let behavior = if pinned.is_some() { "Pinned" } else { "AutoUpgrade" };
                fields.insert(USED_VERSIONS.to_owned(), keywords(&used));
                fields.insert(DEPLOYMENT.to_owned(), keyword(&version.deployment));
                fields.insert(VERSION.to_owned(), keyword(&version.to_string()));
                fields.insert(BEHAVIOR.to_owned(), keyword(behavior));
            }
            None => [DEPLOYMENT, VERSION, BEHAVIOR].iter().for_each(|name| drop(fields.remove(*name))),
        }
        self.changes.visibility |= *fields != before;
    }
}

fn add(items: &mut Vec<String>, item: String) {
    if !items.contains(&item) {
        items.push(item);
        let excess = items.len().saturating_sub(MAX_LISTED);
        items.drain(..excess);
    }
}

fn list(payload: Option<&Payload>) -> Vec<String> {
    payload.and_then(|payload| serde_json::from_slice(&payload.data).ok()).unwrap_or_default()
}

fn keywords(items: &[String]) -> Payload {
    attribute("KeywordList", &serde_json::Value::from(items.to_vec()))
}

fn keyword(text: &str) -> Payload {
    attribute("Keyword", &serde_json::Value::from(text))
}

/// A search attribute that the server itself sets, of that type.
pub(crate) fn attribute(kind: &str, value: &serde_json::Value) -> Payload {
    let metadata = [("encoding", "json/plain"), ("type", kind)];
    Payload {
        metadata: metadata.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into(),
        data: value.to_string().into_bytes(),
        ..Default::default()
    }
}
