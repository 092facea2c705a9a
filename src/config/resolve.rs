//! From what one service's table says to what it means: defaults filled in, keys that contradict each other refused.

use std::time::Duration;

use dixmgr_model::{Command, Labels, Probes, Replicas, RestartPolicy, ServiceSpec, Target};

use super::ManagerKind;
use super::fault::{FaultSink, Located, Place};
use super::written::{WrittenCommon, WrittenRestart, WrittenService};

/// Longest time for one HTTP check or JSON-RPC call unless the file says otherwise.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(90);
const DEPENDENCY_TIMEOUT: Duration = Duration::from_hours(24);

/// A service that stands for itself; what it needs is still only named.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) spec: ServiceSpec,
    /// Where its name was written.
    pub(super) name_place: Place,
    /// Where its unit was written.
    pub(super) target_place: Place,
    pub(super) needs: Vec<Located<String>>,
}

/// Resolves one `[[service]]` table.
pub(super) fn service(
    written: WrittenService,
    defaults: &WrittenCommon,
    manager: ManagerKind,
    faults: &FaultSink<'_>,
) -> Draft {
    let name = written.name.value.clone();
    let mut probes = probes(&written.common, defaults);
    probes.http.clone_from(&written.http);
    probes.sync.clone_from(&written.sync);
    let restart = restart_policy(&written.common.restart, &defaults.restart, faults);
    let replicas = replicas(&written, faults);
    let common = &written.common;
    let operation_timeout =
        pick(common.operation_timeout.as_ref(), defaults.operation_timeout.as_ref()).unwrap_or(OPERATION_TIMEOUT);
    let dependency_timeout =
        pick(common.dependency_timeout.as_ref(), defaults.dependency_timeout.as_ref()).unwrap_or(DEPENDENCY_TIMEOUT);
    let labels = Labels { kind: text(written.kind.as_ref()), chain: text(written.chain.as_ref()) };
    // Without a target the service still stands in the plan, so that those that need it find its name.
    let (target, target_place) = target(&written, manager, replicas.is_some(), faults)
        .unwrap_or_else(|| (Target::Command(Command::default()), written.place.clone()));
    let spec = ServiceSpec {
        workflow_id: format!("wf.svc.{name}"),
        ready_signal: format!("ready:svc:{name}"),
        name,
        labels,
        target,
        needs: Vec::new(),
        dependents: Vec::new(),
        dependency_timeout,
        probes,
        restart,
        operation_timeout,
        replicas,
    };
    Draft { spec, name_place: written.name.place, target_place, needs: written.needs }
}

/// Checks `[defaults]` for contradictions of its own, which every service would repeat.
pub(super) fn defaults(defaults: &WrittenCommon, faults: &FaultSink<'_>) {
    restart_policy(&defaults.restart, &WrittenRestart::default(), faults);
}

/// What `[watcher]` or `[defaults]` make of a service that says nothing itself.
pub(super) fn common_spec(defaults: &WrittenCommon) -> (Probes, RestartPolicy, Duration, Duration) {
    let none = WrittenCommon::default();
    let (restart, _) = merge_restart(&none.restart, &defaults.restart);
    (
        probes(&none, defaults),
        restart,
        pick(none.operation_timeout.as_ref(), defaults.operation_timeout.as_ref()).unwrap_or(OPERATION_TIMEOUT),
        pick(none.dependency_timeout.as_ref(), defaults.dependency_timeout.as_ref()).unwrap_or(DEPENDENCY_TIMEOUT),
    )
}

fn pick<T: Copy>(own: Option<&Located<T>>, general: Option<&Located<T>>) -> Option<T> {
    own.or(general).map(|found| found.value)
}

fn text(found: Option<&Located<String>>) -> String {
    found.map(|found| found.value.clone()).unwrap_or_default()
}

fn probes(own: &WrittenCommon, general: &WrittenCommon) -> Probes {
    let otherwise = Probes::default();
    Probes {
        interval: pick(own.interval.as_ref(), general.interval.as_ref()).unwrap_or(otherwise.interval),
        resources: pick(own.resources.as_ref(), general.resources.as_ref()).unwrap_or(otherwise.resources),
        failure_threshold: pick(own.failure_threshold.as_ref(), general.failure_threshold.as_ref())
            .unwrap_or(otherwise.failure_threshold),
        ..otherwise
    }
}

fn restart_policy(own: &WrittenRestart, general: &WrittenRestart, faults: &FaultSink<'_>) -> RestartPolicy {
    let (policy, max_place) = merge_restart(own, general);
    if policy.max_backoff < policy.initial_backoff
        && let Some(place) = max_place
    {
        let initial = dixmgr_model::duration::format(policy.initial_backoff);
        faults.report(&place, "is shorter than initial_backoff", format!("write \"{initial}\" or more"));
    }
    policy
}

/// The policy, and where its longest backoff or, failing that, its initial one was written by the service itself.
fn merge_restart(own: &WrittenRestart, general: &WrittenRestart) -> (RestartPolicy, Option<Place>) {
    let otherwise = RestartPolicy::default();
    let initial = pick(own.initial_backoff.as_ref(), general.initial_backoff.as_ref());
    let max = pick(own.max_backoff.as_ref(), general.max_backoff.as_ref());
    // A bound that was not written gives way to the one that was.
    let initial_backoff = initial.unwrap_or_else(|| otherwise.initial_backoff.min(max.unwrap_or(Duration::MAX)));
    let max_backoff = max.unwrap_or_else(|| otherwise.max_backoff.max(initial_backoff));
    let place = own.max_backoff.as_ref().or(own.initial_backoff.as_ref()).map(|found| found.place.clone());
    let policy = RestartPolicy {
        max_restarts: pick(own.max_restarts.as_ref(), general.max_restarts.as_ref()).unwrap_or(otherwise.max_restarts),
        window: pick(own.window.as_ref(), general.window.as_ref()).unwrap_or(otherwise.window),
        initial_backoff,
        max_backoff,
        backoff_coefficient: pick(own.backoff_coefficient.as_ref(), general.backoff_coefficient.as_ref())
            .unwrap_or(otherwise.backoff_coefficient),
        jitter: pick(own.jitter.as_ref(), general.jitter.as_ref()).unwrap_or(otherwise.jitter),
        stable_after: pick(own.stable_after.as_ref(), general.stable_after.as_ref()).unwrap_or(otherwise.stable_after),
        quarantine_retry: pick(own.quarantine_retry.as_ref(), general.quarantine_retry.as_ref())
            .unwrap_or(otherwise.quarantine_retry),
        on_unhealthy: pick(own.on_unhealthy.as_ref(), general.on_unhealthy.as_ref()).unwrap_or(otherwise.on_unhealthy),
    };
    (policy, place)
}

fn replicas(written: &WrittenService, faults: &FaultSink<'_>) -> Option<Replicas> {
    let Some(count) = &written.replicas else {
        if let Some(quorum) = &written.quorum {
            faults.report(&quorum.place, "a quorum needs replicas", "write replicas = … as well");
        }
        return None;
    };
    let majority = count.value / 2 + 1;
    let quorum = written.quorum.as_ref().map_or(majority, |quorum| quorum.value);
    if let Some(written) = written.quorum.as_ref().filter(|quorum| quorum.value > count.value) {
        let problem = format!("{quorum} of {} replicas can never be ready", count.value);
        faults.report(&written.place, problem, format!("write 1 to {}", count.value));
    }
    Some(Replicas { count: count.value, quorum })
}

/// What runs the service, and where that was written.
fn target(
    written: &WrittenService,
    manager: ManagerKind,
    replicated: bool,
    faults: &FaultSink<'_>,
) -> Option<(Target, Place)> {
    match (&written.unit, &written.command) {
        (Some(unit), Some(_)) => {
            faults.report(&unit.place, "a service has either a unit or a command", "leave out one of the two");
            None
        }
        (Some(unit), None) => Some(unit_target(written, unit, manager, replicated, faults)),
        (None, Some(command)) => {
            if manager == ManagerKind::Systemd {
                let advice = "write unit = \"….service\", or start dixmgr with -process-manager direct";
                faults.report(&command.place, "systemd runs units, not commands", advice);
            }
            let command_line = Command {
                argv: command.value.clone(),
                directory: written.directory.as_ref().map(|found| found.value.clone()),
                environment: written.environment.clone(),
                die_with_parent: written.die_with_parent.as_ref().is_some_and(|found| found.value),
            };
            Some((Target::Command(command_line), command.place.clone()))
        }
        (None, None) => {
            if !written.has_target {
                let advice = match manager {
                    ManagerKind::Systemd => "write unit = \"….service\"",
                    ManagerKind::Direct => "write command = [\"/usr/bin/program\", \"argument\"]",
                };
                faults.report(&written.place, "says neither unit nor command", advice);
            }
            None
        }
    }
}

fn unit_target(
    written: &WrittenService,
    unit: &Located<String>,
    manager: ManagerKind,
    replicated: bool,
    faults: &FaultSink<'_>,
) -> (Target, Place) {
    if manager == ManagerKind::Direct {
        let advice = "write command = […], or start dixmgr with -process-manager systemd";
        faults.report(&unit.place, "a unit needs systemd, and dixmgr runs the processes itself here", advice);
    }
    let only_commands = [
        ("directory", written.directory.as_ref().map(|found| &found.place)),
        ("die_with_parent", written.die_with_parent.as_ref().map(|found| &found.place)),
        ("environment", (!written.environment.is_empty()).then_some(&written.place)),
    ];
    for (key, place) in only_commands.iter().filter_map(|(key, place)| place.map(|place| (key, place))) {
        faults.report(place, format!("{key} is for commands; this service is a unit"), "set it in the unit file");
    }
    let numbered = unit.value.contains("{i}");
    if replicated && !numbered {
        faults.report(&unit.place, "all replicas would be the same unit", "number them, as in \"worker@{i}.service\"");
    } else if numbered && !replicated {
        faults.report(&unit.place, "{i} numbers replicas, and there are none", "write replicas = …");
    }
    (Target::Unit(unit.value.clone()), unit.place.clone())
}
