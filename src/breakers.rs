//! `dixmgr breakers`: the circuit breakers of a dixmgr that runs, asked and closed over its API.

use serde_json::Value;

use crate::cli::{BreakerAction, BreakersArgs};
use crate::client::ApiClient;
use crate::workflow::WorkflowError;
use crate::workflow::output::Output;
use crate::workflow::{table, text};

const PATH: [&str; 3] = ["api", "v1", "circuit-breakers"];
const COLUMNS: [(&str, bool); 5] =
    [("TARGET", true), ("STATE", false), ("FOR", false), ("FAILURES", false), ("OPENED", false)];

/// Does what was asked for.
///
/// # Errors
/// The API does not answer, or there is no such breaker.
pub async fn run(args: &BreakersArgs) -> Result<(), WorkflowError> {
    let api = ApiClient::new(&args.api)?;
    let mut out = Output::new(args.json);
    match &args.action {
        BreakerAction::List => {
            let mut answer: Value = api.get(&PATH, &[]).await?;
            list(&mut out, &answer["breakers"].take())?;
        }
        BreakerAction::Reset { target } => {
            let [one, two, three] = PATH;
            let closed: Value = api.post(&[one, two, three, target, "reset"]).await?;
            if out.is_json() {
                out.value(&closed)?;
            } else {
                out.line(&format!("{target}: closed"))?;
            }
        }
    }
    out.flush()
}

fn list(out: &mut Output, breakers: &Value) -> Result<(), WorkflowError> {
    if out.is_json() {
        return out.value(breakers);
    }
    let rows: Vec<[String; 5]> = breakers.as_array().into_iter().flatten().map(row).collect();
    for line in table::lines(COLUMNS, &rows, out.width()) {
        out.line(&line)?;
    }
    Ok(())
}

fn row(breaker: &Value) -> [String; 5] {
    let word = |key: &str| breaker[key].as_str().unwrap_or_default().to_owned();
    let since = text::between(&breaker["since"], None);
    [word("target"), word("state"), since, breaker["failures"].to_string(), breaker["opened"].to_string()]
}
