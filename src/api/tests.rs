//! The API as a client sees it, without a socket.
#![allow(clippy::unwrap_used)]

use axum::body::{Body as HttpBody, to_bytes};
use axum::http::{Request as HttpRequest, header};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;

const CONFIG: &str = r#"
[[alerts.channel]]
name = "ops"
type = "slack"
url = "env:SLACK"

[[service]]
name = "db"
type = "database"
unit = "db.service"

[[service]]
name = "api"
unit = "api.service"
needs = ["db"]

[[service]]
name = "worker"
unit = "worker@{i}.service"
replicas = 3
"#;

fn api() -> Router {
    served(&Home::new(CONFIG))
}

/// A file, and where its changes are remembered.
struct Home {
    directory: tempfile::TempDir,
    live: Live,
}

impl Home {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("token"), "s3cret\n").unwrap();
        let live = crate::live::tests::live(directory.path(), text);
        Self { directory, live }
    }

    /// With a token.
    fn guarded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("token");
        std::fs::write(&token, "s3cret\n").unwrap();
        let text = format!("[api]\ntoken = \"file:{}\"\n{CONFIG}", token.display());
        let live = crate::live::tests::live(directory.path(), &text);
        Self { directory, live }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("dixmgr.toml")).unwrap()
    }
}

fn served(home: &Home) -> Router {
    let live = home.live.clone();
    let api = Api {
        board: Board::default(),
        in_force: live.in_force(),
        live,
        client: watch::channel(None).1,
        alerting: Arc::default(),
        history: None,
        disk: dixmgr_activities::disk::Disk::default(),
        breakers: CircuitBreakers::default(),
    };
    router(api, None)
}

async fn ask(path: &str) -> (u16, Value) {
    let request = HttpRequest::get(path).header(header::HOST, "localhost").body(HttpBody::empty()).unwrap();
    let response = api().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn services_are_listed_by_pages_and_by_what_they_are() {
    let (status, all) = ask("/api/v1/services").await;
    assert_eq!((status, all["total"].as_u64()), (200, Some(3)));
    let (_, page) = ask("/api/v1/services?limit=2").await;
    assert_eq!((page["services"].as_array().unwrap().len(), page["next_offset"].as_u64()), (2, Some(2)));
    let (_, rest) = ask("/api/v1/services?limit=2&offset=2").await;
    assert_eq!((rest["services"].as_array().unwrap().len(), rest.get("next_offset")), (1, None));
    let (_, databases) = ask("/api/v1/services?type=database").await;
    assert_eq!(databases["services"][0]["name"], "db");
    let (_, found) = ask("/api/v1/services?q=AP").await;
    assert_eq!((found["total"].as_u64(), &found["services"][0]["needs"][0]), (Some(1), &Value::from("db")));
    assert_eq!(ask("/api/v1/services?state=down").await.1["total"], 0);
}

#[tokio::test]
async fn one_service_and_its_replicas() {
    let (status, worker) = ask("/api/v1/services/worker").await;
    assert_eq!((status, &worker["state"]), (200, &Value::from("unknown")));
    assert_eq!(worker["replicas"]["services"].as_array().unwrap().len(), 3);
    let replica = worker["replicas"]["services"][1]["name"].as_str().unwrap().to_owned();
    assert_eq!(ask(&format!("/api/v1/services/{replica}")).await.0, 200);
}

#[tokio::test]
async fn errors_have_one_form() {
    for (path, status) in [
        ("/api/v1/services/nobody", 404),
        ("/nowhere", 404),
        ("/api/v1/services?limit=0", 400),
        ("/api/v1/services?limit=many", 400),
        ("/api/v1/services?colour=red", 400),
    ] {
        let (found, error) = ask(path).await;
        assert_eq!(found, status, "{path}: {error}");
        assert!(error["error"]["code"].is_string() && error["error"]["message"].is_string(), "{path}: {error}");
    }
}

#[test]
fn the_description_names_what_is_served() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut described = std::collections::BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        described.extend(methods.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
    }
    let sources = [
        include_str!("config.rs"),
        include_str!("mod.rs"),
        include_str!("services.rs"),
        include_str!("history.rs"),
        include_str!("alertmanager.rs"),
        include_str!("alerts.rs"),
        include_str!("silences.rs"),
        include_str!("breakers.rs"),
        include_str!("../page/mod.rs"),
    ];
    let mut served = std::collections::BTreeSet::new();
    for route in sources.iter().flat_map(|text| text.split(".route(\"").skip(1)) {
        let (path, rest) = route.split_once('"').unwrap();
        let handlers = rest.split(['}', ';']).next().unwrap();
        let methods = ["get", "post", "delete", "put"].into_iter();
        let methods = methods.filter(|method| handlers.contains(&format!("{method}(")));
        served.extend(
            methods
                .filter(|_| path.starts_with("/api/") || path.starts_with("/config"))
                .map(|method| format!("{method} {path}")),
        );
    }
    assert_eq!(described, served);
}

#[tokio::test]
async fn forms_of_the_page_say_what_is_wrong_with_them() {
    let page = "/alerts/0123456789abcdef/silence?q=%22db";
    for (form, status, told) in [
        ("by=ann&duration=2h", 503, "not there yet"),
        ("by=ann&duration=soon", 400, "length"),
        ("duration=2h", 400, "by"),
        ("by=%20&duration=2h", 400, "says who"),
    ] {
        let request = HttpRequest::post(page)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let response = api().oneshot(request.body(HttpBody::from(form)).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{form}");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let page = String::from_utf8(body.to_vec()).unwrap();
        assert!(page.contains(told) && page.contains("/?q=%22db&amp;state=&amp;page=0#alerts"), "{form}: {page}");
    }
    let foreign =
        HttpRequest::post(page).header(header::HOST, "localhost").header(header::ORIGIN, "http://evil.example");
    let response = api().oneshot(foreign.body(HttpBody::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status().as_u16(), 403);
}

#[tokio::test]
async fn alertmanagers_clients_get_its_forms() {
    let (status, receivers) = ask("/api/v2/receivers").await;
    assert_eq!((status, receivers), (200, serde_json::json!([{ "name": "log" }, { "name": "ops" }])));
    let (_, told) = ask("/api/v2/status").await;
    assert_eq!((&told["cluster"]["status"], &told["config"]["original"]), (&"disabled".into(), &"".into()));
    for (path, status, part) in
        [("/api/v2/silences", 503, "not there yet"), ("/api/v2/silences?filter=service", 400, "is not a matcher")]
    {
        let (found, error) = ask(path).await;
        assert_eq!(found, status, "{path}: {error}");
        assert!(error.as_str().unwrap().contains(part), "an error is a text: {error}");
    }
}

/// A request to change the configuration, and what is answered: status, `ETag`, body.
async fn send(home: &Home, path: &str, headers: &[(&'static str, &str)], body: &str) -> (u16, String, Value) {
    let mut request = HttpRequest::post(path).header(header::HOST, "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = served(home).oneshot(request.body(HttpBody::from(body.to_owned())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let tag = response.headers().get(header::ETAG).map(|tag| tag.to_str().unwrap().to_owned());
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, tag.unwrap_or_default(), serde_json::from_slice(&body).unwrap())
}

const TOKEN: (&str, &str) = ("authorization", "Bearer s3cret");
const PATCH: (&str, &str) = ("content-type", "application/merge-patch+json");

#[tokio::test]
async fn who_changes_the_configuration_needs_the_token() {
    for path in ["/config/update", "/config/reload", "/config/rollback"] {
        let home = Home::new(CONFIG);
        let (status, _, error) = send(&home, path, &[TOKEN, PATCH], "{}").await;
        assert_eq!(status, 403, "{path}: there is no token: {error}");
        assert!(error["error"]["message"].as_str().unwrap().contains("[api]"), "says what to do: {error}");
        let home = Home::guarded();
        for headers in [&[PATCH][..], &[PATCH, ("authorization", "Bearer wrong")]] {
            assert_eq!(send(&home, path, headers, "{}").await.0, 401, "{path} {headers:?}");
        }
        assert_eq!(home.live.changes().len(), 1, "only the start is remembered");
    }
}

#[tokio::test]
async fn a_patch_is_tried_applied_and_taken_back() {
    let home = Home::guarded();
    let before = home.text();
    let patch = r#"{"service": {"db": {"interval": "5s"}}}"#;
    let (status, tag, tried) = send(&home, "/config/update?dry_run=true", &[TOKEN, PATCH], patch).await;
    assert_eq!((status, tag.as_str(), &tried["applied"]), (200, "\"1\"", &Value::from(false)), "{tried}");
    assert_eq!((&tried["summary"], home.text() == before), (&"interval 30s → 5s".into(), true));
    let seen = [TOKEN, PATCH, ("if-match", "\"1\"")];
    let (status, tag, done) = send(&home, "/config/update", &seen, patch).await;
    assert_eq!((status, tag.as_str(), &done["changes"][0]), (200, "\"2\"", &"service db: interval 30s → 5s".into()));
    assert!(home.text().contains("interval = \"5s\""), "{}", home.text());
    assert_eq!(send(&home, "/config/update", &seen, patch).await.0, 412, "somebody was faster");
    let (status, _, error) = send(&home, "/config/update", &[TOKEN, PATCH], r#"{"service": null}"#).await;
    assert!(status == 400 && error["error"]["message"].as_str().unwrap().contains("no service"), "{error}");
    let (status, tag, _) = send(&home, "/config/rollback", &[TOKEN], "").await;
    assert_eq!((status, tag.as_str(), home.text() == before), (200, "\"3\"", true));
    assert_eq!(send(&home, "/config/rollback", &[TOKEN], r#"{"revision": 9}"#).await.0, 404);
    let toml = ("content-type", "application/toml");
    let whole = before.clone() + "[log]\nformat = \"json\"\n";
    let (status, _, done) = send(&home, "/config/update", &[TOKEN, toml], &whole).await;
    assert_eq!((status, &done["needs_restart"][0]), (200, &"log.format none → json".into()), "{done}");
    assert_eq!(send(&home, "/config/update", &[TOKEN, ("content-type", "text/plain")], "").await.0, 415);
    assert_eq!(send(&home, "/config/update", &[TOKEN, PATCH, ("if-match", "2")], "{}").await.0, 400);
    let past = home.live.changes();
    let outcomes: Vec<_> = past.iter().rev().map(|(entry, _)| (entry.revision, entry.author.name.as_str())).collect();
    let token = outcomes[1].1;
    assert!(token.starts_with("token file:"), "{token}");
    assert_eq!(
        outcomes,
        [
            (Some(1), "start"),
            (Some(2), token),
            (None, token),
            (None, token),
            (Some(3), token),
            (None, token),
            (Some(4), token)
        ]
    );
}

#[tokio::test]
async fn the_configuration_is_shown_without_secrets() {
    let home = Home::guarded();
    let ask = |path: &'static str, accept: &'static str| {
        let request = HttpRequest::get(path).header(header::HOST, "localhost").header(header::ACCEPT, accept);
        served(&home).oneshot(request.body(HttpBody::empty()).unwrap())
    };
    let response = ask("/config", "*/*").await.unwrap();
    assert_eq!(response.headers()[header::ETAG], "\"1\"");
    let shown: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap();
    assert_eq!(shown["configuration"]["service"][0]["name"], "db");
    assert!(shown["configuration"]["api"]["token"].as_str().unwrap().starts_with("file:"), "a reference is shown");
    assert_eq!(shown["running"]["api_listen"], "127.0.0.1:9091");
    for (path, accept) in [("/config?format=toml", "*/*"), ("/config", "application/toml")] {
        let response = ask(path, accept).await.unwrap();
        let text = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let table: toml::Table = std::str::from_utf8(&text).unwrap().parse().unwrap();
        assert_eq!(table["service"][0]["name"].as_str(), Some("db"));
    }
    let response = ask("/config/history", "*/*").await.unwrap();
    let past: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap();
    assert_eq!((&past["changes"][0]["way"], &past["changes"][0]["kept"]), (&"start".into(), &true.into()), "{past}");
}
