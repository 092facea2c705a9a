//! What becomes of a message, by what its receiver does with it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use dixmgr_activities::http::HttpChecker;
use dixmgr_activities::metrics::Metrics;
use dixmgr_activities::notify::{Channel, ChannelKind, Notifier, NotifyError, Webhook};
use dixmgr_alerting::message::Message;
use dixmgr_model::{Alert, AlertKind, AlertStatus, Severity};
use dixmgr_testkit::{HttpFixture, Reply};

fn message() -> Message {
    let alert = Alert {
        fingerprint: "0123456789abcdef".to_owned(),
        kind: AlertKind::ServiceDown,
        service: "db".to_owned(),
        severity: Severity::Critical,
        rule: "service_down".to_owned(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        starts_at: 1_700_000_000_000,
    };
    Message::about(alert, AlertStatus::Firing, "key".to_owned())
}

fn notifier(url: String) -> (Notifier, Metrics) {
    let metrics = Metrics::new("dixmgr").unwrap();
    let kind = ChannelKind::Webhook(Webhook { url, ..Webhook::default() });
    let channels = vec![Channel { name: "ops".to_owned(), kind }];
    (Notifier::new(channels, HttpChecker::new(), &metrics), metrics)
}

async fn outcome(reply: Reply) -> Result<String, NotifyError> {
    let receiver = HttpFixture::always(reply);
    notifier(receiver.url("/hook?token=s3cret")).0.send("ops", &message()).await
}

fn later(outcome: &Result<String, NotifyError>) -> (&str, Option<Duration>) {
    match outcome {
        Err(NotifyError::Later { detail, retry_after }) => (detail, *retry_after),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_accepted_is_sent_and_what_is_refused_is_given_up() {
    assert_eq!(outcome(Reply::status(202)).await, Ok("status 202".to_owned()));
    for status in [400, 413, 422] {
        assert!(matches!(outcome(Reply::status(status)).await, Err(NotifyError::Refused(_))), "{status}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_when_the_receiver_wants_it() {
    let busy = outcome(Reply::status(429).header("retry-after", "17")).await;
    assert_eq!(later(&busy), ("status 429", Some(Duration::from_secs(17))));
    let for_ever = outcome(Reply::status(503).header("retry-after", "999999")).await;
    assert_eq!(later(&for_ever).1, Some(Duration::from_hours(1)), "nobody makes us wait for ever");
    for status in [301, 401, 404, 500, 503] {
        assert_eq!(later(&outcome(Reply::status(status)).await).1, None);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_after_its_status_is_an_answer() {
    let broken = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this";
    assert_eq!(outcome(Reply::raw(broken)).await, Ok("status 200".to_owned()));
    let garbage = outcome(Reply::raw("garbage")).await;
    assert!(later(&garbage).1.is_none());
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_named_without_its_secret() {
    let (notifier, metrics) = notifier(format!("http://127.0.0.1:{}/hook?token=s3cret", dixmgr_testkit::free_port()));
    let outcome = notifier.send("ops", &message()).await;
    let (detail, _) = later(&outcome);
    assert!(detail.contains("connection refused") && !detail.contains("s3cret"), "{detail}");
    let page = metrics.encode().unwrap();
    for series in ["notifications_total", "notifications_failed_total"] {
        assert!(page.contains(&format!("dixmgr_{series}{{channel=\"ops\"}} 1")), "{page}");
    }
    let unknown = notifier.send("nobody", &message()).await;
    assert_eq!(unknown, Err(NotifyError::Unknown("nobody".to_owned())));
}
