//! `dixmgr alerts`: alerts are workflows, so they are listed, asked and told like others; and channels are tried.

use std::time::Duration;

use dixmgr_activities::disk::Disk;
use dixmgr_activities::http::HttpChecker;
use dixmgr_activities::metrics::Metrics;
use dixmgr_activities::notify::Notifier;
use dixmgr_alerting::channel::rfc3339;
use dixmgr_alerting::group::Group;
use dixmgr_alerting::incident::{Incident, Note};
use dixmgr_alerting::message::Message;
use dixmgr_model::{Alert, AlertKind, AlertStatus, Severity, duration};
use dixmgr_workflows::{AlertWorkflow, SilenceRequest};
use serde_json::{Value, json};
use temporalio_client::{WorkflowHandle, WorkflowSignalOptions};

use super::error::WorkflowError;
use super::output::Output;
use super::{Session, table};
use crate::cli::{AlertAction, AlertsArgs, NoteArgs};
use crate::config;
use crate::data_dir::DataDir;
use crate::incidents::{self, ID_PREFIX, IncidentError};
use crate::silences::now;
use crate::{backtest, history};

/// Longest note.
const MAX_NOTE: usize = 500;

const COLUMNS: [(&str, bool); 6] =
    [("ID", false), ("SEVERITY", false), ("STATUS", false), ("SERVICE", true), ("SINCE", false), ("SUMMARY", true)];

/// Does what was asked for.
///
/// # Errors
/// The command line or the configuration is wrong, dixmgr is not reached, or it could not be done.
pub async fn run(args: &AlertsArgs) -> Result<(), WorkflowError> {
    if let AlertAction::Test { channel } = &args.action {
        return test(args, channel).await;
    }
    if let AlertAction::Backtest { rules, since, store } = &args.action {
        let config = config::load_for_command(rules)?;
        let history = history::place(store, Some(&config.settings), args.place.data_dir.as_deref())?;
        let disk = Disk::of(&DataDir::existing(args.place.data_dir.as_deref()), now());
        // Reading it waits, for a disk or a server, and there is nobody else to serve.
        return tokio::task::block_in_place(|| backtest::run(&config, &history, &disk, *since, args.json));
    }
    let (mut session, home) = Session::open(&args.place, args.json).await?;
    let outcome = session.alerts(&args.action).await;
    if let Some(home) = home {
        home.close().await;
    }
    outcome?;
    session.output.flush()
}

impl Session {
    async fn alerts(&mut self, action: &AlertAction) -> Result<(), WorkflowError> {
        match action {
            AlertAction::List => self.alert_list().await,
            AlertAction::Show { id } => self.alert_show(id).await,
            AlertAction::Ack { id, note } => {
                let signal =
                    self.alert(id).signal(AlertWorkflow::acknowledge, self::note(note), signal_options()).await;
                self.told(id, "acknowledged", signal)
            }
            AlertAction::Silence { id, time, note } => self.alert_silence(id, *time, note, "silenced").await,
            AlertAction::Unsilence { id, note } => self.alert_silence(id, Duration::ZERO, note, "not silenced").await,
            AlertAction::Test { .. } | AlertAction::Backtest { .. } => Ok(()),
        }
    }

    async fn alert_list(&mut self) -> Result<(), WorkflowError> {
        let found = incidents::list(&self.client, &self.namespace, |_| true).await?;
        let short = |id: &String| id.strip_prefix(ID_PREFIX).unwrap_or(id).to_owned();
        let found: Vec<_> = found.iter().map(|(id, incident)| (short(id), incident)).collect();
        if self.output.is_json() {
            let found: Vec<Value> = found.iter().map(|(_, incident)| json!(incident)).collect();
            return self.output.value(&Value::Array(found));
        }
        let rows: Vec<_> = found.iter().map(|(name, incident)| row(name, incident)).collect();
        for line in table::lines(COLUMNS, &rows, self.output.width()) {
            self.output.line(&line)?;
        }
        Ok(())
    }

    async fn alert_show(&mut self, id: &str) -> Result<(), WorkflowError> {
        let incident = self.incident(id).await?;
        let group = incidents::group(&self.client, &incident).await;
        if self.output.is_json() {
            return self.output.value(&incidents::story(&incident, group));
        }
        for line in description(&incident, group.as_ref()) {
            self.output.line(&line)?;
        }
        Ok(())
    }

    async fn alert_silence(
        &mut self,
        id: &str,
        time: Duration,
        note: &NoteArgs,
        what: &str,
    ) -> Result<(), WorkflowError> {
        let request = SilenceRequest { duration: time, note: self::note(note) };
        let signal = self.alert(id).signal(AlertWorkflow::silence, request, signal_options()).await;
        self.told(id, what, signal)
    }

    fn alert(&self, id: &str) -> WorkflowHandle<temporalio_client::Client, AlertWorkflow> {
        let id = if id.contains(ID_PREFIX) { id.to_owned() } else { format!("{ID_PREFIX}{id}") };
        self.client.get_workflow_handle(id)
    }

    async fn incident(&self, id: &str) -> Result<Incident, WorkflowError> {
        let id = if id.contains(ID_PREFIX) { id.to_owned() } else { format!("{ID_PREFIX}{id}") };
        Ok(incidents::find(&self.client, &id).await?)
    }

    fn told<E: std::error::Error + 'static>(
        &mut self,
        id: &str,
        what: &str,
        signal: Result<(), E>,
    ) -> Result<(), WorkflowError> {
        signal.map_err(|error| unknown(id, &error))?;
        if self.output.is_json() {
            return self.output.value(&json!({ "done": what, "alert": id }));
        }
        self.output.line(&format!("{id}: {what}"))
    }
}

/// Sends a test over a channel of the configuration.
async fn test(args: &AlertsArgs, channel: &str) -> Result<(), WorkflowError> {
    let Some(conf) = &args.place.conf else {
        return Err(WorkflowError::Wrong("name the configuration that has the channel: -conf FILE".to_owned()));
    };
    let alerts = config::load_for_command(conf)?.alerts;
    if !alerts.channels.iter().any(|own| own.name == channel) {
        let names: Vec<&str> = alerts.channels.iter().map(|channel| channel.name.as_str()).collect();
        return Err(WorkflowError::Wrong(format!("no channel is called {channel:?}; there are {}", names.join(", "))));
    }
    let metrics = Metrics::new("dixmgr").map_err(|error| WorkflowError::Failed(error.to_string()))?;
    let notifier = Notifier::new(alerts.channels, HttpChecker::new(), &metrics);
    let answer = notifier.send(channel, &test_message()).await;
    let answer = answer.map_err(|error| WorkflowError::Failed(format!("{channel}: {error}")))?;
    let mut output = Output::new(args.json);
    if output.is_json() {
        output.value(&json!({ "done": "sent", "channel": channel, "answer": answer }))?;
    } else {
        output.line(&format!("{channel}: sent, {answer}"))?;
    }
    output.flush()
}

fn test_message() -> Message {
    let texts = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let starts_at = now();
    let alert = Alert {
        fingerprint: "0000000000000000".to_owned(),
        kind: AlertKind::ServiceDegraded,
        service: "dixmgr".to_owned(),
        severity: Severity::Info,
        rule: "test".to_owned(),
        labels: texts(&[("alertname", "test"), ("service", "dixmgr"), ("severity", "info"), ("test", "true")]),
        annotations: texts(&[
            ("summary", "TEST: a message from dixmgr"),
            ("description", "Somebody tried this channel with `dixmgr alerts test`. Nothing is wrong."),
        ]),
        starts_at,
    };
    let key = format!("test-{starts_at}");
    Message::about(alert, AlertStatus::Firing, key)
}

fn row(name: &str, incident: &Incident) -> [String; 6] {
    let alert = &incident.alert;
    let summary = alert.annotations.get("summary").cloned().unwrap_or_default();
    let severity = alert.severity.name().to_owned();
    [
        name.to_owned(),
        severity,
        incidents::state(incident).to_owned(),
        alert.service.clone(),
        rfc3339(alert.starts_at),
        summary,
    ]
}

/// Why each receiver was told, or was not.
fn told(incident: &Incident, group: &Group) -> Vec<String> {
    group.explain(&incident.alert.fingerprint, now())
}

/// The alert, and all that happened to it and to the messages of its group since it is there, in the order of time.
fn description(incident: &Incident, group: Option<&Group>) -> Vec<String> {
    let alert = &incident.alert;
    let labels: Vec<String> = alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut lines = vec![
        format!("alert       {}", alert.fingerprint),
        format!("status      {}", incidents::state(incident)),
        format!("severity    {}", alert.severity),
        format!("rule        {}", alert.rule),
        format!("labels      {}", labels.join(" ")),
        format!("since       {}", rfc3339(alert.starts_at)),
    ];
    lines.extend(incident.ends_at.map(|at| format!("until       {}", rfc3339(at))));
    lines.extend(incident.acknowledged.iter().map(|note| format!("taken care  by {} {}", note.by, note.comment)));
    lines.extend(incident.silenced.iter().map(|silence| {
        let left = Duration::from_millis(silence.until.saturating_sub(now()));
        format!("silenced    for {} by {} {}", duration::format(left), silence.note.by, silence.note.comment)
    }));
    lines.extend((!incident.causes.is_empty()).then(|| {
        let causes: Vec<&str> = incident.causes.iter().map(String::as_str).collect();
        format!("because of  {}", causes.join(", "))
    }));
    lines.extend(alert.annotations.iter().map(|(name, text)| format!("{name:11} {text}")));
    lines.extend(
        group
            .map(|group| told(incident, group))
            .unwrap_or_default()
            .into_iter()
            .map(|why| format!("channel     {why}")),
    );
    lines.push(String::new());
    let began = incident.ledger.entries.front().map_or(0, |first| first.at);
    let messages = group.iter().flat_map(|group| &group.ledger.entries).filter(|entry| entry.at >= began);
    let mut story: Vec<_> = incident.ledger.entries.iter().chain(messages).collect();
    story.sort_by_key(|entry| entry.at);
    lines.extend(story.into_iter().map(|entry| format!("{}  {:12}  {}", rfc3339(entry.at), entry.what, entry.detail)));
    lines
}

pub(super) fn note(args: &NoteArgs) -> Note {
    let cut = |text: &str| text.chars().take(MAX_NOTE).collect();
    let by = if args.by.is_empty() { "somebody" } else { &args.by };
    Note { by: cut(by), comment: cut(&args.comment) }
}

fn signal_options() -> WorkflowSignalOptions {
    WorkflowSignalOptions::default()
}

fn unknown(id: &str, error: &(dyn std::error::Error + 'static)) -> WorkflowError {
    let said = crate::worker::chain(error);
    WorkflowError::Failed(format!("alert {id}: {said}; `dixmgr alerts list` shows which there are"))
}

impl From<IncidentError> for WorkflowError {
    fn from(error: IncidentError) -> Self {
        Self::Failed(format!("{error}; `dixmgr alerts list` shows which there are"))
    }
}
