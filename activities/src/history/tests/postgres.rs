//! What only a database has: many hosts, times in which it is away, and somebody who must be let in.

use std::thread;

use dixmgr_testkit::eventually;

use super::super::database::Fault;
use super::super::postgres::Session;
use super::*;

const SOON: Duration = Duration::from_secs(30);

/// A connection for writing, once the one before is over: the server learns of an end a moment later.
pub(super) fn free(place: &Postgres) -> Session {
    eventually("the host's history is free", SOON, || match Session::for_writing(place) {
        Err(Fault::InUse { .. }) => None,
        other => Some(other.unwrap()),
    })
}

fn database_of(place: &Place) -> &Postgres {
    let Place::Postgres(own) = place else { panic!("{place:?}") };
    own
}

/// A server that a test stops, with the history of a host in it.
fn own_server() -> Option<(PostgresServer, String, World)> {
    let server = PostgresServer::start()?;
    let (address, directory) = (server.database(), tempfile::tempdir().unwrap());
    let place = on(directory.path(), &address, "here");
    Some((server, address, World { place, _holder: Box::new(directory) }))
}

fn down_and_up(at: u64) -> Vec<Event> {
    vec![
        event(at, told(UnitPhase::Active)),
        event(at + 1_000, told(UnitPhase::Failed)),
        event(at + 3_000, told(UnitPhase::Active)),
    ]
}

#[test]
fn hosts_that_share_a_database_do_not_see_each_other() {
    let Some(server) = server() else { return };
    let (address, directory) = (server.database(), tempfile::tempdir().unwrap());
    let world =
        |host: &str| World { place: on(directory.path(), &address, host), _holder: Box::new(Arc::clone(&server)) };
    let (here, there) = (world("here"), world("there"));
    let act = || Act { verb: "restart", reason: "unit_failed".into(), outcome: "done", detail: String::new() };
    here.session(DAY0, down_and_up(DAY0), DAY0 + 2 * HOUR, true);
    there.session(DAY0 + 5, vec![event(DAY0 + 5, What::Acted(Box::new(act())))], DAY0 + 10, true);
    assert_eq!(here.uptime(0), (2 * HOUR - 2_000, 2_000, 0));
    let (mine, other) = (here.query(), there.query());
    assert_eq!((mine.incidents(&all()).unwrap().len(), mine.actions(&all()).unwrap().len()), (1, 0));
    assert_eq!((other.incidents(&all()).unwrap().len(), other.actions(&all()).unwrap().len()), (0, 1));
    assert_eq!(other.uptime(0).unwrap()[0].up_ms, 0);
    assert!(other.changes(&all()).unwrap().is_empty() && other.all_periods(Step::Hour, 0).unwrap().is_empty());
    assert_eq!(other.hosts().unwrap().unwrap(), ["here", "there"]);
    // One throws its own rows away, and no other's.
    let database = open_to_write(&there.place);
    while retention::prune(&database, &Retention::default(), DAY0 + 1000 * 24 * HOUR).unwrap() {}
    assert_eq!(["health_events", "hours", "incidents", "actions"].map(|table| count(&database, table)), [3, 2, 1, 0]);
    let mut turned = there.query();
    turned.turn_to("here");
    assert_eq!(turned.incidents(&all()).unwrap().len(), 1);
}

#[test]
fn a_file_that_is_imported_says_the_same_in_the_database_and_is_gone_on_with() {
    let Some(server) = server() else { return };
    let (file, world) = (World::in_a_file(), World::in_a_database(Arc::clone(&server), "here"));
    let other = World { place: world.place.clone(), _holder: Box::new(()) };
    let Place::File(path) = &file.place else { panic!("{:?}", file.place) };
    let to = database_of(&world.place);
    let missing = import(&path.with_extension("none"), to, |_, _| {}).unwrap_err();
    assert!(matches!(missing, HistoryError::Missing { .. }), "{missing:?}");
    let act = Act { verb: "restart", reason: "unit_failed".into(), outcome: "done", detail: "a \0 in it".into() };
    let kind = dixmgr_model::AlertKind::ServiceDown;
    let fires = What::Fires(Box::new(Alarm { fingerprint: "f".into(), kind, severity: Severity::Critical }));
    let mut told_of = down_and_up(DAY0);
    told_of.extend([event(DAY0 + 1_500, fires), event(DAY0 + 1_800, What::Acted(Box::new(act)))]);
    file.session(DAY0, told_of, DAY0 + 26 * HOUR, false);
    let mut seen = Vec::new();
    let mut busy = false;
    let rows = import(path, to, |done, all| {
        seen.push((done, all));
        busy |= matches!(open::for_writing(path), Err(HistoryError::InUse { .. }));
    });
    let rows = rows.unwrap();
    assert!(busy, "nobody writes it meanwhile");
    assert!(rows > 20 && seen.last() == Some(&(rows, rows)) && seen.is_sorted(), "{rows}: {seen:?}");
    let (from, there) = (file.query(), world.query());
    assert_eq!(from.changes(&all()).unwrap(), there.changes(&all()).unwrap());
    assert_eq!(from.incidents(&all()).unwrap(), there.incidents(&all()).unwrap());
    assert_eq!(from.counted_until().unwrap(), there.counted_until().unwrap());
    assert_eq!(from.all_periods(Step::Hour, 0).unwrap(), there.all_periods(Step::Hour, 0).unwrap());
    assert_eq!(from.alerts(&all()).unwrap(), there.alerts(&all()).unwrap());
    assert_eq!(there.actions(&all()).unwrap()[0].detail, "a \u{fffd} in it");
    // Once, and whole: what follows goes on from there.
    let again = import(path, to, |_, _| {}).unwrap_err();
    assert!(again.to_string().contains("has a history there already"), "{again}");
    drop((from, there));
    other.session(DAY0 + 30 * HOUR, vec![event(DAY0 + 30 * HOUR, told(UnitPhase::Active))], DAY0 + 31 * HOUR, true);
    file.session(DAY0 + 30 * HOUR, vec![event(DAY0 + 30 * HOUR, told(UnitPhase::Active))], DAY0 + 31 * HOUR, true);
    assert_eq!(other.uptime(0), file.uptime(0));
}

#[test]
fn hosts_that_start_together_make_one_schema() {
    let Some(server) = server() else { return };
    let (address, directory) = (server.database(), tempfile::tempdir().unwrap());
    let places: Vec<Place> = (0..6).map(|host| on(directory.path(), &address, &format!("host-{host}"))).collect();
    let starts =
        places.into_iter().map(|place| thread::spawn(move || Session::for_writing(database_of(&place)).map(drop)));
    for start in starts.collect::<Vec<_>>() {
        start.join().unwrap().unwrap();
    }
    assert_eq!(server.sql(&address, "SELECT count(*) FROM dixmgr.schema_version"), "1");
    server.sql(&address, "INSERT INTO dixmgr.schema_version VALUES (99)");
    let newer = Session::for_writing(database_of(&on(directory.path(), &address, "host-0")));
    assert!(matches!(newer, Err(Fault::NewerSchema { found: 99, .. })), "{newer:?}");
}

#[test]
fn one_dixmgr_writes_the_history_of_a_host() {
    let Some(server) = server() else { return };
    let world = World::in_a_database(server, "here");
    let place = database_of(&world.place);
    assert!(matches!(Query::open(&world.place), Err(HistoryError::Database { .. })), "nothing was written yet");
    let first = Session::for_writing(place).unwrap();
    let second = Session::for_writing(place).unwrap_err();
    assert!(matches!(second, Fault::InUse { .. }) && second.to_string().contains("here"), "{second}");
    drop(first);
    drop(free(place));
}

#[test]
fn what_happens_while_the_database_is_away_is_in_it_once_afterwards() {
    let Some((mut server, address, world)) = own_server() else { return };
    let (mut writer, sender) = world.writer(DAY0, 10);
    writer.at(clock(DAY0), Some(event(DAY0, told(UnitPhase::Active))));
    server.stop();
    for event in down_and_up(DAY0 + 10 * MINUTE).split_off(1) {
        writer.at(clock(event.at), Some(event));
    }
    let reader = world.query_error();
    assert!(reader.contains("PostgreSQL"), "{reader}");
    server.start_again();
    let mut now = DAY0 + 2 * HOUR;
    eventually("it is written", SOON, || {
        now += 1;
        writer.at(clock(now), None);
        (server.sql(&address, "SELECT count(*) FROM dixmgr.health_events") == "3").then_some(())
    });
    let (done, _) = oneshot::channel();
    sender.send(Message::Close(done)).unwrap();
    writer.run();
    let incidents = world.query().incidents(&all()).unwrap();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].ended_at, Some(DAY0 + 10 * MINUTE + 3_000));
    assert_eq!(world.uptime(0), (now - DAY0 - 2_000, 2_000, 0));
    assert_eq!(server.sql(&address, "SELECT count(*) FROM dixmgr.sessions"), "1");
}

#[test]
fn a_batch_whose_answer_was_lost_is_not_written_again() {
    let Some(server) = server() else { return };
    let world = World::in_a_database(server, "here");
    let (mut writer, _sender) = world.writer(DAY0, 10);
    let mut events = down_and_up(DAY0).into_iter();
    writer.at(clock(DAY0), events.next());
    writer.lose_the_answer(events.next().unwrap());
    // The lock of the connection that is gone may be there for a moment: it is tried again, as after any fault.
    let last = events.next().unwrap();
    let mut rest = Some(last);
    eventually("the rest is written", SOON, || {
        writer.at(clock(DAY0 + 3_000), rest.take());
        (world.query().changes(&all()).unwrap().len() >= 3).then_some(())
    });
    let changes = world.query().changes(&all()).unwrap();
    let seen: Vec<(u64, &str)> = changes.iter().map(|change| (change.at, change.availability.as_str())).collect();
    assert_eq!(seen, [(DAY0 + 3_000, "up"), (DAY0 + 1_000, "down"), (DAY0, "up")]);
}

#[test]
fn what_no_database_text_may_hold_does_not_hold_the_history_up() {
    let Some(server) = server() else { return };
    let world = World::in_a_database(server, "here");
    let sick = Told::of(&state(UnitPhase::Active, HealthStatus::Unhealthy, "it's \0 \"; DROP TABLE services; --"));
    let sick = What::State(Box::new(sick));
    let worse = Event { service: "we'b".into(), at: DAY0, what: sick };
    world.session(DAY0, vec![worse], DAY0 + 10, true);
    let changes = world.query().changes(&all()).unwrap();
    assert_eq!(changes[0].detail, "it's \u{fffd} \"; DROP TABLE services; --");
}

#[test]
fn who_is_not_let_in_is_told_why_without_the_password() {
    let Some(server) = server() else { return };
    let (address, directory) = (server.database(), tempfile::tempdir().unwrap());
    let refused = |address: &str| {
        let place = on(directory.path(), address, "here");
        Session::for_writing(database_of(&place)).unwrap_err().to_string()
    };
    let wrong = refused(&address.replace("s3cret", "wr0ng"));
    assert!(wrong.contains("password authentication failed") && !wrong.contains("wr0ng"), "{wrong}");
    let (unknown, _) = address.split_once("&sslrootcert").unwrap();
    let untrusted = refused(unknown);
    assert!(untrusted.contains("TLS") && untrusted.contains("ertificate"), "{untrusted}");
    assert!(!untrusted.contains("s3cret"), "{untrusted}");
    let nowhere = refused("postgres://u:s3cret@127.0.0.1:1/history");
    assert!(nowhere.contains("not reached") && !nowhere.contains("s3cret"), "{nowhere}");
    let other = refused(&address.replace("/history", "/nothing"));
    assert!(other.contains("does not exist"), "{other}");
}

#[tokio::test]
async fn a_start_does_not_wait_for_the_database() {
    let Some((mut server, address, world)) = own_server() else { return };
    server.stop();
    let metrics = Metrics::new("dixmgr").unwrap();
    let begun = Instant::now();
    let options = HistoryOptions { place: world.place.clone(), retention: Retention::default() };
    let history = History::start(options, &metrics).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let now = event::millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let changes: u64 = 10_000;
    for index in 0..changes {
        let phase = if index % 2 == 0 { UnitPhase::Active } else { UnitPhase::Failed };
        assert!(history.record(event(now + index, told(phase))));
    }
    server.start_again();
    let begun = Instant::now();
    let rows = || server.sql(&address, "SELECT count(*) FROM dixmgr.health_events");
    let written = eventually_async("it is written", SOON, async || {
        (history.inner.metrics.writing.get() == 1 && rows() == changes.to_string()).then_some(begun.elapsed())
    });
    eprintln!("{changes} changes are in the database {:?} after it was there", written.await);
    history.close().await;
    assert_eq!(history.inner.metrics.lost.get(), 0);
}
