//! Time skipping for tests of workflows, as Temporal's own test server offers it. An engine that was not started for tests
//! answers `UNIMPLEMENTED`, but for the time.

use temporalio_common::protos::temporal::api::testservice::v1::{
    GetCurrentTimeResponse, LockTimeSkippingRequest, LockTimeSkippingResponse, SleepRequest, SleepResponse,
    SleepUntilRequest, UnlockTimeSkippingRequest, UnlockTimeSkippingResponse,
};
use tonic::Status;

use super::Service;
use crate::{
    core::Core,
    history::time::{Nanos, from_timestamp, timestamp},
};

impl Service {
    pub(super) async fn lock_time_skipping(
        &self,
        _request: LockTimeSkippingRequest,
    ) -> Result<LockTimeSkippingResponse, Status> {
        self.change_skipping(Core::lock_time_skipping).await?;
        Ok(LockTimeSkippingResponse {})
    }

    pub(super) async fn unlock_time_skipping(
        &self,
        _request: UnlockTimeSkippingRequest,
    ) -> Result<UnlockTimeSkippingResponse, Status> {
        self.change_skipping(Core::unlock_time_skipping).await?;
        Ok(UnlockTimeSkippingResponse {})
    }

    pub(super) async fn sleep(&self, request: SleepRequest) -> Result<SleepResponse, Status> {
        self.sleep_for(&request, false).await
    }

    pub(super) async fn unlock_time_skipping_with_sleep(&self, request: SleepRequest) -> Result<SleepResponse, Status> {
        self.sleep_for(&request, true).await
    }

    pub(super) async fn sleep_until(&self, request: SleepUntilRequest) -> Result<SleepResponse, Status> {
        let until = request.timestamp.ok_or_else(|| Status::invalid_argument("Timestamp is not set on request."))?;
        let until = from_timestamp(Some(&until));
        self.core.call(move |core, reply| core.sleep_until(until, false, reply)).await?;
        Ok(SleepResponse {})
    }

    pub(super) async fn get_current_time(&self, (): ()) -> Result<GetCurrentTimeResponse, Status> {
        let now: Nanos = self
            .core
            .call(|core, reply| {
                let now = core.now();
                core.reply(reply, Ok(now));
            })
            .await?;
        Ok(GetCurrentTimeResponse { time: timestamp(now) })
    }

    async fn sleep_for(&self, request: &SleepRequest, unlocked: bool) -> Result<SleepResponse, Status> {
        let duration = request.duration.ok_or_else(|| Status::invalid_argument("Duration is not set on request."))?;
        let duration = i128::from(duration.seconds) * 1_000_000_000 + i128::from(duration.nanos);
        let duration = Nanos::try_from(duration).map_err(|_| Status::invalid_argument("Duration is too long."))?;
        self.core
            .call(move |core, reply| core.sleep_until(core.now().saturating_add(duration), unlocked, reply))
            .await?;
        Ok(SleepResponse {})
    }

    pub(crate) async fn change_skipping(&self, change: fn(&mut Core) -> Result<(), Status>) -> Result<(), Status> {
        self.core
            .call(move |core, reply| {
                let answer = change(core);
                core.reply(reply, answer);
            })
            .await
    }
}
