//! HTTP checks against real servers, well-behaved and not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dixmgr_activities::http::{BadCheck, HttpChecker, HttpError, KEPT_BODY, MAX_BODY, Unhealthy};
use dixmgr_model::HttpCheck;
use dixmgr_testkit::{HttpFixture, Reply};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn check(url: &str) -> HttpCheck {
    serde_json::from_value(json!({"url": url, "timeout": "5s"})).unwrap()
}

async fn examine(check: &HttpCheck) -> (dixmgr_activities::http::CheckResult, Option<HttpError>) {
    let (result, verdict) = HttpChecker::new().examine(check).await;
    assert_eq!(result.healthy, verdict.is_ok());
    assert_eq!(result.error, verdict.as_ref().err().map(ToString::to_string));
    (result, verdict.err())
}

#[tokio::test]
async fn a_healthy_answer() {
    let server = HttpFixture::always(Reply::status(204));
    let (result, error) = examine(&check(&server.url("/healthz"))).await;
    assert_eq!((error, result.status), (None, Some(204)));
    assert!(result.response_time > Duration::ZERO && result.response_time < Duration::from_secs(5));
}

#[tokio::test]
async fn the_request_is_what_the_check_says() {
    let server = HttpFixture::always(Reply::status(200));
    let mut asked = check(&server.url("/check?deep=1"));
    asked.method = "post".to_owned();
    asked.body = Some("ping".to_owned());
    // A variable that cargo sets stands for a secret.
    asked.headers = BTreeMap::from([("X-Token".to_owned(), "env:CARGO_PKG_NAME".to_owned())]);
    assert_eq!(examine(&asked).await.1, None);
    let requests = server.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/check?deep=1"));
    assert_eq!(request.body, b"ping");
    assert_eq!(request.header("x-token"), Some("dixmgr-activities"));
    assert!(request.header("user-agent").unwrap().starts_with("dixmgr/"));
}

#[tokio::test]
async fn the_status_is_exact_or_any_2xx() {
    let server = HttpFixture::always(Reply::status(503));
    let mut asked = check(&server.url("/"));
    let unhealthy = |expected| Some(HttpError::Unhealthy(Unhealthy::Status { status: 503, expected }));
    assert_eq!(examine(&asked).await.1, unhealthy(None));
    asked.expected_status = Some(200);
    assert_eq!(examine(&asked).await.1, unhealthy(Some(200)));
    asked.expected_status = Some(503);
    assert_eq!(examine(&asked).await.1, None);
}

#[tokio::test]
async fn the_whole_body_is_evaluated_and_a_little_of_it_kept() {
    let mut body = json!({"padding": "ä".repeat(100_000), "status": {"healthy": "Ready"}});
    let server = HttpFixture::always(Reply::json(&body));
    let mut asked = check(&server.url("/"));
    asked.json_path = Some("status.healthy".to_owned());
    asked.expected_body = Some("Ready".to_owned());
    let (result, error) = examine(&asked).await;
    assert_eq!(error, None);
    assert!(result.body.len() <= KEPT_BODY && result.body.starts_with("{\"padding\":\"ä"));

    asked.json_path = Some("$.status.ready".to_owned());
    let error = examine(&asked).await.1;
    assert!(matches!(error, Some(HttpError::Unhealthy(Unhealthy::PathNotFound { .. }))), "{error:?}");
    asked.expected_body = Some("Nirvana".to_owned());
    let error = examine(&asked).await.1;
    assert!(matches!(error, Some(HttpError::Unhealthy(Unhealthy::Text { .. }))), "{error:?}");

    asked.expected_body = None;
    asked.json_path = Some("status.healthy".to_owned());
    body["status"]["healthy"] = json!(false);
    server.set(move |_| Reply::json(&body));
    let error = examine(&asked).await.1;
    assert!(matches!(error, Some(HttpError::Unhealthy(Unhealthy::Value { .. }))), "{error:?}");
    server.set(|_| Reply::status(200).body("<html>"));
    let error = examine(&asked).await.1;
    assert!(matches!(error, Some(HttpError::Unhealthy(Unhealthy::NotJson { .. }))), "{error:?}");
}

#[tokio::test]
async fn two_gigabytes_are_neither_held_nor_read() {
    let server = HttpFixture::always(Reply::endless(2 << 30));
    let mut asked = check(&server.url("/"));
    let started = Instant::now();
    let (result, error) = examine(&asked).await;
    // Nothing depends on the body, so its size does not matter.
    assert_eq!((error, result.body.len()), (None, KEPT_BODY));
    asked.expected_body = Some("needle".to_owned());
    assert_eq!(examine(&asked).await.1, Some(HttpError::TooLarge));
    assert!(started.elapsed() < Duration::from_secs(4), "took {:?}", started.elapsed());
    // A body of exactly the limit is evaluated.
    server.set(|_| Reply::endless(MAX_BODY as u64));
    asked.expected_body = Some("xxx".to_owned());
    assert_eq!(examine(&asked).await.1, None);
}

#[tokio::test]
async fn a_server_that_stalls_is_a_timeout_at_any_point() {
    let server = HttpFixture::always(Reply::stall());
    let mut asked = check(&server.url("/"));
    asked.timeout = Duration::from_millis(80);
    for reply in [None, Some("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nfirst")] {
        if let Some(head) = reply {
            // A body that begins and then never ends.
            let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            asked.url = format!("http://{}/", listener.local_addr().unwrap());
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                // An answer before the question would be a fault of its own.
                let _ = stream.read(&mut [0; 4096]).await.unwrap();
                stream.write_all(head.as_bytes()).await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
        let started = Instant::now();
        let error = examine(&asked).await.1;
        assert!(matches!(error, Some(HttpError::Timeout { .. })), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn a_slow_answer_is_not_healthy() {
    let server = HttpFixture::always(Reply::status(200).after(Duration::from_millis(60)));
    let mut asked = check(&server.url("/"));
    asked.max_response_time = Some(Duration::from_millis(20));
    let (result, error) = examine(&asked).await;
    assert!(matches!(error, Some(HttpError::Unhealthy(Unhealthy::Slow { .. }))), "{error:?}");
    assert!(result.response_time >= Duration::from_millis(60));
    asked.max_response_time = Some(Duration::from_secs(4));
    assert_eq!(examine(&asked).await.1, None);
}

#[tokio::test]
async fn nobody_listening_and_no_such_host() {
    let port = dixmgr_testkit::free_port();
    let (result, error) = examine(&check(&format!("http://user:pa55@127.0.0.1:{port}/?key=s3cret"))).await;
    assert_eq!(error, Some(HttpError::Refused { to: format!("http://127.0.0.1:{port}") }));
    let text = result.error.unwrap();
    assert!(text.contains("connection refused") && !text.contains("pa55") && !text.contains("s3cret"), "{text}");

    let error = examine(&check("http://no-such-host.invalid/")).await.1;
    assert!(matches!(error, Some(HttpError::Dns { .. })), "{error:?}");
}

#[tokio::test]
async fn what_is_not_http_is_a_typed_error() {
    for garbage in
        ["\0\u{1}garbage\r\n\r\n", "", "HTTP/9.9 twohundred\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\nx"]
    {
        let server = HttpFixture::always(Reply::raw(garbage));
        let (result, error) = examine(&check(&server.url("/"))).await;
        assert!(matches!(error, Some(HttpError::Transport { .. })), "{garbage:?}: {error:?}");
        assert!(!result.healthy);
    }
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let server = HttpFixture::start(|request| match request.path.as_str() {
        "/start" => Reply::status(302).header("location", "/middle"),
        "/middle" => Reply::status(301).header("location", "end"),
        "/end" => Reply::status(200),
        "/mail" => Reply::status(302).header("location", "mailto:root@localhost"),
        _ => Reply::status(307).header("location", "/loop"),
    });
    assert_eq!(examine(&check(&server.url("/start"))).await.1, None);
    assert_eq!(server.requests().len(), 3);
    let error = examine(&check(&server.url("/loop"))).await.1;
    assert!(matches!(error, Some(HttpError::RedirectLoop { .. })), "{error:?}");
    assert_eq!(server.requests().len(), 3 + 6);
    let error = examine(&check(&server.url("/mail"))).await.1;
    assert!(matches!(error, Some(HttpError::BadRedirect { .. })), "{error:?}");
    // A check that expects a redirect sees it.
    let mut asked = check(&server.url("/start"));
    asked.expected_status = Some(302);
    assert_eq!(examine(&asked).await.1, None);
}

#[tokio::test]
async fn a_redirect_takes_no_secret_to_another_host() {
    let elsewhere = HttpFixture::always(Reply::status(200));
    let target = elsewhere.url("/");
    let server = HttpFixture::start(move |_| Reply::status(302).header("location", &target));
    let mut asked = check(&server.url("/"));
    asked.method = "POST".to_owned();
    asked.body = Some("b0dy".to_owned());
    asked.headers = BTreeMap::from([("x-api-key".to_owned(), "s3cret".to_owned())]);
    assert_eq!(examine(&asked).await.1, None);
    assert_eq!(server.requests()[0].header("x-api-key"), Some("s3cret"));
    let there = &elsewhere.requests()[0];
    assert_eq!((there.header("x-api-key"), there.method.as_str(), there.body.len()), (None, "GET", 0));
}

#[tokio::test]
async fn a_check_that_can_never_work_says_so_without_touching_the_network() {
    let with = |change: fn(&mut HttpCheck)| {
        let mut asked = check("http://127.0.0.1:9/");
        change(&mut asked);
        asked
    };
    let cases = [
        with(|asked| asked.url = "not a url".to_owned()),
        with(|asked| asked.url = "ftp://host/".to_owned()),
        with(|asked| asked.method = "GE T".to_owned()),
        with(|asked| drop(asked.headers.insert("bad name".to_owned(), String::new()))),
        with(|asked| drop(asked.headers.insert("x".to_owned(), "line\nbreak".to_owned()))),
        with(|asked| drop(asked.headers.insert("x".to_owned(), "env:DIXMGR_NO_SUCH_VARIABLE".to_owned()))),
        with(|asked| asked.json_path = Some("a..b".to_owned())),
    ];
    for asked in cases {
        let error = examine(&asked).await.1;
        assert!(matches!(error, Some(HttpError::BadCheck(_))), "{asked:?}: {error:?}");
    }
    let error = examine(&with(|asked| asked.url = "ftp://host/".to_owned())).await.1;
    assert!(matches!(error, Some(HttpError::BadCheck(BadCheck::Url(_)))), "{error:?}");
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_named_as_such() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The client breaks the handshake off; that is the point.
            let _ = acceptor.accept(stream).await;
        }
    });
    let error = examine(&check(&format!("https://localhost:{port}/"))).await.1;
    assert!(matches!(error, Some(HttpError::Untrusted { .. })), "{error:?}");

    // And a port that does not speak TLS at all.
    let plain = HttpFixture::always(Reply::raw("SSH-2.0-OpenSSH_9.2\r\n"));
    let error = examine(&check(&format!("https://localhost:{}/", plain.port()))).await.1;
    assert!(matches!(error, Some(HttpError::Tls { .. } | HttpError::Transport { .. })), "{error:?}");
}
