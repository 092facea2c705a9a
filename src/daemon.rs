//! A run from start to end: take what is ours alone, connect, work, drain.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dixmgr_activities::activities::{Activities, ActivitiesOptions};
use dixmgr_activities::breakers::{CircuitBreakers, GuardedManager};
use dixmgr_activities::disk::Disk;
use dixmgr_activities::history::{History, HistoryOptions};
use dixmgr_activities::http::HttpChecker;
use dixmgr_activities::metrics::Metrics;
use dixmgr_activities::watch::board::Board;
use dixmgr_model::Mode;
use temporalio_client::Client;
use temporalio_common::telemetry::TelemetryOptions;
use temporalio_sdk::runtime::RuntimeOptions;
use temporalio_sdk::{Runtime, WorkerOptions};
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{self, Alerting, Api};
use crate::cli::RunRequest;
use crate::config::Document;
use crate::data_dir::DataDir;
use crate::error::RunError;
use crate::health::{Milestone, Progress};
use crate::home::{Home, Identity};
use crate::http::{self, Pages, Surfaces};
use crate::live::{Author, Beginning, Live, Request, watcher};
use crate::settings::Settings;
use crate::signals::{Signals, hangups};
use crate::units::Units;
use crate::{control, handover, heap, notify, pulse, reclaim, silences, worker};

/// Longest time that a drain gives to what is under way on a cluster; with the rest of the drain it stays below 2 s.
const DRAIN_CLUSTER: Duration = Duration::from_millis(1_500);
/// The same on the embedded engine, which takes activities back by itself when it is opened again.
const DRAIN_EMBEDDED: Duration = Duration::from_millis(300);
/// Longest time for the engine's last commit.
const DRAIN_ENGINE: Duration = Duration::from_millis(800);
/// Waits between two workers when one has ended by itself.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Keeps the services of a configuration until SIGTERM or SIGINT.
///
/// # Errors
/// What kept it from starting, or ended it before its time.
pub async fn run(request: RunRequest, document: Document) -> Result<(), RunError> {
    let (mut signals, hangups) = (Signals::listen()?, hangups()?);
    let mut daemon = Daemon::prepare(request, document).await?;
    daemon.follow_configuration(hangups);
    greet(&daemon);
    let identity = daemon.identity.to_string();
    let outcome = tokio::select! {
        signal = signals.stop() => {
            tracing::info!(signal, "stopping");
            Ok(None)
        }
        connected = daemon.home.connect(&daemon.settings.namespace, &identity) => connected.map(Some),
    };
    let outcome = match outcome {
        Ok(Some(client)) => daemon.work(client, &mut signals).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    daemon.close().await;
    outcome
}

/// Everything that a run owns.
struct Daemon {
    settings: Settings,
    /// The configuration, and whoever may change it.
    live: Live,
    /// Services that the worker has room for.
    room: usize,
    http: HttpChecker,
    /// Keeps other dixmgrs away from the data directory.
    _data: DataDir,
    metrics: Metrics,
    progress: Progress,
    units: Units,
    home: Home,
    identity: Identity,
    client: watch::Sender<Option<Client>>,
    /// What is left alone for a while.
    breakers: CircuitBreakers,
    /// How fast the engine, or the cluster, was lately.
    pulse: watch::Receiver<Option<Duration>>,
    /// How services are now.
    board: Board,
    /// How they were.
    history: Option<History>,
    /// How full the disk of the data directory is, and was.
    disk: Disk,
    /// Tasks beside the worker: the HTTP surface, the watchdog.
    tasks: JoinSet<()>,
}

impl Daemon {
    /// Takes lock and port before anything else, so that a start that cannot succeed leaves no trace.
    async fn prepare(request: RunRequest, document: Document) -> Result<Self, RunError> {
        let settings = Settings::resolve(&request, &document.config.settings);
        let id_prefix = document.config.alerts.policy.id_prefix.clone();
        let data = DataDir::open(settings.data_dir.as_deref())?;
        let listener = match settings.metrics {
            Some(address) => Some(http::bind(address).await?),
            None => None,
        };
        let api_listener = match &settings.api {
            Some(api) => Some(http::bind_api(api.listen).await?),
            None => None,
        };
        let metrics = metrics(&settings)?;
        metrics.watch_disk(data.path().to_owned());
        let disk = Disk::of(data.path(), silences::now());
        let units = Units::open(&settings, &data)?;
        let home = Home::open(&settings, data.path(), &metrics).await?;
        let progress = Progress::default();
        let (client, client_seen) = watch::channel(None);
        let (board, room, http) = (Board::default(), worker::room(&document.config.plan), HttpChecker::new());
        let mut tasks = JoinSet::new();
        if let Some(listener) = listener {
            let (metrics, progress, manager) = (metrics.clone(), progress.clone(), units.manager());
            let (pages, client) = (Pages { metrics, engine: home.engine() }, client_seen.clone());
            tasks.spawn(http::serve(listener, Surfaces { pages, progress, manager, client }));
        }
        let breakers = breakers(&settings, &metrics);
        let history = open_history(&settings, &data, &metrics)?;
        let beginning = Beginning {
            request,
            document,
            room,
            metrics: metrics.clone(),
            http: http.clone(),
            breakers: breakers.clone(),
            history: history.clone(),
        };
        let live = Live::begin(beginning, data.path())?;
        if let (Some(listener), Some(api)) = (api_listener, &settings.api) {
            let reader = history.as_ref().map(History::reader);
            let surface = Api {
                board: board.clone(),
                in_force: live.in_force(),
                live: live.clone(),
                client: client_seen,
                history: reader,
                disk: disk.clone(),
                breakers: breakers.clone(),
                alerting: Arc::new(Alerting { id_prefix, started: silences::now() }),
            };
            tasks.spawn(api::serve(listener, api, surface));
        }
        tasks.spawn(notify::watchdog());
        tasks.spawn(heap::keep_small());
        let (beat, pulse) = watch::channel(None);
        if let Some(engine) = home.engine() {
            tasks.spawn(control::serve(data.path().to_owned(), engine.clone()));
            tasks.spawn(pulse::of_engine(engine, beat));
        } else {
            tasks.spawn(pulse::of_cluster(client.subscribe(), beat));
        }
        let identity = Identity::own();
        Ok(Self {
            settings,
            live,
            room,
            http,
            _data: data,
            metrics,
            progress,
            units,
            home,
            identity,
            client,
            breakers,
            pulse,
            board,
            history,
            disk,
            tasks,
        })
    }

    /// Listens to SIGHUP, and unless `-dynamic-config=false` to the file itself.
    fn follow_configuration(&mut self, hangups: Signal) {
        self.tasks.spawn(reload_on(hangups, self.live.clone()));
        if self.settings.dynamic_config {
            self.tasks.spawn(watcher::run(self.live.clone()));
        }
    }

    /// Works until a signal or an error that trying again does not mend.
    async fn work(&self, client: Client, signals: &mut Signals) -> Result<(), RunError> {
        self.client.send_replace(Some(client.clone()));
        let options = self.worker_options()?;
        let runtime = sdk_runtime(&self.metrics)?;
        if self.home.is_cluster() {
            reclaim::reclaim(&client, &self.settings.task_queue, &self.identity).await;
        }
        let mut beside = JoinSet::new();
        beside.spawn(handover::run(client.clone(), self.settings.clone(), self.live.in_force(), self.progress.clone()));
        self.progress.set(Milestone::Accepting, true);
        let mut wait = FIRST_WAIT;
        loop {
            match self.work_once(&runtime, &client, &options, signals).await {
                Ok(()) => return Ok(()),
                Err(error) if self.home.is_cluster() => {
                    let retry_in = dixmgr_model::duration::format(wait);
                    tracing::warn!(%error, retry_in, "starting another worker: {error}");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                        _ = signals.stop() => return Ok(()),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One worker from its first poll to its drain.
    async fn work_once(
        &self,
        runtime: &Runtime,
        client: &Client,
        options: &WorkerOptions,
        signals: &mut Signals,
    ) -> Result<(), RunError> {
        let mut worker = worker::worker(runtime, client, options)?;
        let shut_down = worker.shutdown_handle();
        let running = worker.run();
        tokio::pin!(running);
        self.progress.set(Milestone::WorkerPolling, true);
        let signal = tokio::select! {
            ended = &mut running => {
                self.progress.set(Milestone::WorkerPolling, false);
                let why = ended.err().map_or("nobody asked it to".to_owned(), |error| worker::chain(&error));
                return Err(RunError::Worker(why));
            }
            signal = signals.stop() => signal,
        };
        tracing::info!(signal, "stopping");
        self.progress.set(Milestone::Accepting, false);
        notify::stopping();
        shut_down();
        let patience = if self.home.is_cluster() { DRAIN_CLUSTER } else { DRAIN_EMBEDDED };
        if tokio::time::timeout(patience, &mut running).await.is_err() {
            tracing::debug!("what is still under way is taken up again by the next dixmgr");
        }
        Ok(())
    }

    fn worker_options(&self) -> Result<WorkerOptions, RunError> {
        let activities = Activities::new(ActivitiesOptions {
            mode: self.settings.mode,
            manager: Arc::new(GuardedManager::new(self.units.manager(), self.breakers.clone())),
            breakers: self.breakers.clone(),
            metrics: self.metrics.clone(),
            in_force: self.live.in_force(),
            http: self.http.clone(),
            board: self.board.clone(),
            history: self.history.clone(),
            disk: self.disk.clone(),
            engine: self.pulse.clone(),
        });
        worker::options(&self.settings.task_queue, self.room, activities, &self.metrics, self.home.is_cluster())
    }

    /// The end, whatever it came from.
    async fn close(mut self) {
        self.progress.set(Milestone::Accepting, false);
        notify::stopping();
        self.tasks.abort_all();
        self.units.drain().await;
        self.client.send_replace(None);
        if let Some(history) = &self.history {
            history.close().await;
        }
        if tokio::time::timeout(DRAIN_ENGINE, self.home.close()).await.is_err() {
            tracing::warn!("the engine is slow to close; what it promised is on disk all the same");
        }
        tracing::info!("stopped");
    }
}

/// The health history. What keeps it from being written may pass and keeps no service from being watched, unless it is another
/// file that has to be chosen.
fn open_history(settings: &Settings, data: &DataDir, metrics: &Metrics) -> Result<Option<History>, RunError> {
    let Some(history) = &settings.history else { return Ok(None) };
    let (place, retention) = (history.place(data.path()), history.retention);
    match History::start(HistoryOptions { place, retention }, metrics) {
        Ok(history) => Ok(Some(history)),
        Err(error) if error.is_a_wrong_choice() => Err(RunError::History(error)),
        Err(error) => {
            tracing::error!(%error, "no health history until dixmgr is started again: {error}");
            Ok(None)
        }
    }
}

/// Circuit breakers, unless they are switched off.
fn breakers(settings: &Settings, metrics: &Metrics) -> CircuitBreakers {
    let on = settings.circuit_breaker.map(|settings| CircuitBreakers::new(settings, metrics.breakers()));
    on.unwrap_or_default()
}

/// Metrics, without those of services: they come with the configuration, and before the first scrape.
fn metrics(settings: &Settings) -> Result<Metrics, RunError> {
    let metrics = Metrics::new(&settings.metrics_namespace)
        .map_err(|error| RunError::Setup { what: "metrics", detail: error.to_string() })?;
    metrics.began(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    Ok(metrics)
}

/// The SDK on the runtime that we are in. What it counts of its own is on our page; it logs nothing by itself.
fn sdk_runtime(metrics: &Metrics) -> Result<Runtime, RunError> {
    let failed = |detail: String| RunError::Setup { what: "the Temporal SDK", detail };
    let telemetry = TelemetryOptions::builder().metrics(metrics.sdk_meter()).attach_service_name(false).build();
    let options = RuntimeOptions::builder().telemetry_options(telemetry).heartbeat_interval(None).build();
    let options = options.map_err(failed)?;
    Runtime::from_current_tokio(options).map_err(|error| failed(error.to_string()))
}

/// Reads the configuration again whenever SIGHUP asks for it.
async fn reload_on(mut hangups: Signal, live: Live) {
    while hangups.recv().await.is_some() {
        let live = live.clone();
        // Either outcome is logged and recorded.
        let reload = move || drop(live.change(Request::reload(Author::local("SIGHUP"))));
        if let Err(error) = tokio::task::spawn_blocking(reload).await {
            tracing::error!(%error, "the configuration could not be read again: {error}");
        }
    }
}

fn greet(daemon: &Daemon) {
    let settings = &daemon.settings;
    let mode = match settings.mode {
        Mode::Exec => "exec: what dies is restarted",
        Mode::Watch => "watch: nothing is touched, only said",
    };
    let (version, services) = (env!("CARGO_PKG_VERSION"), daemon.live.in_force().borrow().plan.services.len());
    tracing::info!(version, mode, services, durability = %daemon.home.name(), "dixmgr starts");
    if let Some(address) = daemon.home.address() {
        tracing::info!(%address, "the embedded engine serves Temporal's API");
    }
    if let Some(address) = settings.metrics {
        tracing::info!(%address, "serving /metrics, /healthz and /readyz");
    }
    if let Some(api) = &settings.api {
        tracing::info!(address = %api.listen, "serving the status page and the API");
    }
}
