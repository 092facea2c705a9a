//! `dixmgr workflow`: looking into workflows, on the embedded engine or on any Temporal cluster, and acting on one.
//!
//! It speaks the API that every client speaks, and knows nothing of which of the two answers. What comes back is turned into
//! JSON once ([`crate::protojson`]); tables and lines are views of that.

mod act;
mod alerts;
mod error;
mod event;
mod look;
pub(crate) mod output;
mod place;
mod silences;

pub(crate) mod table;
pub(crate) mod text;

use std::time::Duration;

use temporalio_client::Client;
use temporalio_client::tonic::Request;
use temporalio_common::protos::temporal::api::common::v1::WorkflowExecution;

pub use alerts::run as alerts;
pub use error::WorkflowError;
pub use silences::run as silences;

use crate::cli::{Action, PlaceArgs, Target, WorkflowArgs};
use crate::protojson::Schema;
use output::Output;
use place::{OwnEngine, Place};

/// Longest time for one answer; a query waits for a worker.
const PATIENCE: Duration = Duration::from_secs(15);

/// What every command has at hand.
struct Session {
    client: Client,
    namespace: String,
    schema: Schema,
    output: Output,
}

/// Does what was asked for.
///
/// # Errors
/// The command line or the configuration is wrong, the server is not reached, or it refused.
pub async fn run(args: &WorkflowArgs) -> Result<(), WorkflowError> {
    let (mut session, home) = Session::open(&args.place, args.json).await?;
    let outcome = session.perform(&args.action).await;
    if let Some(home) = home {
        home.close().await;
    }
    outcome?;
    session.output.flush()
}

impl Session {
    /// A session with the place that is meant, and the engine that it talks to when that is one of our own.
    async fn open(args: &PlaceArgs, json: bool) -> Result<(Self, Option<OwnEngine>), WorkflowError> {
        let place = Place::resolve(args)?;
        let (client, home) = place.connect().await?;
        let (namespace, schema, output) = (place.namespace().to_owned(), Schema::of_temporal()?, Output::new(json));
        Ok((Self { client, namespace, schema, output }, home))
    }

    async fn perform(&mut self, action: &Action) -> Result<(), WorkflowError> {
        match action {
            Action::List { query, limit } => self.list(query, *limit).await,
            Action::Count { query } => self.count(query).await,
            Action::Describe(target) => self.describe(target).await,
            Action::Show { target, follow } => self.show(target, *follow).await,
            Action::Query { target, name, input } => self.query(target, name, input.as_ref()).await,
            Action::Signal { target, name, input } => self.signal(target, name, input.as_ref()).await,
            Action::Cancel(change) => self.cancel(change).await,
            Action::Terminate(change) => self.terminate(change).await,
            Action::Reset { change, event } => self.reset(change, *event).await,
            Action::Delete(target) => self.delete(target).await,
        }
    }
}

/// The run that is meant; the latest one when none is named.
fn execution(target: &Target) -> WorkflowExecution {
    let run_id = target.run_id.clone().unwrap_or_default();
    WorkflowExecution { workflow_id: target.id.clone(), run_id }
}

/// A request that does not wait for ever.
fn within<T>(patience: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(patience);
    request
}
