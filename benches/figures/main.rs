//! The figures that dixmgr is held against, measured on real units and printed as a table. Not a test: nothing fails.
//!
//! `make bench`, as root. `DIXMGR_BENCH_SERVICES` (1000) says how many units, `DIXMGR_BENCH_SECONDS` (180) for how long
//! CPU time is counted, `DIXMGR_BENCH_KILLS` (200) how many units are killed for the latencies. Without arguments everything is
//! measured; else the named parts of it: `idle`, `watch`, `restart`, `alert`, `look`, `scrape`, `history`.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program that prints its findings, or cannot go on")]

mod alerts;
mod disk;
mod field;
mod jobs;
mod latency;
mod listeners;
mod looking;
mod monit;
mod table;

use std::env;
use std::thread;
use std::time::Duration;

use dixmgr_testkit::usage::{Usage, quantile};
use dixmgr_testkit::{Component, SystemdNamespace, require};

use field::Field;
use monit::Monit;
use table::{Figure, Table, megabytes, millions, milliseconds, percent, seconds, thousands};

/// The binary under measurement, built as a release is.
const BINARY: &str = env!("CARGO_BIN_EXE_dixmgr");

/// Services of the page that Prometheus gets.
const SCRAPED: usize = 10_000;

/// Those who look at a daemon's API and its page at once.
const CLIENTS: usize = 1_000;

/// Time for start-up work to come to an end before anything is counted.
const SETTLE: Duration = Duration::from_secs(35);

fn main() {
    let services = option("DIXMGR_BENCH_SERVICES", 1000);
    let window = Duration::from_secs(option("DIXMGR_BENCH_SECONDS", 180) as u64);
    let kills = option("DIXMGR_BENCH_KILLS", 200).min(services);
    let parts = Parts(env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect());
    let mut table = Table::new(services, window);
    table.add(Figure::new("release binary", megabytes(file_size(BINARY))).under("40 MB"));
    if parts.have(&["idle"])
        && let Some(systemd) = SystemdNamespace::start()
    {
        println!("one idle service ...");
        idle(&systemd, &mut table);
    }
    if parts.have(&["watch", "restart", "alert", "look"])
        && let Some(systemd) = SystemdNamespace::start()
    {
        println!("starting {services} units ...");
        on_units(&Field::start(&systemd, services), &parts, window, kills, &mut table);
    }
    if parts.have(&["scrape"])
        && let Some(systemd) = SystemdNamespace::start()
    {
        println!("{SCRAPED} services on one page ...");
        scraped(&systemd, &mut table);
    }
    if parts.have(&["history"]) {
        println!("writing history ...");
        let rows = thousands(looking::rows_written());
        table.add(Figure::new("history rows written a second", rows).over("50 thousand"));
    }
    println!("\n{table}");
}

/// What is to be measured: everything unless something is named.
struct Parts(Vec<String>);

impl Parts {
    /// Whether one of these is to be.
    fn have(&self, parts: &[&str]) -> bool {
        self.0.is_empty() || self.0.iter().any(|named| parts.contains(&named.as_str()))
    }
}

/// What is measured on many units.
fn on_units(field: &Field<'_>, parts: &Parts, window: Duration, kills: usize, table: &mut Table) {
    if parts.have(&["watch"]) {
        watched(field, window, table);
    }
    if parts.have(&["restart"]) {
        restarted(field, kills, table);
    }
    if parts.have(&["alert"]) {
        alerted(field, kills, table);
    }
    if parts.have(&["look"]) {
        looked_at(field, table);
    }
}

/// A dixmgr with next to nothing to do.
fn idle(systemd: &SystemdNamespace, table: &mut Table) {
    let field = Field::start(systemd, 1);
    let (daemon, _) = field.dixmgr_started();
    thread::sleep(Duration::from_secs(10));
    let usage = Usage::of(daemon.pid().expect("dixmgr runs"));
    table.add(Figure::new("idle daemon, memory", megabytes(usage.resident)).under("30 MB"));
}

/// Start-up, cost of watching beside monit's, and start-up after a kill.
fn watched(field: &Field<'_>, window: Duration, table: &mut Table) {
    let (mut daemon, start) = field.dixmgr_started();
    let in_time = |figure: Figure| if field.count() > 1000 { figure } else { figure.under("2 s") };
    table.add(in_time(Figure::new("start-up to all watched", seconds(start))));
    let monit = require(Component::Monit).then(|| Monit::start(field));
    println!("settling for {SETTLE:?}, then counting for {window:?} ...");
    thread::sleep(SETTLE);

    let pid = daemon.pid().expect("dixmgr runs");
    let (before, monit_before) = (Usage::of(pid), monit.as_ref().map(Monit::usage));
    thread::sleep(window);
    let (after, monit_after) = (Usage::of(pid), monit.as_ref().map(Monit::usage));

    let (cpu, memory) = if field.count() > 1000 { ("8 %", "400 MB") } else { ("1 %", "80 MB") };
    table.add(Figure::new("dixmgr, share of one core", percent(after.share_since(&before))).under(cpu));
    table.add(Figure::new("dixmgr, memory", megabytes(after.resident)).under(memory));
    table.add(Figure::new("of which not the binary's text", megabytes(after.anonymous)));
    if let (Some(before), Some(after)) = (monit_before, monit_after) {
        table.add(Figure::new("monit, share of one core", percent(after.share_since(&before))));
        table.add(Figure::new("monit, memory", megabytes(after.resident)));
    }
    drop(monit);

    daemon.kill();
    let again = field.start_and_await(&mut daemon);
    table.add(in_time(Figure::new("start-up after kill -9", seconds(again))));
    daemon.terminate();
}

/// How soon after a death the restart's job is there.
fn restarted(field: &Field<'_>, kills: usize, table: &mut Table) {
    let (_daemon, _) = field.dixmgr_started();
    thread::sleep(Duration::from_secs(5));
    println!("killing {kills} units one by one ...");
    let latencies = latency::measure(field, kills);
    let syncs = disk::syncs();
    table.add(Figure::new("a page written and synced, p50", milliseconds(quantile(&syncs, 0.50))));
    table.add(Figure::new("a page written and synced, p99", milliseconds(quantile(&syncs, 0.99))));
    table.add(Figure::new("a page written and synced, slowest", milliseconds(quantile(&syncs, 1.0))));
    table.add(Figure::new("killed to restart job, p50", milliseconds(latencies.job(0.50))).under("10 ms"));
    table.add(Figure::new("killed to restart job, p99", milliseconds(latencies.job(0.99))).under("50 ms"));
    table.add(Figure::new("of which systemd's own, p50", milliseconds(latencies.noticed(0.50))));
    table.add(Figure::new("killed to started again, p50", milliseconds(latencies.started(0.50))));
}

/// How many rules are evaluated, and how soon a death is told.
fn alerted(field: &Field<'_>, kills: usize, table: &mut Table) {
    let evaluations = millions(alerts::evaluations());
    table.add(Figure::new("rules evaluated a second, one core", evaluations).over("1 million"));
    println!("killing {kills} units one by one, told to a webhook ...");
    let times = alerts::to_webhook(field, kills);
    table.add(Figure::new("killed to webhook, p50", milliseconds(alerts::at(&times, 0.50))));
    table.add(Figure::new("killed to webhook, p99", milliseconds(alerts::at(&times, 0.99))).under("150 ms"));
}

/// What it costs to be looked at.
fn looked_at(field: &Field<'_>, table: &mut Table) {
    let (daemon, _) = field.dixmgr_started();
    thread::sleep(Duration::from_secs(5));
    if let Some(interactive) = looking::page(&daemon) {
        table.add(Figure::new("status page until interactive, p50", milliseconds(interactive)).under("200 ms"));
    }
    println!("{CLIENTS} clients listen ...");
    let share = listeners::listening(&daemon, CLIENTS);
    table.add(Figure::new("1,000 SSE listeners, share of one core", percent(share)).under("10 %"));
    println!("{CLIENTS} clients ask ...");
    let times = listeners::asking(&daemon, CLIENTS);
    table.add(Figure::new("GET /api/v1/services, p50", milliseconds(alerts::at(&times, 0.50))));
    table.add(Figure::new("GET /api/v1/services, p99", milliseconds(alerts::at(&times, 0.99))).under("20 ms"));
}

/// What Prometheus gets, and what that does to the checks.
fn scraped(systemd: &SystemdNamespace, table: &mut Table) {
    let found = looking::scrape(systemd, SCRAPED);
    table.add(Figure::new("10,000 services, size of a scrape", megabytes(found.bytes)));
    table.add(Figure::new("10,000 services, scrape, slowest of 20", milliseconds(found.slowest)).under("100 ms"));
    table.add(Figure::new("of them, a check's delay, at most", milliseconds(found.delay)));
}

fn option(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn file_size(path: &str) -> u64 {
    std::fs::metadata(path).expect("the binary is there").len()
}
