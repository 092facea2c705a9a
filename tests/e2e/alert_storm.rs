//! Alerts under stress: `kill -9` while messages are on their way to a receiver that has its moods, and a storm that has one
//! cause.
//!
//! `DIXMGR_KILLS` says how often dixmgr is killed (8 unless told; a release is held against 200), `DIXMGR_SEED` at which
//! moments, `DIXMGR_STORM` how many services lose what they need (150; a release is held against 2000).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, thread};

use dixmgr_testkit::http::Request;
use dixmgr_testkit::usage::Usage;
use dixmgr_testkit::{CountedUnit, Daemon, HttpFixture, Random, Reply, SystemdNamespace, eventually, wait_until};
use serde_json::Value;

use crate::support::{A_WHILE, QUICK, SOON, await_health, config, dixmgr, exec, service};

/// Services that die.
const UNITS: [&str; 3] = ["a.service", "b.service", "c.service"];

/// dixmgr is killed within this time after a death, and stays away for the other.
const WINDOW: Duration = Duration::from_millis(900);
const ABSENCE: Duration = Duration::from_millis(100);

/// A receiver that refused is tried again five minutes later at most, which is where the waits of a message end.
const PATIENCE: Duration = Duration::from_mins(6);

/// Every message that came, and whether its receiver took it.
type Heard = Arc<Mutex<Vec<(Request, bool)>>>;

#[test]
fn no_message_is_lost_and_none_is_new_twice_however_dixmgr_is_killed() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&UNITS.map(CountedUnit::new));
    let (receiver, heard) = moody();
    let config =
        format!("{}{}", told_to(&receiver), config(&UNITS).replace("max_restarts = 50", "max_restarts = 10000"));
    let mut daemon = exec(&systemd, &config, &["a", "b", "c"]);
    let kills: usize = env::var("DIXMGR_KILLS").map_or(8, |kills| kills.parse().expect("DIXMGR_KILLS is a number"));
    let mut random = Random::from_environment();
    for _ in 0..kills {
        let unit = UNITS[random.below(UNITS.len())];
        await_health(&daemon, unit.trim_end_matches(".service"), true);
        systemd.kill_unit(unit);
        thread::sleep(random.within(Duration::ZERO..WINDOW));
        daemon.kill();
        thread::sleep(random.within(Duration::ZERO..ABSENCE));
        daemon.start();
        daemon.await_ready();
    }
    calm(&receiver, &heard);
    await_end(&daemon, &heard);
    // A last death, in peace: exactly its two messages.
    let before = taken(&heard).len();
    systemd.kill_unit("a.service");
    eventually(&format!("the last two messages; log:\n{}", daemon.log()), PATIENCE, || {
        (taken(&heard).len() >= before + 2).then_some(())
    });
    await_end(&daemon, &heard);
    assert_eq!(taken(&heard).len(), before + 2);
    assert_in_order(&heard);
    let requests = heard.lock().unwrap().len();
    eprintln!("{kills} kills, {requests} requests, {} messages", taken(&heard).len());
}

/// `[alerts]` without waits, one group for each service, and only about death.
fn told_to(receiver: &HttpFixture) -> String {
    let url = receiver.url("/alerts");
    format!(
        "[alerts]\ngroup_wait = \"0s\"\ngroup_interval = \"0s\"\ndedupe_window = \"0s\"\ngroup_by = [\"...\"]\n\
         [[alerts.channel]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{url}\"\n\
         [[alerts.rule]]\nname = \"restart_loop\"\nenabled = false\n"
    )
}

/// A receiver that now takes a message, now refuses it, or hangs up in the middle.
fn moody() -> (HttpFixture, Heard) {
    let heard = Heard::default();
    let mut random = Random::from_environment();
    let kept = Arc::clone(&heard);
    let receiver = HttpFixture::start(move |request| {
        let (taken, reply) = match random.below(6) {
            0 => (false, Reply::status(503)),
            1 => (false, Reply::status(429).header("retry-after", "1")),
            2 => (false, Reply::raw("HTTP/1.1 200 O")),
            3 => (true, Reply::status(200).after(Duration::from_millis(300))),
            _ => (true, Reply::status(200)),
        };
        kept.lock().unwrap().push((request.clone(), taken));
        reply
    });
    (receiver, heard)
}

/// From now on everything is taken.
fn calm(receiver: &HttpFixture, heard: &Heard) {
    let kept = Arc::clone(heard);
    receiver.set(move |request| {
        kept.lock().unwrap().push((request.clone(), true));
        Reply::status(200)
    });
}

/// Waits until every service's last message said that it is over, and no more came for a while.
fn await_end(daemon: &Daemon, heard: &Heard) {
    let mut seen = (usize::MAX, Instant::now());
    let ended = wait_until(PATIENCE, || {
        let requests = heard.lock().unwrap().len();
        if requests != seen.0 {
            seen = (requests, Instant::now());
        }
        let over = last_of_each(heard).values().all(|status| status == "resolved");
        over && nothing_is_refused(heard) && seen.1.elapsed() > 2 * A_WHILE
    });
    let last: Vec<_> = heard.lock().unwrap().iter().rev().take(12).map(told).collect();
    assert!(
        ended,
        "not all was told to be over: {:?}\nthe last were, backwards, {last:#?}\n{}",
        last_of_each(heard),
        daemon.log()
    );
}

/// A request in a few words: its key, what it says, and whether it was taken.
fn told((request, taken): &(Request, bool)) -> String {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    format!(
        "{} {} {} {}",
        key(request),
        body["commonLabels"]["service"],
        body["status"],
        if *taken { "taken" } else { "refused" }
    )
}

/// Whether no group's last message was refused: that one comes again, however long it waits for that.
fn nothing_is_refused(heard: &Heard) -> bool {
    let heard = heard.lock().unwrap();
    let last: BTreeMap<&str, bool> = heard.iter().map(|(request, taken)| (group(key(request)), *taken)).collect();
    last.values().all(|taken| *taken)
}

fn key(request: &Request) -> &str {
    request.header("idempotency-key").expect("a key")
}

/// The group that a message is about.
fn group(key: &str) -> &str {
    key.split('-').next().expect("a group")
}

/// The messages that were taken, without those that came again by the same key: service and status.
fn taken(heard: &Heard) -> Vec<(String, String)> {
    let mut keys = Vec::new();
    let mut messages = Vec::new();
    for (request, _) in heard.lock().unwrap().iter().filter(|(_, taken)| *taken) {
        let key = key(request).to_owned();
        if !keys.contains(&key) {
            keys.push(key);
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            messages.push((text(&body["commonLabels"]["service"]), text(&body["status"])));
        }
    }
    messages
}

fn last_of_each(heard: &Heard) -> BTreeMap<String, String> {
    taken(heard).into_iter().collect()
}

/// To the receiver of each service's messages, firing and resolved take turns; the same key always has the same body, and a
/// message comes again only until the next one came.
fn assert_in_order(heard: &Heard) {
    let mut firing: BTreeMap<String, bool> = BTreeMap::new();
    for (service, status) in taken(heard) {
        let before = firing.insert(service.clone(), status == "firing").unwrap_or_default();
        assert_ne!(before, status == "firing", "{service} is told {status:?} twice: {:?}", taken(heard));
    }
    let heard = heard.lock().unwrap();
    let mut bodies: BTreeMap<&str, &[u8]> = BTreeMap::new();
    let mut current: BTreeMap<&str, &str> = BTreeMap::new();
    for (request, _) in heard.iter() {
        let key = key(request);
        let known = bodies.insert(key, &request.body);
        assert!(known.is_none_or(|body| body == request.body), "two bodies have the key {key}");
        let last = current.insert(group(key), key);
        assert!(known.is_none() || last == Some(key), "{key} came again after {last:?}");
    }
}

#[test]
fn a_storm_with_one_cause_is_one_message() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let size: usize = env::var("DIXMGR_STORM").map_or(150, |size| size.parse().expect("DIXMGR_STORM is a number"));
    let receiver = HttpFixture::always(Reply::status(200));
    systemd.install(&[CountedUnit::new("db.service")]);
    let units = systemd.write_instances("storm", size);
    systemd.start_units(&["db.service"]);
    units.chunks(500).for_each(|units| systemd.start_units(&units.iter().map(String::as_str).collect::<Vec<_>>()));
    let url = receiver.url("/alerts");
    let dependents = units
        .iter()
        .enumerate()
        .map(|(n, unit)| format!("[[service]]\nname = \"s{n}\"\nunit = \"{unit}\"\nneeds = [\"db\"]\n"));
    // What lost its cause is given three times that long to run again, and units are started one after the other.
    let wait = Duration::from_secs((size as u64 / 50).max(5));
    let config = format!(
        "[alerts]\ngroup_wait = \"{}s\"\ngroup_interval = \"1s\"\n\
         [[alerts.channel]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{url}\"\n{QUICK}{}{}",
        wait.as_secs(),
        service("db.service", ""),
        dependents.collect::<String>()
    );
    let mut daemon = dixmgr(&systemd, "-watch", &config).started();
    let patience = SOON + 2 * wait + Duration::from_millis(size as u64 * 60);
    let healthy = |daemon: &Daemon| daemon.metrics().sum("dixmgr_service_health", &[]);
    let all = size as f64 + 1.0;
    eventually("all are watched", patience, || (healthy(&daemon) >= all).then_some(()));
    let before = Usage::of(daemon.pid().expect("dixmgr runs")).resident;

    systemd.systemctl(&["kill", "--signal=KILL", "db.service", "storm@*.service"]);
    let active = |daemon: &Daemon| {
        daemon.metrics().get("dixmgr_alerts_active", &[("alert_type", "service_down"), ("severity", "critical")])
    };
    eventually("all fire", patience, || (active(&daemon) == Some(all)).then_some(()));
    eventually(&format!("the cause is told; log:\n{}", daemon.log()), patience, || {
        (!receiver.requests().is_empty()).then_some(())
    });
    // Longer than any wait: whoever was to be told has been told.
    thread::sleep(2 * wait + A_WHILE + Duration::from_millis(size as u64 * 20));
    let told = |receiver: &HttpFixture| -> Vec<(String, Vec<String>)> {
        let bodies =
            receiver.requests().into_iter().map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
        bodies
            .map(|body| {
                let services = body["alerts"].as_array().unwrap().iter();
                let services = services.map(|alert| alert["labels"]["service"].as_str().unwrap().to_owned());
                (body["status"].as_str().unwrap().to_owned(), services.collect())
            })
            .collect()
    };
    let firing = ("firing".to_owned(), vec!["db".to_owned()]);
    assert_eq!(told(&receiver), std::slice::from_ref(&firing), "log:\n{}", daemon.log());

    systemd.start_units(&["db.service"]);
    units.chunks(500).for_each(|units| systemd.start_units(&units.iter().map(String::as_str).collect::<Vec<_>>()));
    eventually("all are over", patience, || (active(&daemon) == Some(0.0)).then_some(()));
    let resolved = ("resolved".to_owned(), vec!["db".to_owned()]);
    eventually(&format!("the end is told; log:\n{}", daemon.log()), patience, || {
        (receiver.requests().len() >= 2).then_some(())
    });
    thread::sleep(2 * wait + A_WHILE);
    assert_eq!(told(&receiver), [firing, resolved], "log:\n{}", daemon.log());
    let fired = daemon.metrics().sum("dixmgr_alerts_fired_total", &[("alert_type", "service_down")]);
    assert_eq!(fired.to_bits(), all.to_bits(), "each fired once");
    let after = Usage::of(daemon.pid().expect("dixmgr runs")).resident;
    let (before, after) = (before >> 20, after >> 20);
    eprintln!("{size} services: {before} MB before the storm, {after} MB after it");
    assert!(after < before + 60 + size as u64 / 20, "{before} MB before the storm, {after} MB after it");
    daemon.terminate();
}
