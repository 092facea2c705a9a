//! The history against a real file and a real database: what is written is what happened, also over a kill. Every test here that
//! takes a [`World`] runs on both.
#![allow(clippy::unwrap_used, clippy::float_cmp)]

use std::path::Path;
use std::sync::{Mutex, PoisonError, Weak};

use dixmgr_model::{Health, HealthStatus, ServiceState, Severity, UnitPhase, UnitStatus};
use dixmgr_testkit::{PostgresServer, eventually_async};

use super::event::{Act, Alarm, Told, What};
use super::read::{Page, Query, Step};
use super::*;

mod postgres;
mod sqlite;

/// Midnight of some day.
const DAY0: u64 = 20_000 * 86_400_000;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn state(phase: UnitPhase, health: HealthStatus, detail: &str) -> ServiceState {
    let unit = UnitStatus { phase, invocation_id: "1".into(), main_pid: 1, result: String::new() };
    ServiceState { unit, health: Health { status: health, detail: detail.into() }, sync: None }
}

fn told(phase: UnitPhase) -> What {
    What::State(Box::new(Told::of(&state(phase, HealthStatus::Healthy, ""))))
}

fn event(at: u64, what: What) -> Event {
    Event { service: "web".into(), at, what }
}

/// A history under a clock of the test's own, which stands still (its origin is yet to come): each call of [`World::session`] is one life of dixmgr.
struct World {
    place: Place,
    /// What the place is in.
    _holder: Box<dyn std::any::Any>,
}

/// One history in each store.
fn worlds() -> Vec<World> {
    let postgres = server().map(|server| World::in_a_database(server, "here"));
    std::iter::once(World::in_a_file()).chain(postgres).collect()
}

/// A PostgreSQL server for all tests that run at the moment; it ends with the last of them.
fn server() -> Option<Arc<PostgresServer>> {
    static SHARED: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return Some(server);
    }
    let server = Arc::new(PostgresServer::start()?);
    *shared = Arc::downgrade(&server);
    Some(server)
}

/// The history of a host in a database. Its address is a secret, as it has to be: a file in `directory`.
fn on(directory: &Path, address: &str, host: &str) -> Place {
    let file = directory.join("address");
    std::fs::write(&file, address).unwrap();
    Place::Postgres(Postgres::new(&format!("file:{}", file.display()), Some(host)).unwrap())
}

/// A clock that stands still.
fn clock(now: u64) -> Clock {
    Clock { origin: Instant::now() + Duration::from_hours(1), epoch: Duration::from_millis(now) }
}

fn open_to_write(place: &Place) -> Database {
    match place {
        Place::File(path) => Database::Sqlite(open::for_writing(path).unwrap()),
        Place::Postgres(own) => Database::Postgres(Box::new(self::postgres::free(own))),
    }
}

fn count(database: &Database, table: &str) -> i64 {
    database.query(&format!("SELECT count(*) FROM {table}"), &[], |row| row.get(0)).unwrap()[0]
}

impl World {
    fn in_a_file() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { place: Place::File(directory.path().join("health.db")), _holder: Box::new(directory) }
    }

    fn in_a_database(server: Arc<PostgresServer>, host: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = on(directory.path(), &server.database(), host);
        Self { place, _holder: Box::new((server, directory)) }
    }

    /// A writer that begins its session at `at`, and who may tell it to close.
    fn writer(&self, at: u64, events: usize) -> (Writer, mpsc::Sender<Message>) {
        let (sender, messages) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(events));
        let metrics = HistoryMetrics::register(&Metrics::new("dixmgr").unwrap()).unwrap();
        let away = if let Place::Postgres(own) = &self.place { Some(own.clone()) } else { None };
        let given = Given { away, retention: Retention::default(), messages, waiting, metrics, clock: clock(at) };
        let mut writer = Writer::new(given);
        writer.take_up(open_to_write(&self.place)).unwrap();
        (writer, sender)
    }

    /// Lets a writer live from `at` on with these events; killed at the end, or closed.
    fn session(&self, at: u64, events: Vec<Event>, ends: u64, orderly: bool) {
        let (mut writer, sender) = self.writer(at, events.len());
        for event in events {
            writer.at(clock(event.at), Some(event));
        }
        writer.at(clock(ends), None);
        if orderly {
            let (done, _) = oneshot::channel();
            sender.send(Message::Close(done)).unwrap();
            writer.run();
        }
    }

    fn query(&self) -> Query {
        Query::open(&self.place).unwrap()
    }

    /// Why there is no answer.
    fn query_error(&self) -> String {
        Query::open(&self.place).unwrap_err().to_string()
    }

    fn uptime(&self, from: u64) -> (u64, u64, u64) {
        let uptime = self.query().uptime(from).unwrap().remove(0);
        (uptime.up_ms, uptime.down_ms, uptime.unknown_ms)
    }
}

fn all() -> Page {
    Page { limit: 100, ..Page::default() }
}

#[test]
fn up_and_down_are_exact_over_minutes_hours_and_days() {
    for world in worlds() {
        let events = vec![
            event(DAY0, told(UnitPhase::Active)),
            event(DAY0 + 10 * HOUR, told(UnitPhase::Failed)),
            event(DAY0 + 10 * HOUR + 90_500, told(UnitPhase::Active)),
        ];
        world.session(DAY0, events, DAY0 + 50 * HOUR, true);
        assert_eq!(world.uptime(0), (50 * HOUR - 90_500, 90_500, 0));
        assert_eq!(world.uptime(DAY0 + 11 * HOUR), (39 * HOUR, 0, 0));
        let days = world.query().periods("web", Step::Day, 0, u64::MAX, 10).unwrap();
        assert_eq!(
            days.iter().map(|day| (day.up_ms, day.down_ms)).collect::<Vec<_>>(),
            [(24 * HOUR - 90_500, 90_500), (24 * HOUR, 0)]
        );
        let incidents = world.query().incidents(&all()).unwrap();
        assert_eq!(incidents.len(), 1);
        assert_eq!(
            (incidents[0].started_at, incidents[0].ended_at),
            (DAY0 + 10 * HOUR, Some(DAY0 + 10 * HOUR + 90_500))
        );
        assert_eq!(incidents[0].cause, "failed");
    }
}

#[test]
fn a_kill_loses_nothing_that_was_seen_and_the_gap_is_unknown() {
    for world in worlds() {
        let killed = DAY0 + 10 * MINUTE + 20_000;
        let events =
            vec![event(DAY0, told(UnitPhase::Active)), event(DAY0 + 10 * MINUTE + 5_000, told(UnitPhase::Failed))];
        world.session(DAY0, events, killed, false);
        let back = killed + 40_000;
        let events = vec![event(back, told(UnitPhase::Failed)), event(back + 10_000, told(UnitPhase::Active))];
        world.session(back, events, back + 20_000, true);
        assert_eq!(world.uptime(0), (10 * MINUTE + 5_000 + 10_000, 15_000 + 10_000, 40_000));
        let incidents = world.query().incidents(&all()).unwrap();
        assert_eq!(incidents.len(), 1, "it is one incident over the kill");
        assert_eq!(incidents[0].ended_at, Some(back + 10_000));
        assert_eq!(incidents[0].unknown_ms, 40_000);
    }
}

#[test]
fn an_orderly_end_and_start_within_one_minute_add_up() {
    for world in worlds() {
        for start in [DAY0, DAY0 + 15_000, DAY0 + 30_000] {
            let events = vec![
                event(start, told(UnitPhase::Active)),
                event(start + 1_000, What::Used { cpu_percent: 10.0, memory_bytes: 100.0 }),
            ];
            world.session(start, events, start + 10_000, true);
        }
        assert_eq!(world.uptime(0), (30_000, 0, 10_000));
        let minutes = world.query().periods("web", Step::Minute, 0, u64::MAX, 10).unwrap();
        assert_eq!((minutes.len(), minutes[0].cpu_avg, minutes[0].memory_max), (1, Some(10.0), Some(100.0)));
    }
}

#[test]
fn checks_that_failed_for_a_while_count_from_the_first_failure() {
    for world in worlds() {
        let sick = Told::of(&state(UnitPhase::Active, HealthStatus::Unhealthy, "503"));
        let (mut writer, sender) = world.writer(DAY0, 10);
        drop(sender);
        writer.at(clock(DAY0), Some(event(DAY0, told(UnitPhase::Active))));
        // Told two hours late: the minutes and the first hour are in the file by then.
        writer.at(clock(DAY0 + 2 * HOUR), None);
        let since = DAY0 + 30 * MINUTE;
        writer.at(clock(DAY0 + 2 * HOUR), Some(event(since, What::State(Box::new(sick)))));
        writer.at(clock(DAY0 + 3 * HOUR), None);
        writer.run();
        assert_eq!(world.uptime(0), (30 * MINUTE, 150 * MINUTE, 0));
        let incident = world.query().incidents(&all()).unwrap().remove(0);
        assert_eq!(
            (incident.started_at, incident.cause.as_str(), incident.detail.as_str()),
            (since, "unhealthy", "503")
        );
    }
}

#[test]
fn actions_and_alerts_are_kept_and_an_alert_that_is_told_twice_is_one() {
    for world in worlds() {
        let fires = || {
            let kind = dixmgr_model::AlertKind::ServiceDown;
            What::Fires(Box::new(Alarm { fingerprint: "f".into(), kind, severity: Severity::Critical }))
        };
        let act = Act { verb: "restart", reason: "unit_failed".into(), outcome: "done", detail: String::new() };
        let events = vec![event(DAY0, fires()), event(DAY0 + 1, What::Acted(Box::new(act)))];
        world.session(DAY0, events, DAY0 + 10, false);
        let events = vec![event(DAY0 + 20, fires()), event(DAY0 + 30, What::Resolved { fingerprint: "f".into() })];
        world.session(DAY0 + 20, events, DAY0 + 40, true);
        let alerts = world.query().alerts(&all()).unwrap();
        assert_eq!(alerts.len(), 1);
        assert_eq!((alerts[0].fired_at, alerts[0].resolved_at), (DAY0, Some(DAY0 + 30)));
        let actions = world.query().actions(&all()).unwrap();
        assert_eq!((actions.len(), actions[0].reason.as_str(), actions[0].service.as_str()), (1, "unit_failed", "web"));
    }
}

#[test]
fn old_rows_go_and_the_last_change_stays() {
    for world in worlds() {
        world.session(
            DAY0,
            vec![event(DAY0, told(UnitPhase::Failed)), event(DAY0 + 5, told(UnitPhase::Active))],
            DAY0 + HOUR,
            true,
        );
        let database = open_to_write(&world.place);
        let later = DAY0 + 1000 * 24 * HOUR;
        while retention::prune(&database, &Retention::default(), later).unwrap() {}
        let tables = ["health_events", "minutes", "hours", "incidents", "sessions"];
        assert_eq!(tables.map(|table| count(&database, table)), [1, 0, 0, 0, 1]);
    }
}

#[tokio::test]
async fn telling_never_waits_and_what_finds_no_room_is_counted() {
    for world in worlds() {
        tell_too_much(&world).await;
    }
}

async fn tell_too_much(world: &World) {
    const SERVICES: u64 = 500;
    let metrics = Metrics::new("dixmgr").unwrap();
    let options = HistoryOptions { place: world.place.clone(), retention: Retention::default() };
    let history = History::start(options, &metrics).unwrap();
    let now = event::millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let begun = Instant::now();
    let mut taken = 0u64;
    for index in 0..100_000 {
        let phase = if (index / SERVICES).is_multiple_of(2) { UnitPhase::Active } else { UnitPhase::Failed };
        let service = format!("web-{}", index % SERVICES).into();
        taken += u64::from(history.record(Event { service, at: now + index, what: told(phase) }));
    }
    let telling = begun.elapsed();
    assert!(telling < Duration::from_secs(5), "{telling:?}");
    while history.inner.waiting.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // It returns before a store that takes its time has all.
    history.close().await;
    let reader = Reader::new(&world.place);
    let page = Page { limit: 100_000, ..Page::default() };
    let all = async || {
        let page = page.clone();
        let changes = reader.ask(move |query| query.changes(&page)).await.unwrap();
        (changes.len() as u64 == taken).then_some(())
    };
    eventually_async("all rows are written", Duration::from_mins(3), all).await;
    assert_eq!(history.inner.metrics.lost.get(), 100_000 - taken);
    let rate = taken as f64 / begun.elapsed().as_secs_f64();
    eprintln!("{rate:.0} changes a second (each at least a row of its own)");
}
