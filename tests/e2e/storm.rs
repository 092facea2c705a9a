//! `kill -9` of dixmgr at random moments of an incident: no restart step is lost, none is done twice.
//!
//! `DIXMGR_KILLS` says how often it is killed (12 unless told; a release is held against 200), `DIXMGR_SEED` at which moments.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use std::{env, thread};

use dixmgr_testkit::{
    CountedUnit, Daemon, Namespace, ProcessNamespace, Random, SystemdNamespace, TemporalServer, counted_command,
    counted_process, eventually,
};

use crate::support::{BINARY, QUICK, SOON, dixmgr, dixmgr_direct, service};

/// Services of the storm: two that stand alone, a chain of three, and one that takes a moment to start.
const SERVICES: [(&str, &str); 6] = [
    ("alone", ""),
    ("other", ""),
    ("base", ""),
    ("middle", "needs = [\"base\"]"),
    ("top", "needs = [\"middle\"]"),
    ("slow", ""),
];

/// Deaths of services during one incident.
const DEATHS: usize = 5;

/// Longest pause between two of them.
const PAUSE: Duration = Duration::from_millis(200);

/// dixmgr is killed within this time from the beginning of an incident: while it decides, acts, or starts up again.
const WINDOW: Duration = Duration::from_millis(1200);

/// How long dixmgr stays away at most.
const ABSENCE: Duration = Duration::from_millis(100);

/// How long after the last restart a second one for the same death would show.
const SETTLED: Duration = Duration::from_millis(400);

#[test]
fn no_restart_is_lost_or_done_twice_however_dixmgr_is_killed() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    install_units(&systemd);
    let daemon = dixmgr(&systemd, "-exec", &unit_config());
    Storm::begin(&systemd, daemon).rage(kills());
}

#[test]
fn the_same_holds_on_a_temporal_server() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let Some(temporal) = TemporalServer::start() else { return };
    install_units(&systemd);
    let daemon = Daemon::new(&systemd, BINARY, "-exec", &unit_config()).on(temporal);
    Storm::begin(&systemd, daemon).rage(kills().div_ceil(4));
}

#[test]
fn the_same_holds_when_dixmgr_runs_the_processes_itself() {
    let Some(namespace) = ProcessNamespace::start() else { return };
    let daemon = dixmgr_direct(&namespace, &command_config(&namespace));
    Storm::begin(&namespace, daemon).rage(kills());
}

fn kills() -> usize {
    env::var("DIXMGR_KILLS").map_or(12, |kills| kills.parse().expect("DIXMGR_KILLS is a number"))
}

fn install_units(systemd: &SystemdNamespace) {
    let unit = |(name, _): &(&str, &str)| {
        let unit = CountedUnit::new(&format!("{name}.service"));
        if *name == "slow" { unit.service_line("ExecStartPre=/bin/sleep 0.3") } else { unit }
    };
    systemd.install(&SERVICES.iter().map(unit).collect::<Vec<_>>());
}

/// Policies that never give up, so that every death has its restart.
fn limits() -> String {
    QUICK.replace("max_restarts = 50", "max_restarts = 10000")
}

fn unit_config() -> String {
    let services = SERVICES.iter().map(|(name, lines)| service(&format!("{name}.service"), lines));
    services.fold(limits(), |text, service| text + &service)
}

fn command_config(namespace: &ProcessNamespace) -> String {
    let service = |(name, lines): &(&str, &str)| {
        let command = counted_command(namespace, name);
        format!("[[service]]\nname = \"{name}\"\ncommand = {command}\n{lines}\n")
    };
    SERVICES.iter().map(service).fold(limits(), |text, service| text + &service)
}

/// Services that can be killed, and that count their starts.
trait Victims: Sync {
    /// Main process of a service that runs and has counted this start.
    fn running(&self, service: &str) -> Option<u32>;

    /// How often a service has been started.
    fn started(&self, service: &str) -> usize;

    /// Kills a process.
    fn kill(&self, pid: u32);
}

impl Victims for SystemdNamespace {
    fn running(&self, service: &str) -> Option<u32> {
        let unit = format!("{service}.service");
        // In this order: the process of a unit that has just died is not taken for that of one that is active again.
        let pid = self.main_pid(&unit);
        (self.property(&unit, "ActiveState") == "active" && pid != 0 && self.main_pid(&unit) == pid).then_some(pid)
    }

    fn started(&self, service: &str) -> usize {
        self.starts(&format!("{service}.service"))
    }

    fn kill(&self, pid: u32) {
        self.kill_process(pid);
    }
}

impl Victims for ProcessNamespace {
    fn running(&self, service: &str) -> Option<u32> {
        counted_process(self, service)
    }

    fn started(&self, service: &str) -> usize {
        self.starts(service)
    }

    fn kill(&self, pid: u32) {
        self.kill_process(pid);
    }
}

struct Storm<'a> {
    victims: &'a dyn Victims,
    daemon: Daemon,
    random: Random,
    deaths: BTreeMap<&'static str, usize>,
}

impl<'a> Storm<'a> {
    fn begin(victims: &'a dyn Victims, daemon: Daemon) -> Self {
        let deaths = SERVICES.iter().map(|(name, _)| (*name, 0)).collect();
        let storm = Self { victims, daemon: daemon.started(), random: Random::from_environment(), deaths };
        storm.assert_all_is_well(0);
        storm
    }

    /// One incident after the other, each with one kill of dixmgr.
    fn rage(mut self, kills: usize) {
        for kill in 1..=kills {
            self.incident(kill);
        }
        eprintln!("{kills} kills of dixmgr, deaths of services: {:?}", self.deaths);
    }

    /// Kills services one after the other, and dixmgr at some moment among them; then all must be as if nothing had been.
    fn incident(&mut self, kill: usize) {
        let none = Duration::ZERO;
        let death = |random: &mut Random| (random.within(none..PAUSE), SERVICES[random.below(SERVICES.len())].0);
        let script: Vec<(Duration, &'static str)> = (0..DEATHS).map(|_| death(&mut self.random)).collect();
        let moment = self.random.within(none..WINDOW);
        let absence = self.random.within(none..ABSENCE);
        let begun = Instant::now();
        let victims = self.victims;
        thread::scope(|scope| {
            let killer = scope.spawn(|| {
                for (pause, service) in &script {
                    thread::sleep(*pause);
                    kill_running(victims, service);
                }
            });
            thread::sleep(moment.saturating_sub(begun.elapsed()));
            self.daemon.kill();
            thread::sleep(absence);
            self.daemon.start();
            let outcome = killer.join();
            assert!(outcome.is_ok(), "kill {kill}: the script did not run to its end; log:\n{}", self.daemon.log());
        });
        for (_, service) in script {
            *self.deaths.get_mut(service).expect("one of the services") += 1;
        }
        self.assert_all_is_well(kill);
    }

    /// Every service runs, and was started exactly once more than it died.
    fn assert_all_is_well(&self, kill: usize) {
        let context = |name: &str| format!("kill {kill}: {name}; log of dixmgr:\n{}", self.daemon.log());
        for (name, deaths) in &self.deaths {
            let runs = || (self.victims.running(name).is_some() && self.victims.started(name) > *deaths).then_some(());
            eventually(&context(name), SOON, runs);
        }
        thread::sleep(SETTLED);
        for (name, deaths) in &self.deaths {
            assert_eq!(self.victims.started(name), deaths + 1, "{}", context(name));
        }
    }
}

/// Waits until a service runs, then kills its main process. Nobody else kills, so each call is one death.
fn kill_running(victims: &dyn Victims, service: &str) {
    let pid = eventually(&format!("{service} runs before it is killed"), SOON, || victims.running(service));
    victims.kill(pid);
    // The next kill of this service must not find the old process again.
    eventually(&format!("{service} is seen dead"), SOON, || (victims.running(service) != Some(pid)).then_some(()));
}
