//! `dixmgr status`: how services are now, asked from the API of a dixmgr that runs.

use std::time::Duration;

use serde_json::Value;

use crate::cli::StatusArgs;
use crate::client::ApiClient;
use crate::workflow::WorkflowError;
use crate::workflow::output::Output;
use crate::workflow::{table, text};

/// Time between two looks with `-watch`.
const AGAIN: Duration = Duration::from_secs(1);
/// Puts the cursor at the top and clears the screen.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Answers `dixmgr status`.
///
/// # Errors
/// The API does not answer, or refuses.
pub async fn run(args: &StatusArgs) -> Result<(), WorkflowError> {
    let api = ApiClient::new(&args.api)?;
    let mut before = None;
    loop {
        let services: Vec<Value> = api.services(args.name.as_deref()).await?;
        if before.as_ref() != Some(&services) {
            show(args, &services)?;
            before = Some(services);
        }
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
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
