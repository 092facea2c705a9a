//! `ClusterWorkflow`: keeps a group of equal replicas with a quorum, and replaces them one at a time.
#![allow(missing_docs, reason = "workflow_methods expands every method to an undocumented constant")]

mod group;

use std::collections::{BTreeSet, VecDeque};

use dixmgr_model::{Replicas, ServiceSpec};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::join_all;
use temporalio_sdk::{ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult};

pub use group::{Group, Replica, replica_spec};

use crate::children::{Ensured, WAVE, ensure};
use crate::log;
use crate::messages::{Announce, DependencyReady};
use crate::outbox::{Message, Outbox, send_wave};
use group::{Roll, replica_id, replica_name};

/// Input of [`ClusterWorkflow`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterInput {
    /// The group; its `replicas` say how many.
    pub spec: ServiceSpec,
    /// What an earlier run knew; absent on the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<CarriedCluster>,
    /// Events after which the workflow continues as new even if the server does not suggest it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_limit: Option<u32>,
}

/// What one run hands to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CarriedCluster {
    group: Group,
    #[serde(default)]
    told: Option<bool>,
    #[serde(default)]
    subscribers: BTreeSet<String>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    actions: u64,
}

/// Answer of the query `status` of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// Its name.
    pub service: String,
    /// How many replicas it has.
    pub replicas: usize,
    /// How many of them are ready.
    pub ready_replicas: usize,
    /// Whether the quorum stands.
    pub ready: bool,
    /// The replica whose turn it is in a rolling restart.
    pub rolling: Option<usize>,
    /// Reason of the last decision.
    pub reason: String,
}

#[derive(Debug)]
enum Inbound {
    Rolling,
    Pause,
    Resume,
    UpdateSpec(Box<ServiceSpec>),
    DependencyReady(DependencyReady),
    Announce(Announce),
    StopWatching,
}

/// Keeps a group of replicas.
#[workflow]
#[derive(Debug)]
pub struct ClusterWorkflow {
    spec: ServiceSpec,
    group: Group,
    told: Option<bool>,
    subscribers: BTreeSet<String>,
    reason: String,
    /// Rolling restarts that have ended.
    actions: u64,
    inbox: VecDeque<Inbound>,
    outbox: Outbox,
    /// Whether replicas have to be started (again).
    incomplete: bool,
    history_limit: Option<u32>,
}

#[workflow_methods]
impl ClusterWorkflow {
    /// Takes up the group, afresh or where the last run left it.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: ClusterInput) -> Self {
        let incomplete = input.carried.is_none();
        let carried = input.carried.unwrap_or_else(|| CarriedCluster {
            group: Group::new(replicas(&input.spec)),
            told: None,
            subscribers: BTreeSet::new(),
            reason: "not_observed".to_owned(),
            actions: 0,
        });
        Self {
            spec: input.spec,
            group: carried.group,
            told: carried.told,
            subscribers: carried.subscribers,
            reason: carried.reason,
            actions: carried.actions,
            inbox: VecDeque::new(),
            outbox: Outbox::default(),
            incomplete,
            history_limit: input.history_limit,
        }
    }

    /// Keeps the group until [`Self::stop_watching`].
    ///
    /// # Errors
    /// Only how Temporal spells a new run and a cancellation.
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        loop {
            if ctx.state(|this| this.incomplete) {
                start_replicas(ctx).await;
            }
            let wave = ctx.state_mut(|this| this.outbox.take_wave());
            if !wave.is_empty() {
                deliver(ctx, wave).await;
                continue;
            }
            continue_if_long(ctx)?;
            ctx.wait_condition(|this| !this.inbox.is_empty()).await?;
            while let Some(inbound) = ctx.state_mut(|this| this.inbox.pop_front()) {
                if matches!(inbound, Inbound::StopWatching) {
                    return stop(ctx).await;
                }
                handle(ctx, inbound);
            }
        }
    }

    /// Replaces the replicas one at a time. Sent again, it repeats the current step's word.
    #[signal]
    pub fn rolling_restart(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.inbox.push_back(Inbound::Rolling);
    }

    /// The same as [`Self::rolling_restart`]: a group is never restarted all at once.
    #[signal]
    pub fn restart_now(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.inbox.push_back(Inbound::Rolling);
    }

    /// Pauses every replica.
    #[signal]
    pub fn pause(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.inbox.push_back(Inbound::Pause);
    }

    /// Ends the pause of every replica.
    #[signal]
    pub fn resume(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.inbox.push_back(Inbound::Resume);
    }

    /// Keeps it by another specification.
    #[signal]
    pub fn update_spec(&mut self, _ctx: &mut SyncWorkflowContext<Self>, spec: ServiceSpec) {
        self.inbox.push_back(Inbound::UpdateSpec(Box::new(spec)));
    }

    /// A replica is ready, or no longer.
    #[signal]
    pub fn dependency_ready(&mut self, _ctx: &mut SyncWorkflowContext<Self>, told: DependencyReady) {
        self.inbox.push_back(Inbound::DependencyReady(told));
    }

    /// A dependent wants to hear of the group's readiness, now and whenever it changes.
    #[signal]
    pub fn announce(&mut self, _ctx: &mut SyncWorkflowContext<Self>, announce: Announce) {
        self.inbox.push_back(Inbound::Announce(announce));
    }

    /// Ends the workflow and those of its replicas. The replicas live on.
    #[signal]
    pub fn stop_watching(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.inbox.push_back(Inbound::StopWatching);
    }

    /// Where the group stands.
    #[query]
    pub fn status(&self, _ctx: &WorkflowContextView) -> ClusterStatus {
        ClusterStatus {
            service: self.spec.name.clone(),
            replicas: self.group.len(),
            ready_replicas: self.group.ready_count(),
            ready: self.group.is_ready(),
            rolling: self.group.rolling(),
            reason: self.reason.clone(),
        }
    }
}

type Context = WorkflowContext<ClusterWorkflow>;

impl ClusterInput {
    /// Input of a first run.
    #[must_use]
    pub fn new(spec: ServiceSpec) -> Self {
        Self { spec, carried: None, history_limit: None }
    }
}

fn replicas(spec: &ServiceSpec) -> Replicas {
    spec.replicas.unwrap_or(Replicas { count: 1, quorum: 1 })
}

/// Starts the workflows of all replicas; those that run already are told their specification.
async fn start_replicas(ctx: &Context) {
    ctx.state_mut(|this| this.incomplete = false);
    let specs: Vec<_> = ctx.state(|this| (0..this.group.len()).map(|index| replica_spec(&this.spec, index)).collect());
    for wave in specs.chunks(WAVE) {
        let ensured = join_all(wave.iter().map(|spec| ensure(ctx, spec.clone()))).await;
        for (spec, ensured) in wave.iter().zip(ensured) {
            if ensured == Ensured::Existing {
                let message = Message::UpdateSpec(Box::new(spec.clone()));
                ctx.state_mut(|this| this.outbox.push(&spec.workflow_id, message));
            }
        }
    }
}

/// Sends one wave. A replica that did not get its word is not running: it is started again.
async fn deliver(ctx: &Context, wave: Vec<crate::outbox::Outgoing>) {
    let lost: Vec<_> = send_wave(ctx, wave).await.into_iter().filter(|delivery| !delivery.delivered).collect();
    ctx.state_mut(|this| {
        for delivery in lost {
            let own = (0..this.group.len()).any(|index| replica_id(&this.spec, index) == delivery.to);
            this.incomplete |= own;
            this.subscribers.remove(&delivery.to);
        }
    });
}

fn continue_if_long(ctx: &Context) -> WorkflowResult<()> {
    let limit = ctx.state(|this| this.history_limit);
    let long = limit.is_some_and(|limit| ctx.history_length() >= limit) || ctx.continue_as_new_suggested();
    let quiet = ctx.state(|this| this.inbox.is_empty() && this.outbox.is_empty() && !this.incomplete);
    if long && quiet {
        let input = ctx.state(ClusterWorkflow::carry);
        match ctx.continue_as_new(input, ContinueAsNewOptions::default())? {}
    }
    Ok(())
}

/// Lets the replicas' workflows go, and ends.
async fn stop(ctx: &Context) -> WorkflowResult<()> {
    ctx.state_mut(|this| this.tell_replicas(&Message::StopWatching));
    loop {
        let wave = ctx.state_mut(|this| this.outbox.take_wave());
        if wave.is_empty() {
            return Ok(());
        }
        send_wave(ctx, wave).await;
    }
}

fn handle(ctx: &Context, inbound: Inbound) {
    let lines = ctx.state_mut(|this| this.receive(inbound));
    let service = ctx.state(|this| this.spec.name.clone());
    for (decision, reason, detail) in lines {
        log::decision(ctx, &service, decision, reason, &detail);
    }
}

/// Decision, reason, sentence.
type Line = (&'static str, &'static str, String);

impl ClusterWorkflow {
    fn receive(&mut self, inbound: Inbound) -> Vec<Line> {
        match inbound {
            Inbound::Rolling if !self.group.can_spare_one() => {
                let detail = "cannot be restarted one by one: its quorum needs every replica".to_owned();
                return vec![self.because("refuse", "quorum_needs_all", detail)];
            }
            Inbound::Rolling => self.group.roll(),
            Inbound::Pause => self.tell_replicas(&Message::Pause),
            Inbound::Resume => self.tell_replicas(&Message::Resume),
            Inbound::UpdateSpec(spec) => self.update(*spec),
            Inbound::DependencyReady(told) => {
                let index = (0..self.group.len()).find(|&index| replica_name(&self.spec, index) == told.service);
                if let Some(index) = index {
                    self.group.told(index, &told);
                }
            }
            Inbound::Announce(announce) => {
                if !self.spec.dependents.contains(&announce.workflow_id) {
                    self.subscribers.insert(announce.workflow_id.clone());
                }
                self.tell(announce.workflow_id);
            }
            Inbound::StopWatching => {}
        }
        let roll = self.roll();
        let readiness = self.tell_readiness();
        roll.into_iter().chain(readiness).collect()
    }

    /// Moves a rolling restart on.
    fn roll(&mut self) -> Option<Line> {
        match self.group.advance() {
            Roll::None | Roll::Await(_) => None,
            Roll::Replace(index) => {
                self.outbox.push(replica_id(&self.spec, index), Message::RestartNow);
                Some(self.because("restart", "rolling_restart", format!("replaces replica {index}")))
            }
            Roll::Hold(_) if self.reason == "quorum_would_be_lost" => None,
            Roll::Hold(index) => {
                let detail = format!("does not replace replica {index} now: the quorum would be lost");
                Some(self.because("wait", "quorum_would_be_lost", detail))
            }
            Roll::Finished => {
                self.actions = self.actions.saturating_add(1);
                Some(self.because("wait", "rolling_restart_finished", "has replaced all replicas".to_owned()))
            }
        }
    }

    fn tell_readiness(&mut self) -> Option<Line> {
        let ready = self.group.is_ready();
        if self.told == Some(ready) {
            return None;
        }
        self.told = Some(ready);
        let receivers: Vec<_> = self.spec.dependents.iter().chain(&self.subscribers).cloned().collect();
        for receiver in receivers {
            self.tell(receiver);
        }
        let detail = format!("has {} of {} replicas ready", self.group.ready_count(), self.group.len());
        let reason = if ready { "quorum_reached" } else { "quorum_missing" };
        // Under a rolling restart the reason shown stays that of the restart.
        if self.group.rolling().is_some() {
            return Some(("wait", reason, detail));
        }
        Some(self.because("wait", reason, detail))
    }

    fn tell(&mut self, to: String) {
        if let Some(ready) = self.told {
            let service = self.spec.name.clone();
            self.outbox.push(to, Message::Ready(DependencyReady { service, ready, actions: self.actions }));
        }
    }

    fn update(&mut self, spec: ServiceSpec) {
        if spec == self.spec {
            return;
        }
        let gone = self.group.resize(replicas(&spec));
        for index in gone {
            self.outbox.push(replica_id(&self.spec, index), Message::StopWatching);
        }
        self.spec = spec;
        self.incomplete = true;
        self.told = None;
    }

    fn tell_replicas(&mut self, message: &Message) {
        for index in 0..self.group.len() {
            self.outbox.push(replica_id(&self.spec, index), message.clone());
        }
    }

    fn because(&mut self, decision: &'static str, reason: &'static str, detail: String) -> Line {
        reason.clone_into(&mut self.reason);
        (decision, reason, detail)
    }

    fn carry(&self) -> ClusterInput {
        ClusterInput {
            spec: self.spec.clone(),
            carried: Some(CarriedCluster {
                group: self.group.clone(),
                told: self.told,
                subscribers: self.subscribers.clone(),
                reason: self.reason.clone(),
                actions: self.actions,
            }),
            history_limit: self.history_limit,
        }
    }
}
