//! Alerts: how many rules are evaluated in a second, and how soon after a death a webhook has the message.

use std::hint::black_box;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use dixmgr_alerting::defaults;
use dixmgr_alerting::fold::{AlertFold, Seen};
use dixmgr_model::{AlertPolicy, Delivery, ServiceSpec};
use dixmgr_testkit::usage::quantile;
use dixmgr_testkit::{HttpFixture, Reply, monotonic_now};

use crate::field::Field;
use crate::latency;

/// For how long rules are evaluated.
const EVALUATE: Duration = Duration::from_secs(2);

/// Longest wait for a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a service is left alone after its death: its end is told too.
const PAUSE: Duration = Duration::from_millis(400);

/// Evaluations of the default rules in a second of one core, each with a value that comes and goes.
pub(crate) fn evaluations() -> f64 {
    let policy = AlertPolicy {
        rules: defaults::rules(),
        delivery: Delivery::default(),
        routes: Vec::new(),
        maintenance: Vec::new(),
        id_prefix: String::new(),
    };
    let spec: ServiceSpec = serde_json::from_value(serde_json::json!({
        "name": "db", "workflow_id": "wf.svc.db", "ready_signal": "ready:svc:db",
        "labels": { "type": "database" }, "target": { "unit": "db.service" },
    }))
    .expect("a service");
    let mut fold = AlertFold::new(&policy, &spec);
    let rules = fold.possible(&policy).count();
    let (begun, mut now, mut looks) = (Instant::now(), 1_700_000_000_000, 0u64);
    while begun.elapsed() < EVALUATE {
        for step in 0..10_000u64 {
            now += 1_000;
            // Above every threshold for a while, then below: pending, firing, resolved.
            let value = if step % 500 < 200 { 1e12 } else { 0.0 };
            black_box(fold.look(&policy, now, 60_000, |_| Seen::Value(black_box(value)), |_, _, _| {}));
        }
        looks += 10_000;
    }
    looks as f64 * rules as f64 / begun.elapsed().as_secs_f64()
}

/// From the death of a unit to the moment at which a webhook has the message about it, with no wait configured.
pub(crate) fn to_webhook(field: &Field<'_>, kills: usize) -> Vec<Duration> {
    let (receiver, told) = webhook();
    let alerts = format!(
        "[alerts]\ngroup_wait = \"0s\"\ngroup_interval = \"0s\"\ngroup_by = [\"...\"]\n\
         [[alerts.channel]]\nname = \"bench\"\ntype = \"webhook\"\nurl = \"{}\"\n",
        receiver.url("/")
    );
    let (_daemon, _) = field.dixmgr_started_with(&alerts);
    thread::sleep(Duration::from_secs(5));
    let times = field.units()[..kills].iter().enumerate().map(|(index, unit)| {
        while told.try_recv().is_ok() {}
        let killed = latency::kill(field.systemd(), unit);
        let service = format!("bench-{index}");
        let arrived = await_message(&told, &service);
        thread::sleep(PAUSE);
        arrived.saturating_sub(killed)
    });
    times.collect()
}

/// The time that this share of messages did not exceed.
pub(crate) fn at(times: &[Duration], share: f64) -> Duration {
    quantile(times, share)
}

fn await_message(told: &Receiver<(Duration, String)>, service: &str) -> Duration {
    let wanted = format!("\"service\":\"{service}\"");
    loop {
        let (at, body) = told.recv_timeout(PATIENCE).expect("a message about the death");
        if body.contains(&wanted) && body.contains("\"status\":\"firing\"") {
            return at;
        }
    }
}

/// A receiver that notes when each message was there.
fn webhook() -> (HttpFixture, Receiver<(Duration, String)>) {
    let (sender, told) = channel();
    let receiver = HttpFixture::start(move |request| {
        let at = monotonic_now();
        let _ = sender.send((at, String::from_utf8_lossy(&request.body).into_owned()));
        Reply::status(200)
    });
    (receiver, told)
}
