//! Drainage: a version that takes no new work any more is drained once nothing pinned to it is open.

use temporalio_common::protos::temporal::api::{
    deployment::v1::VersionDrainageInfo, enums::v1::VersionDrainageStatus as Status,
};

use super::{Version, VersionId};
use crate::history::time::{Nanos, from_timestamp, timestamp};

/// How long a version drains at least, and how often it is looked at (`matching.wv.VersionDrainageStatusVisibilityGracePeriod`,
/// `…RefreshInterval`).
const INTERVAL: Nanos = 180_000_000_000;

impl Version {
    /// Notes that its drainage begins, or with `Unspecified` that it takes new work (again).
    pub(super) fn set_drainage(&mut self, status: Status, now: Nanos) {
        self.info.drainage_info = (status != Status::Unspecified).then(|| VersionDrainageInfo {
            status: status.into(),
            last_changed_time: timestamp(now),
            last_checked_time: timestamp(now),
        });
    }

    /// Looks at its drainage when it is time to; answers whether something has changed.
    pub(crate) fn check_drainage(&mut self, now: Nanos, is_open: impl FnOnce(&VersionId) -> bool) -> bool {
        let id = self.info.deployment_version.as_ref().and_then(VersionId::of);
        let (Some(id), Some(info)) = (id, self.info.drainage_info.as_mut()) else { return false };
        let checked = from_timestamp(info.last_checked_time.as_ref());
        if info.status() != Status::Draining || now.saturating_sub(checked) < INTERVAL {
            return false;
        }
        info.last_checked_time = timestamp(now);
        if !is_open(&id) {
            info.status = Status::Drained.into();
            info.last_changed_time = timestamp(now);
        }
        true
    }
}
