//! The API as a client sees it, without a socket.
#![allow(clippy::unwrap_used)]

use axum::body::{Body as HttpBody, to_bytes};
use axum::http::{Request as HttpRequest, header};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::config::{self, LoadOptions, ManagerKind};

const CONFIG: &str = r#"
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
    let options = LoadOptions {
        mode: dixmgr_model::Mode::Exec,
        manager: ManagerKind::Systemd,
        resources: true,
        max_restarts: None,
    };
    let plan = Arc::new(config::parse("x.toml", CONFIG, &options).unwrap().plan);
    let alerting = Alerting { channels: vec!["log".to_owned(), "ops".to_owned()], ..Alerting::default() };
    let api = Api {
        board: Board::default(),
        plan: watch::channel(plan).1,
        client: watch::channel(None).1,
        alerting: Arc::new(alerting),
        history: None,
        breakers: CircuitBreakers::default(),
    };
    let settings =
        ApiSettings { listen: "127.0.0.1:9091".parse().unwrap(), token: None, hosts: Vec::new(), public: None };
    router(api, Guard::new(&settings).unwrap(), None)
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
        served.extend(methods.filter(|_| path.starts_with("/api/")).map(|method| format!("{method} {path}")));
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
