//! `make bench-engine`: the embedded engine beside Temporal's own server, one after the other, each as a process of its
//! own on a socket, under the same load from the official SDK. Printed as a table of ratios. Not a test: nothing fails.
//!
//! `DIXMGR_BENCH_WORKFLOWS` (3000) says how many workflows of one activity the engine runs (the server runs a tenth),
//! `DIXMGR_BENCH_SIGNALS` (6000) how many signals, in the same way, `DIXMGR_BENCH_OPEN` (10000) how many workflows are open at once,
//! `DIXMGR_BENCH_STORED` (100000) how many executions the large store holds, ten closed for each that is open.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program that prints its findings, or cannot go on")]
#![allow(unreachable_pub, missing_docs, reason = "the workflow macros want public items")]

mod load;
mod server;
mod stored;
mod table;
mod workflows;

use std::env;
use std::time::Duration;

use dixmgr_testkit::{Component, require};

use load::{Driver, Loops, Signals, Throughput};
use server::Server;
use table::{Comparison, Table};

/// How much smaller the server's share of a load is: it takes as long for it.
const SERVER_SHARE: usize = 10;
/// Workflows under way at once in the throughput load.
const AT_ONCE: usize = 50;
/// Workflows that loop on a timer of one second.
const LOOPING: usize = 300;
/// For how long they do.
const LOOPING_FOR: Duration = Duration::from_secs(20);

/// What one server did under the common load.
struct Findings {
    throughput: Throughput,
    loops: Loops,
    signals: Signals,
    peak: u64,
}

fn main() {
    let workflows = option("DIXMGR_BENCH_WORKFLOWS", 3000);
    let signals = option("DIXMGR_BENCH_SIGNALS", 6000);
    let mut table = Table::default();
    let theirs = require(Component::Temporal).then(|| {
        println!("Temporal's own server ...");
        let server = Server::temporal();
        common_load(&server, workflows / SERVER_SHARE, signals / SERVER_SHARE)
    });
    println!("the embedded engine ...");
    let engine = Server::engine();
    let first_task = Driver::start(&engine).first_task(option("DIXMGR_BENCH_STARTS", 300));
    let ours = common_load(&engine, workflows, signals);
    compare(&mut table, &ours, theirs.as_ref());
    table.add(Comparison::ours("start to first task when idle, p99", first_task, "ms").under(5.0));
    drop(engine);
    open_workflows(&mut table, option("DIXMGR_BENCH_OPEN", 10_000));
    stored::measure(&mut table, option("DIXMGR_BENCH_STORED", 100_000), ours.throughput.cpu);
    println!("\n{table}");
}

/// The load that both get.
fn common_load(server: &Server, workflows: usize, signals: usize) -> Findings {
    let driver = Driver::start(server);
    // Nobody's first requests are typical.
    driver.throughput(AT_ONCE, AT_ONCE);
    let throughput = driver.throughput(workflows, AT_ONCE);
    println!("  {workflows} workflows of one activity: {:.1}/s", throughput.rate);
    let loops = driver.loops(LOOPING, LOOPING_FOR);
    println!("  {LOOPING} workflows on a timer: {:.1} loops/s", loops.rate);
    let signals = driver.signals(signals, AT_ONCE);
    println!("  signals: {:.1}/s", signals.rate);
    Findings { throughput, loops, signals, peak: server.usage().peak }
}

fn compare(table: &mut Table, ours: &Findings, theirs: Option<&Findings>) {
    let of = |value: fn(&Findings) -> f64| (value(ours), theirs.map(value));
    let add = |what, value: fn(&Findings) -> f64, unit| {
        let (ours, theirs) = of(value);
        Comparison::new(what, ours, theirs, unit)
    };
    let rows = [
        add("one-activity workflows a second", |f| f.throughput.rate, "/s").at_least_times(12.0),
        add("server CPU for each of them", |f| f.throughput.cpu, "ms").at_most_one_in(50.0),
        add("from start to result, p50", |f| f.throughput.median, "ms").under(60.0),
        add("timer-and-activity loops a second", |f| f.loops.rate, "/s").above(0.95 * LOOPING as f64),
        add("server CPU for each of them", |f| f.loops.cpu, "ms").at_most_one_in(50.0),
        add("loops late by, p99", |f| f.loops.late, "ms"),
        add("signals a second", |f| f.signals.rate, "/s").at_least_times(15.0),
        add("server CPU for each of them", |f| f.signals.cpu, "ms"),
        add("memory, peak of this load", |f| f.peak as f64 / 1e6, "MB").at_most_one_in(8.0),
    ];
    for row in rows {
        table.add(row);
    }
}

/// Memory with many workflows that wait.
fn open_workflows(table: &mut Table, count: usize) {
    println!("{count} open workflows ...");
    let server = Server::engine();
    let driver = Driver::start(&server);
    driver.waiting(count, AT_ONCE);
    let resident = server.usage().resident as f64 / 1e6;
    table.add(Comparison::ours(&format!("memory with {count} open workflows"), resident, "MB").under(150.0));
}

fn option(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}
