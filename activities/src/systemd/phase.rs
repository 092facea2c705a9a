//! systemd's load, active and sub states, folded to what a decision needs. Pure.

use dixmgr_model::UnitPhase;

/// `ExecMainCode` of a process that exited by itself (`CLD_EXITED` of waitid(2)).
const CLD_EXITED: i32 = 1;

/// What `ListUnitsByNames` tells of a unit. Equal rows (and no signal in between) mean that nothing has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// `LoadState`.
    pub(super) load: String,
    /// `ActiveState`.
    pub(super) active: String,
    /// `SubState`.
    pub(super) sub: String,
    /// Queued job, 0 when there is none.
    pub(super) job: u32,
}

/// What else decides between "inactive" and "completed".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// `Type=oneshot`.
    pub(super) oneshot: bool,
    /// It has run since systemd loaded it: it has an `InvocationID`.
    pub(super) ran: bool,
    /// `Result=success`.
    pub(super) success: bool,
    /// `ExecMainCode` of the last main process.
    pub(super) main_code: i32,
}

impl Row {
    /// Whether the phase depends on a [`Run`], or will when it ends.
    pub(super) fn needs_run(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "activating") || (self.active == "active" && self.sub == "exited")
    }

    /// Whether systemd has read the unit's file.
    pub(super) fn is_loaded(&self) -> bool {
        self.load == "loaded" || !matches!(self.active.as_str(), "inactive" | "failed")
    }

    /// The phase. A unit that still runs counts as running even if its file was masked or removed meanwhile: that is what
    /// is true of it, and nothing has to be done about it.
    pub(super) fn phase(&self, run: Run) -> UnitPhase {
        match (self.load.as_str(), self.active.as_str(), self.sub.as_str()) {
            (_, "active", "exited") if run.oneshot => UnitPhase::Completed,
            (_, "active" | "reloading" | "refreshing", _) => UnitPhase::Active,
            (_, "activating", sub) if sub.starts_with("auto-restart") => UnitPhase::AutoRestart,
            (_, "activating" | "maintenance", _) => UnitPhase::Activating,
            (_, "deactivating", _) => UnitPhase::Deactivating,
            ("masked", _, _) => UnitPhase::Masked,
            ("not-found" | "bad-setting" | "error", _, _) => UnitPhase::Missing,
            (_, "failed", _) => UnitPhase::Failed,
            (_, "inactive", _) if run.completed() => UnitPhase::Completed,
            (_, "inactive", _) => UnitPhase::Inactive,
            _ => UnitPhase::Unknown,
        }
    }
}

impl Run {
    /// A oneshot that ran to its end by itself. One that was stopped half-way has `Result=success` too, but its process was
    /// killed.
    fn completed(self) -> bool {
        self.oneshot && self.ran && self.success && self.main_code == CLD_EXITED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(load: &str, active: &str, sub: &str, run: Run) -> UnitPhase {
        Row { load: load.into(), active: active.into(), sub: sub.into(), job: 0 }.phase(run)
    }

    #[test]
    fn states_fold_as_the_model_says() {
        let service = Run { oneshot: false, ran: true, success: true, main_code: CLD_EXITED };
        let done = Run { oneshot: true, ..service };
        let stopped = Run { main_code: 2, ..done };
        let never_ran = Run { oneshot: true, ran: false, success: true, main_code: 0 };
        let table = [
            ("loaded", "active", "running", service, UnitPhase::Active),
            ("loaded", "active", "exited", service, UnitPhase::Active),
            ("loaded", "active", "exited", done, UnitPhase::Completed),
            ("loaded", "reloading", "reload", service, UnitPhase::Active),
            ("loaded", "activating", "start-pre", service, UnitPhase::Activating),
            ("loaded", "activating", "auto-restart", service, UnitPhase::AutoRestart),
            ("loaded", "activating", "auto-restart-queued", service, UnitPhase::AutoRestart),
            ("loaded", "deactivating", "stop-sigterm", service, UnitPhase::Deactivating),
            ("loaded", "failed", "failed", service, UnitPhase::Failed),
            ("loaded", "inactive", "dead", service, UnitPhase::Inactive),
            ("loaded", "inactive", "dead", done, UnitPhase::Completed),
            ("loaded", "inactive", "dead", stopped, UnitPhase::Inactive),
            ("loaded", "inactive", "dead", never_ran, UnitPhase::Inactive),
            ("masked", "inactive", "dead", service, UnitPhase::Masked),
            ("masked", "failed", "failed", service, UnitPhase::Masked),
            ("masked", "active", "running", service, UnitPhase::Active),
            ("not-found", "inactive", "dead", service, UnitPhase::Missing),
            ("not-found", "active", "running", service, UnitPhase::Active),
            ("bad-setting", "inactive", "dead", service, UnitPhase::Missing),
            ("error", "inactive", "dead", service, UnitPhase::Missing),
            ("loaded", "a-state-of-the-future", "", service, UnitPhase::Unknown),
        ];
        for (load, active, sub, run, expected) in table {
            assert_eq!(phase(load, active, sub, run), expected, "{load} {active} {sub} {run:?}");
        }
    }
}
