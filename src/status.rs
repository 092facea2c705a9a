//! `dixmgr status`: how services are now, asked from the API of a dixmgr that runs.

use std::time::Duration;

use dixmgr_activities::http::client_builder;
use dixmgr_activities::secret;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::cli::StatusArgs;
use crate::workflow::WorkflowError;
use crate::workflow::output::Output;
use crate::workflow::{table, text};

/// Longest time for one question.
const PATIENCE: Duration = Duration::from_secs(20);
/// Services of one question; further ones are asked for by pages.
const PAGE: usize = 1000;
/// Time between two looks with `-watch`.
const AGAIN: Duration = Duration::from_secs(1);
/// Puts the cursor at the top and clears the screen.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Answers `dixmgr status`.
///
/// # Errors
/// The API does not answer, or refuses.
pub async fn run(args: &StatusArgs) -> Result<(), WorkflowError> {
    let failed = |error: reqwest::Error| WorkflowError::Failed(crate::worker::chain(&error));
    let client = client_builder().timeout(PATIENCE).build().map_err(failed)?;
    let mut before = Vec::new();
    loop {
        let services = all(&client, args).await?;
        if services != before {
            show(args, &services)?;
            before = services;
        }
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// All services that are asked for.
async fn all(client: &reqwest::Client, args: &StatusArgs) -> Result<Vec<Value>, WorkflowError> {
    let mut services = Vec::new();
    loop {
        let mut url = url::Url::parse(&format!("http://{}/api/v1/services", args.address))
            .map_err(|error| WorkflowError::Wrong(format!("-address {:?}: {error}", args.address)))?;
        url.query_pairs_mut()
            .append_pair("limit", &PAGE.to_string())
            .append_pair("offset", &services.len().to_string());
        if let Some(name) = &args.name {
            url.query_pairs_mut().append_pair("q", name);
        }
        let mut page = get(client, args, url).await?;
        let more = page.get("next_offset").is_some();
        match page.get_mut("services").map(Value::take) {
            Some(Value::Array(found)) => services.extend(found),
            _ => return Err(WorkflowError::Failed("the API answers something else than was asked".to_owned())),
        }
        if !more {
            return Ok(services);
        }
    }
}

async fn get(client: &reqwest::Client, args: &StatusArgs, url: url::Url) -> Result<Value, WorkflowError> {
    let failed = |error: reqwest::Error| {
        let advice = "is dixmgr running, and is -address that of its API?";
        WorkflowError::Failed(format!("{}; {advice}", crate::worker::chain(&error)))
    };
    let mut request = client.get(url);
    if let Some(token) = &args.token {
        let token = secret::resolve(token).map_err(|error| WorkflowError::Failed(error.to_string()))?;
        request = request.bearer_auth(token.expose_secret());
    }
    let answer = request.send().await.map_err(failed)?;
    let refused = !answer.status().is_success();
    let body: Value = serde_json::from_slice(&answer.bytes().await.map_err(failed)?).unwrap_or_default();
    if refused {
        let why = body.pointer("/error/message").and_then(Value::as_str).unwrap_or("the API refuses without a word");
        return Err(WorkflowError::Failed(why.to_owned()));
    }
    Ok(body)
}

fn show(args: &StatusArgs, services: &[Value]) -> Result<(), WorkflowError> {
    let mut out = Output::new(args.json);
    if out.is_json() {
        out.value(&Value::from(services.to_vec()))?;
        return out.flush();
    }
    if args.watch && out.width().is_some() {
        out.piece(CLEAR)?;
    }
    let head =
        [("SERVICE", true), ("STATE", false), ("FOR", false), ("CPU", false), ("MEMORY", false), ("DETAIL", true)];
    let rows: Vec<[String; 6]> = services.iter().map(row).collect();
    for line in table::lines(head, &rows, out.width()) {
        out.line(&line)?;
    }
    out.flush()
}

fn row(service: &Value) -> [String; 6] {
    let text_of = |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let since = service.get("since").map(|since| text::between(since, None)).unwrap_or_default();
    let cpu = service.get("cpu_percent").and_then(Value::as_f64).map(|cpu| format!("{cpu:.1} %"));
    let memory = service
        .get("memory_bytes")
        .and_then(Value::as_f64)
        .map(|bytes| format!("{:.0} MiB", bytes / f64::from(1 << 20)));
    let detail = [text_of("/health/detail"), text_of("/sync/detail"), text_of("/unit/result")];
    let detail = detail.into_iter().find(|detail| !detail.is_empty() && detail != "success").unwrap_or_default();
    [text_of("/name"), text_of("/state"), since, cpu.unwrap_or_default(), memory.unwrap_or_default(), detail]
}
