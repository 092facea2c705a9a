//! `dixmgr silences`: the daemon's silences, listed, added and ended.

use dixmgr_alerting::channel::rfc3339;
use dixmgr_model::{Silence, SilenceState};
use dixmgr_workflows::SILENCES_ID;
use serde_json::{Value, json};

use super::alerts::note as note_of;
use super::error::WorkflowError;
use super::{Session, table};
use crate::cli::{SilenceAction, SilencesArgs};
use crate::config::WATCH_PREFIX;
use crate::silences::{DeskError, SilenceDesk, now};

const COLUMNS: [(&str, bool); 6] =
    [("ID", false), ("STATE", false), ("ENDS", false), ("MATCHERS", true), ("BY", true), ("COMMENT", true)];

/// Does what was asked for.
///
/// # Errors
/// The command line is wrong, dixmgr is not reached, or it could not be done.
pub async fn run(args: &SilencesArgs) -> Result<(), WorkflowError> {
    let (mut session, home) = Session::open(&args.place, args.json).await?;
    let outcome = session.silences(&args.action).await;
    if let Some(home) = home {
        home.close().await;
    }
    outcome?;
    session.output.flush()
}

impl Session {
    async fn silences(&mut self, action: &SilenceAction) -> Result<(), WorkflowError> {
        let (desk, list) = self.desk().await?;
        match action {
            SilenceAction::List { expired } => self.silence_list(list, *expired),
            SilenceAction::Add { matchers, time, start, note } => {
                let (now, note) = (now(), note_of(note));
                let starts_at = start.unwrap_or(now).max(now);
                let ends_at = starts_at.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
                let silence = Silence {
                    matchers: matchers.clone(),
                    starts_at,
                    ends_at,
                    created_by: note.by,
                    comment: note.comment,
                    ..Silence::default()
                };
                let id = desk.put(silence).await?;
                self.silenced(&id, "added")
            }
            SilenceAction::Expire { id } => {
                desk.expire(id).await?;
                self.silenced(id, "expired")
            }
        }
    }

    /// The desk of the daemon that runs there, and what is on it: a dry run has one of its own.
    async fn desk(&self) -> Result<(SilenceDesk, Vec<Silence>), WorkflowError> {
        let desk = SilenceDesk::new(&self.client, SILENCES_ID);
        match desk.list().await {
            Err(DeskError::Nobody) => {
                let desk = SilenceDesk::new(&self.client, format!("{WATCH_PREFIX}{SILENCES_ID}"));
                let list = desk.list().await?;
                Ok((desk, list))
            }
            list => Ok((desk, list?)),
        }
    }

    fn silence_list(&mut self, mut list: Vec<Silence>, expired: bool) -> Result<(), WorkflowError> {
        let now = now();
        list.retain(|silence| expired || silence.state(now) != SilenceState::Expired);
        list.sort_by_key(|silence| silence.ends_at);
        if self.output.is_json() {
            let shown = |silence: &Silence| {
                let mut value = json!(silence);
                value["state"] = silence.state(now).name().into();
                value
            };
            let list: Vec<Value> = list.iter().map(shown).collect();
            return self.output.value(&Value::Array(list));
        }
        let rows: Vec<_> = list.iter().map(|silence| row(silence, now)).collect();
        for line in table::lines(COLUMNS, &rows, self.output.width()) {
            self.output.line(&line)?;
        }
        Ok(())
    }

    fn silenced(&mut self, id: &str, what: &str) -> Result<(), WorkflowError> {
        if self.output.is_json() {
            return self.output.value(&json!({ "done": what, "silence": id }));
        }
        self.output.line(&format!("{id}: {what}"))
    }
}

fn row(silence: &Silence, now: u64) -> [String; 6] {
    let matchers: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
    [
        silence.id.clone(),
        silence.state(now).name().to_owned(),
        rfc3339(silence.ends_at),
        matchers.join(" "),
        silence.created_by.clone(),
        silence.comment.clone(),
    ]
}

impl From<DeskError> for WorkflowError {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Wrong(_) => Self::Wrong(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}
