//! `kill -9` of dixmgr at random moments of an incident: no restart step is lost, none is done twice.
//!
//! `DIXMGR_KILLS` says how often it is killed (12 unless told; the release is held against 200), `DIXMGR_SEED` at which moments.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use std::{env, thread};

use dixmgr_testkit::{CountedUnit, Daemon, Namespace, Random, SystemdNamespace, TemporalServer, eventually};

use crate::support::{BINARY, QUICK, SOON, dixmgr, service};

/// Services of the storm: two that stand alone, a chain of three, and one that takes a moment to start.
const UNITS: [(&str, &str); 6] = [
    ("alone.service", ""),
    ("other.service", ""),
    ("base.service", ""),
    ("middle.service", "needs = [\"base\"]"),
    ("top.service", "needs = [\"middle\"]"),
    ("slow.service", ""),
];

/// Kills during one incident.
const DEATHS: usize = 5;

/// dixmgr is killed within this time from the beginning of an incident: while it decides, acts, or starts up again.
const WINDOW: Duration = Duration::from_millis(1200);

/// How long after the last restart a second one for the same death would show.
const SETTLED: Duration = Duration::from_millis(400);

#[test]
fn no_restart_is_lost_or_done_twice_however_dixmgr_is_killed() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let kills = env::var("DIXMGR_KILLS").map_or(12, |kills| kills.parse().expect("DIXMGR_KILLS is a number"));
    let daemon = dixmgr(&systemd, "-exec", &storm_config());
    Storm::begin(&systemd, daemon).rage(kills);
}

#[test]
fn the_same_holds_on_a_temporal_server() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let Some(temporal) = TemporalServer::start() else { return };
    let daemon = Daemon::new(&systemd, BINARY, "-exec", &storm_config()).on(temporal);
    Storm::begin(&systemd, daemon).rage(4);
}

/// Policies that never give up, so that every death has its restart.
fn storm_config() -> String {
    let limits = QUICK.replace("max_restarts = 50", "max_restarts = 10000");
    UNITS.iter().map(|(unit, lines)| service(unit, lines)).fold(limits, |text, service| text + &service)
}

struct Storm<'a> {
    systemd: &'a SystemdNamespace,
    daemon: Daemon,
    random: Random,
    deaths: BTreeMap<&'static str, usize>,
}

impl<'a> Storm<'a> {
    fn begin(systemd: &'a SystemdNamespace, daemon: Daemon) -> Self {
        let unit = |(name, _): &(&str, &str)| match *name {
            "slow.service" => CountedUnit::new(name).service_line("ExecStartPre=/bin/sleep 0.3"),
            _ => CountedUnit::new(name),
        };
        systemd.install(&UNITS.iter().map(unit).collect::<Vec<_>>());
        let deaths = UNITS.iter().map(|(unit, _)| (*unit, 0)).collect();
        let storm = Self { systemd, daemon: daemon.started(), random: Random::from_environment(), deaths };
        storm.assert_all_is_well(0);
        storm
    }

    /// One incident after the other, each with one kill of dixmgr.
    fn rage(mut self, kills: usize) {
        for kill in 1..=kills {
            self.incident(kill);
        }
        eprintln!("{kills} kills of dixmgr, deaths of units: {:?}", self.deaths);
    }

    /// Kills units one after the other, and dixmgr at some moment among them; then all must be as if nothing had been.
    fn incident(&mut self, kill: usize) {
        let script: Vec<(Duration, usize)> = (0..DEATHS)
            .map(|_| (self.random.within(Duration::ZERO..Duration::from_millis(200)), self.random.below(UNITS.len())))
            .collect();
        let moment = self.random.within(Duration::ZERO..WINDOW);
        let absence = self.random.within(Duration::ZERO..Duration::from_millis(100));
        let begun = Instant::now();
        let systemd = self.systemd;
        let died = thread::scope(|scope| {
            let killer = scope.spawn(|| {
                script
                    .iter()
                    .map(|(pause, index)| {
                        thread::sleep(*pause);
                        kill_running(systemd, UNITS[*index].0)
                    })
                    .collect::<Vec<_>>()
            });
            thread::sleep(moment.saturating_sub(begun.elapsed()));
            self.daemon.kill();
            thread::sleep(absence);
            self.daemon.start();
            killer.join().expect("the script of the incident ran to its end")
        });
        for unit in died {
            *self.deaths.get_mut(unit).expect("one of the units") += 1;
        }
        self.assert_all_is_well(kill);
    }

    /// Every unit runs, and was started exactly once more than it died.
    fn assert_all_is_well(&self, kill: usize) {
        let context = |unit: &str| format!("kill {kill}: {unit}; log of dixmgr:\n{}", self.daemon.log());
        for (unit, deaths) in &self.deaths {
            eventually(&context(unit), SOON, || {
                let active = self.systemd.property(unit, "ActiveState") == "active";
                (active && self.systemd.starts(unit) > *deaths).then_some(())
            });
        }
        thread::sleep(SETTLED);
        for (unit, deaths) in &self.deaths {
            assert_eq!(self.systemd.starts(unit), deaths + 1, "{}", context(unit));
        }
    }
}

/// Waits until a unit runs, then kills its main process. Nobody else kills, so each call is one death.
fn kill_running(systemd: &SystemdNamespace, unit: &'static str) -> &'static str {
    let pid = eventually(&format!("{unit} runs before it is killed"), SOON, || {
        let running = systemd.property(unit, "ActiveState") == "active";
        let pid = systemd.main_pid(unit);
        (running && pid != 0).then_some(pid)
    });
    let killed = systemd.command_inside("kill".as_ref()).args(["-KILL", &pid.to_string()]).status();
    assert!(killed.expect("kill runs").success(), "process {pid} of {unit} was there");
    // The next kill of this unit must not find the old process again.
    eventually(&format!("the death of {unit} is seen"), SOON, || (systemd.main_pid(unit) != pid).then_some(()));
    unit
}
