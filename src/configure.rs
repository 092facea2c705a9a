//! `dixmgr config`: the configuration of a dixmgr that runs, shown and changed over its API.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{ConfigAction, ConfigArgs};
use crate::client::{ApiClient, Contents};
use crate::config::MAX_BYTES;
use crate::workflow::WorkflowError;
use crate::workflow::output::Output;
use crate::workflow::{table, text};

const TOML: &str = "application/toml";
const PATCH: &str = "application/merge-patch+json";
const JSON: &str = "application/json";
const COLUMNS: [(&str, bool); 6] =
    [("REVISION", false), ("TIME", false), ("WAY", false), ("AUTHOR", true), ("OUTCOME", false), ("SUMMARY", true)];

/// Does what was asked for.
///
/// # Errors
/// The API does not answer, or refuses; or the file cannot be read.
pub async fn run(args: &ConfigArgs) -> Result<(), WorkflowError> {
    let api = ApiClient::new(&args.api)?;
    let mut out = Output::new(args.json);
    let dry = |dry: bool| if dry { &[("dry_run", "true")][..] } else { &[] };
    let answer = match &args.action {
        ConfigAction::Show => {
            show(&api, &mut out).await?;
            return out.flush();
        }
        ConfigAction::History { limit } => {
            history(&api, &mut out, *limit).await?;
            return out.flush();
        }
        ConfigAction::Diff { file } => {
            api.send_to(&["config", "update"], dry(true), Some(contents(file)?), None).await?
        }
        ConfigAction::Update { file, if_revision } => {
            api.send_to(&["config", "update"], &[], Some(contents(file)?), *if_revision).await?
        }
        ConfigAction::Reload { dry_run } => api.send_to(&["config", "reload"], dry(*dry_run), None, None).await?,
        ConfigAction::Rollback { revision, dry_run } => {
            let back = revision.map(|revision| json!({ "revision": revision }).to_string().into_bytes());
            let back = back.map(|body| Contents { kind: JSON, body });
            api.send_to(&["config", "rollback"], dry(*dry_run), back, None).await?
        }
    };
    changed(&mut out, &answer)?;
    out.flush()
}

/// The document, so that it can be written to a file; who is asked for JSON has the rest too.
async fn show(api: &ApiClient, out: &mut Output) -> Result<(), WorkflowError> {
    if out.is_json() {
        let shown: Value = api.get(&["config"], &[("format", "json")]).await?;
        return out.value(&shown);
    }
    let document = api.text(&["config"], &[("format", "toml")]).await?;
    document.lines().try_for_each(|line| out.whole(line))
}

async fn history(api: &ApiClient, out: &mut Output, limit: u16) -> Result<(), WorkflowError> {
    let limit = limit.to_string();
    let mut answer: Value = api.get(&["config", "history"], &[("limit", &limit)]).await?;
    let changes = answer["changes"].take();
    if out.is_json() {
        return out.value(&changes);
    }
    let rows: Vec<[String; 6]> = changes.as_array().into_iter().flatten().map(row).collect();
    table::lines(COLUMNS, &rows, out.width()).iter().try_for_each(|line| out.line(line))
}

fn row(change: &Value) -> [String; 6] {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // The name of a revision that one can go back to, and of no other.
    let revision = change["revision"].as_u64().filter(|_| change["kept"] == true);
    let author = [&change["author"]["name"], &change["author"]["address"]].map(word).join(" ");
    [
        revision.map(|revision| revision.to_string()).unwrap_or_default(),
        text::time(&change["time"]),
        word(&change["way"]),
        author.trim_end().to_owned(),
        word(&change["outcome"]),
        word(&change["summary"]),
    ]
}

/// What came of a change, or would.
fn changed(out: &mut Output, answer: &Value) -> Result<(), WorkflowError> {
    if out.is_json() {
        return out.value(answer);
    }
    let revision = &answer["revision"];
    let summary = answer["summary"].as_str().unwrap_or_default();
    out.line(&match (answer["applied"] == true, answer["dry_run"] == true) {
        (true, _) => format!("revision {revision} is in force: {summary}"),
        (false, true) => format!("revision {revision} stays in force; this would be otherwise: {summary}"),
        (false, false) => format!("revision {revision} stays in force: {summary}"),
    })?;
    let lines = |key: &str| answer[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines("changes").try_for_each(|line| out.line(&format!("  {line}")))?;
    lines("needs_restart").try_for_each(|line| out.line(&format!("  needs a restart: {line}")))
}

/// What a file holds: a patch if its name says so, else a document.
fn contents(path: &Path) -> Result<Contents, WorkflowError> {
    let kind = if path.extension().is_some_and(|extension| extension == "json") { PATCH } else { TOML };
    let source: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(stdin().lock()),
        _ => Box::new(File::open(path).map_err(|error| unreadable(path, &error))?),
    };
    let mut body = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut body).map_err(|error| unreadable(path, &error))?;
    if body.len() as u64 > MAX_BYTES {
        let path = path.display();
        return Err(WorkflowError::Wrong(format!("{path} is larger than the {MAX_BYTES} bytes of a configuration")));
    }
    Ok(Contents { kind, body })
}

fn unreadable(path: &Path, error: &std::io::Error) -> WorkflowError {
    WorkflowError::Wrong(format!("{} cannot be read: {error}", path.display()))
}
