//! Many who look at once: listeners to server-sent events, and programs that ask for all services.

use std::time::{Duration, Instant};

use dixmgr_activities::http::client_builder;
use dixmgr_testkit::Daemon;
use dixmgr_testkit::usage::Usage;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// For how long it is measured.
const WINDOW: Duration = Duration::from_secs(20);

/// Time for all to be connected.
const SETTLE: Duration = Duration::from_secs(10);

/// Time between two questions of one client, as a dashboard asks.
const EVERY: Duration = Duration::from_secs(10);

/// The share of a core that a daemon uses while so many listen to its events.
pub(crate) fn listening(daemon: &Daemon, clients: usize) -> f64 {
    let runtime = Runtime::new().expect("a runtime");
    let url = format!("http://127.0.0.1:{}/api/v1/events", daemon.api_port());
    let mut listeners = JoinSet::new();
    for _ in 0..clients {
        let request = client().get(&url);
        listeners.spawn_on(
            async move {
                let events = request.send().await.and_then(reqwest::Response::error_for_status);
                let mut events = events.expect("events");
                while let Ok(Some(_)) = events.chunk().await {}
            },
            runtime.handle(),
        );
    }
    std::thread::sleep(SETTLE);
    let pid = daemon.pid().expect("dixmgr runs");
    let before = Usage::of(pid);
    std::thread::sleep(WINDOW);
    let share = Usage::of(pid).share_since(&before);
    assert_eq!(listeners.len(), clients, "all of them still listen");
    assert!(listeners.try_join_next().is_none(), "nobody was sent away");
    runtime.shutdown_background();
    share
}

/// How long answers took when so many clients ask for all services, each in its own time.
pub(crate) fn asking(daemon: &Daemon, clients: usize) -> Vec<Duration> {
    let runtime = Runtime::new().expect("a runtime");
    let url = format!("http://127.0.0.1:{}/api/v1/services", daemon.api_port());
    runtime.block_on(async {
        let mut asking = JoinSet::new();
        let begun = Instant::now();
        for index in 0..clients {
            let (client, url) = (client(), url.clone());
            let offset = EVERY.mul_f64(index as f64 / clients as f64);
            asking.spawn(async move {
                tokio::time::sleep(offset).await;
                let mut times = Vec::new();
                while begun.elapsed() < WINDOW {
                    let asked = Instant::now();
                    let answer = client.get(&url).send().await.and_then(reqwest::Response::error_for_status);
                    let body = answer.expect("an answer").bytes().await.expect("its body");
                    times.push(asked.elapsed());
                    assert!(body.starts_with(b"{\"services\":["), "services");
                    tokio::time::sleep(EVERY.saturating_sub(asked.elapsed())).await;
                }
                times
            });
        }
        asking.join_all().await.concat()
    })
}

/// A client with connections of its own.
fn client() -> reqwest::Client {
    client_builder().build().expect("a client")
}
