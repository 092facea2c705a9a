//! What clients and workers change of a deployment.

use temporalio_common::protos::temporal::api::{
    deployment::v1::{
        RoutingConfig, WorkerDeploymentInfo, WorkerDeploymentVersionInfo,
        worker_deployment_version_info::VersionTaskQueueInfo,
    },
    enums::v1::{RoutingConfigUpdateState, TaskQueueType, VersionDrainageStatus as Drainage},
};

use super::{MAX_TASK_QUEUES, MAX_VERSIONS, Record, UNVERSIONED, Version, VersionId, is_ramping};
use crate::history::time::{Nanos, timestamp};

/// Why a change is refused, in the server's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Another client has changed the deployment meanwhile.
    #[error("conflict token mismatch")]
    Conflict,
    /// Another client has taken the deployment for itself.
    #[error(
        "ManagerIdentity '{manager}' is set and does not match user identity '{identity}'; to proceed, set your own identity as the ManagerIdentity, remove the ManagerIdentity, or wait for the other client to do so"
    )]
    Managed {
        /// Who.
        manager: String,
        /// Who has asked.
        identity: String,
    },
    /// There is no such version.
    #[error("build ID '{build_id}' not found in Worker Deployment '{deployment}'")]
    NoVersion {
        /// The build.
        build_id: String,
        /// The deployment.
        deployment: String,
    },
    /// It cannot ramp, since it has everything.
    #[error("requested ramping version {0} is already current")]
    AlreadyCurrent(String),
    /// Queues would be left without workers.
    #[error(
        "proposed {role} version '{version}' is missing active task queues from the current version; these would become unversioned if it is set as the {role} version"
    )]
    MissingTaskQueues {
        /// `current` or `ramping`.
        role: &'static str,
        /// The version.
        version: VersionId,
    },
    /// It takes new work.
    #[error("version '{0}' cannot be deleted since it is current or ramping")]
    Active(VersionId),
    /// Something pinned to it may be open.
    #[error("version '{0}' cannot be deleted since it is draining")]
    Draining(VersionId),
    /// Workers still poll.
    #[error("version '{0}' cannot be deleted since it has active pollers")]
    HasPollers(VersionId),
    /// There are too many.
    #[error(
        "cannot add version {0} since maximum number of versions ({MAX_VERSIONS}) have been registered in the deployment"
    )]
    TooManyVersions(VersionId),
    /// There are too many.
    #[error(
        "cannot add task queue {0} since maximum number of task queues ({MAX_TASK_QUEUES}) have been registered in deployment"
    )]
    TooManyTaskQueues(String),
}

/// Who asks for a change, and of which state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    /// The client.
    pub(crate) identity: String,
    /// The state it has seen; empty for any.
    pub(crate) token: Vec<u8>,
}

impl Record {
    /// A deployment without versions.
    #[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
    pub(crate) fn new(namespace: &str, name: &str, now: Nanos) -> Self {
        let info = WorkerDeploymentInfo {
            name: name.to_owned(),
            create_time: timestamp(now),
            routing_config: Some(RoutingConfig { current_version: UNVERSIONED.to_owned(), ..Default::default() }),
            routing_config_update_state: RoutingConfigUpdateState::Completed.into(),
            ..Default::default()
        };
        Self { namespace: namespace.to_owned(), info, versions: Vec::new(), token: now, request_id: String::new() }
    }

    /// Its state, as clients carry it.
    pub(crate) fn conflict_token(&self) -> Vec<u8> {
        self.token.to_be_bytes().to_vec()
    }

    /// Adds a version, unless it is there.
    ///
    /// # Errors
    /// There are too many, and none that nobody needs.
    #[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
    pub(crate) fn add_version(
        &mut self,
        build_id: &str,
        now: Nanos,
        has_pollers: impl Fn(&VersionId) -> bool,
    ) -> Result<&mut Version, Refused> {
        let id = self.id(build_id);
        if self.version(build_id).is_none() {
            if self.versions.len() >= MAX_VERSIONS {
                let spare = self.versions.iter().position(|version| {
                    !version.is_active()
                        && version.drainage() != Drainage::Draining
                        && !has_pollers(&self.id(version.build_id()))
                });
                self.versions.remove(spare.ok_or_else(|| Refused::TooManyVersions(id.clone()))?);
            }
            let info = WorkerDeploymentVersionInfo {
                version: id.old_name(),
                deployment_version: Some(id.message()),
                create_time: timestamp(now),
                ..Default::default()
            };
            self.versions.push(Version { info, request_id: String::new() });
        }
        self.version_mut(build_id).ok_or(Refused::TooManyVersions(id))
    }

    /// Checks that a client may change it.
    ///
    /// # Errors
    /// It is another's, or not what the client has seen.
    pub(crate) fn admit(&self, ask: &Ask) -> Result<(), Refused> {
        let manager = &self.info.manager_identity;
        if !manager.is_empty() && *manager != ask.identity {
            return Err(Refused::Managed { manager: manager.clone(), identity: ask.identity.clone() });
        }
        self.check_token(ask)
    }

    /// Checks that it is what a client has seen.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn check_token(&self, ask: &Ask) -> Result<(), Refused> {
        let same = ask.token.is_empty() || ask.token == self.conflict_token();
        if same { Ok(()) } else { Err(Refused::Conflict) }
    }

    /// Makes a version the current one, or with an empty build id those workers that have none. Answers whether that is new.
    ///
    /// # Errors
    /// There is no such version, or `missing_queues` are none of it.
    #[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
    pub(crate) fn set_current(
        &mut self,
        build_id: &str,
        ask: &Ask,
        now: Nanos,
        misses_queues: impl FnOnce(&Self) -> bool,
    ) -> Result<bool, Refused> {
        let name = self.old_name(build_id);
        let mut routing = self.routing();
        if routing.current_version == name && self.info.last_modifier_identity == ask.identity {
            return Ok(false);
        }
        self.admit(ask)?;
        self.require(build_id)?;
        if misses_queues(self) {
            return Err(Refused::MissingTaskQueues { role: "current", version: self.id(build_id) });
        }
        let previous = routing.current_deployment_version.take().map(|version| version.build_id);
        if let Some(version) = self.version_mut(build_id) {
            version.activate(now);
            version.info.current_since_time = timestamp(now);
            version.info.last_current_time = timestamp(now);
            version.info.ramping_since_time = None;
            version.info.ramp_percentage = 0.0;
        }
        if let Some(previous) = previous.filter(|previous| previous != build_id) {
            self.deactivate(&previous, now);
        }
        if is_ramping(&routing) && routing.ramping_version == name {
            routing.ramping_version.clear();
            routing.ramping_deployment_version = None;
            routing.ramping_version_percentage = 0.0;
            routing.ramping_version_changed_time = timestamp(now);
            routing.ramping_version_percentage_changed_time = timestamp(now);
        }
        routing.current_deployment_version = (!build_id.is_empty()).then(|| self.id(build_id).message());
        routing.current_version = name;
        routing.current_version_changed_time = timestamp(now);
        self.changed(routing, ask, now);
        Ok(true)
    }

    /// Gives a part of new work to a version, with an empty build id to those workers that have none; nothing at all of it with
    /// `None`. Answers whether that is new.
    ///
    /// # Errors
    /// There is no such version, it is the current one, or `missing_queues` are none of it.
    #[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
    pub(crate) fn set_ramping(
        &mut self,
        build_id: Option<&str>,
        percentage: f32,
        ask: &Ask,
        now: Nanos,
        misses_queues: impl FnOnce(&Self) -> bool,
    ) -> Result<bool, Refused> {
        let name = build_id.map(|build_id| self.old_name(build_id)).unwrap_or_default();
        let mut routing = self.routing();
        let same = routing.ramping_version == name;
        if same
            && routing.ramping_version_percentage.to_bits() == percentage.to_bits()
            && self.info.last_modifier_identity == ask.identity
        {
            return Ok(false);
        }
        self.admit(ask)?;
        if !name.is_empty() && routing.current_version == name {
            return Err(Refused::AlreadyCurrent(name));
        }
        if let Some(build_id) = build_id {
            self.require(build_id)?;
            if !same && misses_queues(self) {
                return Err(Refused::MissingTaskQueues { role: "ramping", version: self.id(build_id) });
            }
        }
        let previous = routing.ramping_deployment_version.take().map(|version| version.build_id);
        if let Some(version) = build_id.and_then(|build_id| self.version_mut(build_id)) {
            if version.info.ramping_since_time.is_none() {
                version.activate(now);
                version.info.ramping_since_time = timestamp(now);
            }
            version.info.routing_changed_time = timestamp(now);
            version.info.ramp_percentage = percentage;
        }
        if let Some(previous) = previous.filter(|previous| build_id != Some(previous.as_str())) {
            self.deactivate(&previous, now);
        }
        routing.ramping_deployment_version =
            build_id.filter(|build_id| !build_id.is_empty()).map(|build_id| self.id(build_id).message());
        routing.ramping_version_percentage = percentage;
        routing.ramping_version_percentage_changed_time = timestamp(now);
        if !same {
            routing.ramping_version_changed_time = timestamp(now);
            routing.ramping_version = name;
        }
        self.changed(routing, ask, now);
        Ok(true)
    }

    /// Forgets a version; one that is not there is forgotten already.
    ///
    /// # Errors
    /// It takes new work, drains (unless that is of no matter), or is polled.
    pub(crate) fn delete_version(
        &mut self,
        build_id: &str,
        skip_drainage: bool,
        has_pollers: bool,
        identity: &str,
    ) -> Result<(), Refused> {
        let id = self.id(build_id);
        let Some(version) = self.version(build_id) else { return Ok(()) };
        if version.is_active() {
            return Err(Refused::Active(id));
        }
        if version.drainage() == Drainage::Draining && !skip_drainage {
            return Err(Refused::Draining(id));
        }
        if has_pollers {
            return Err(Refused::HasPollers(id));
        }
        self.versions.retain(|version| version.build_id() != build_id);
        identity.clone_into(&mut self.info.last_modifier_identity);
        Ok(())
    }

    /// Gives it to a manager, who alone may change it then; answers the one before. Empty stands for nobody.
    ///
    /// # Errors
    /// It is not what the client has seen.
    pub(crate) fn set_manager(&mut self, manager: &str, ask: &Ask, now: Nanos) -> Result<String, Refused> {
        let previous = self.info.manager_identity.clone();
        if previous == manager && self.info.last_modifier_identity == ask.identity {
            return Ok(previous);
        }
        self.check_token(ask)?;
        manager.clone_into(&mut self.info.manager_identity);
        ask.identity.clone_into(&mut self.info.last_modifier_identity);
        self.token = now;
        Ok(previous)
    }

    /// A version by its older name, which workers without a version have too.
    fn old_name(&self, build_id: &str) -> String {
        if build_id.is_empty() { UNVERSIONED.to_owned() } else { self.id(build_id).old_name() }
    }

    fn require(&self, build_id: &str) -> Result<(), Refused> {
        if build_id.is_empty() || self.version(build_id).is_some() {
            return Ok(());
        }
        Err(Refused::NoVersion { build_id: build_id.to_owned(), deployment: self.info.name.clone() })
    }

    fn deactivate(&mut self, build_id: &str, now: Nanos) {
        let Some(version) = self.version_mut(build_id) else { return };
        version.info.current_since_time = None;
        version.info.ramping_since_time = None;
        version.info.ramp_percentage = 0.0;
        version.info.routing_changed_time = timestamp(now);
        version.info.last_deactivation_time = timestamp(now);
        version.set_drainage(Drainage::Draining, now);
    }

    fn changed(&mut self, mut routing: RoutingConfig, ask: &Ask, now: Nanos) {
        routing.revision_number += 1;
        self.info.routing_config = Some(routing);
        ask.identity.clone_into(&mut self.info.last_modifier_identity);
        self.token = now;
    }
}

impl Version {
    /// Notes that its workers poll a queue; answers whether that is new.
    ///
    /// # Errors
    /// They poll too many.
    #[allow(deprecated, reason = "the field is deprecated for clients, and kept here")]
    pub(crate) fn add_queue(&mut self, queue: &str, kind: TaskQueueType) -> Result<bool, Refused> {
        if self.has_queue(queue, kind) {
            return Ok(false);
        }
        if self.info.task_queue_infos.len() >= MAX_TASK_QUEUES {
            return Err(Refused::TooManyTaskQueues(queue.to_owned()));
        }
        self.info.task_queue_infos.push(VersionTaskQueueInfo { name: queue.to_owned(), r#type: kind.into() });
        Ok(true)
    }

    fn activate(&mut self, now: Nanos) {
        self.info.first_activation_time = self.info.first_activation_time.or_else(|| timestamp(now));
        self.info.last_deactivation_time = None;
        self.info.routing_changed_time = timestamp(now);
        self.set_drainage(Drainage::Unspecified, now);
    }
}
