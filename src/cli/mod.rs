//! The command line: from `argv` and the environment to what is to be done.

mod alerts;
mod args;
mod argv;
mod breakers;
mod completion;
mod config;
mod engine;
mod look;
mod man;
mod silences;
mod table;
mod workflow;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use dixmgr_activities::history::{Postgres, PostgresError};
use dixmgr_model::Mode;

pub use alerts::{AlertAction, AlertsArgs, NoteArgs};
pub use args::{CheckArgs, CommandLine, DemoServerArgs, RunArgs, Sub};
pub use breakers::{BreakerAction, BreakersArgs};
pub use completion::{CompletionArgs, Shell, print as print_completion};
pub use config::{ConfigAction, ConfigArgs};
pub use engine::{BackupArgs, EngineArgs, EngineCommand, ExportArgs, FileArgs};
pub use look::{ApiArgs, HistoryArgs, HistoryPlace, ImportHistoryArgs, StatusArgs, StoreArgs, TopArgs, UptimeArgs};
pub use man::{ManArgs, write as write_man};
pub use silences::{SilenceAction, SilencesArgs};
pub use table::flags_table;
pub use workflow::{Action, ChangeArgs, PlaceArgs, Target, WorkflowArgs};

use crate::config::{LoadOptions, ManagerKind};

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run the daemon.
    Run(Box<RunRequest>),
    /// Print the meaning of a configuration.
    Check {
        /// The file.
        conf: PathBuf,
        /// How to read it.
        options: LoadOptions,
    },
    /// Serve Temporal's API from the engine alone.
    Engine(Box<EngineArgs>),
    /// Look into workflows, or act on one.
    Workflow(Box<WorkflowArgs>),
    /// Show how services are.
    Status(Box<StatusArgs>),
    /// Show how services are, live.
    Top(Box<TopArgs>),
    /// Show what happened to a service.
    History(Box<HistoryArgs>),
    /// Show how long services were up.
    Uptime(Box<UptimeArgs>),
    /// Copy a file's history into a database.
    ImportHistory(Box<ImportHistoryArgs>),
    /// Look at alerts, or act on one.
    Alerts(Box<AlertsArgs>),
    /// Look at silences, add one, or end one.
    Silences(Box<SilencesArgs>),
    /// Look at circuit breakers, or close one.
    Breakers(Box<BreakersArgs>),
    /// Show the configuration in force, or change it.
    Config(Box<ConfigArgs>),
    /// Print what a shell needs to complete our command line.
    Completion(CompletionArgs),
    /// Write the manual pages.
    Man(ManArgs),
    /// Serve `/healthz` for the demonstration.
    DemoServer(SocketAddr),
}

/// A run, before the file has had its say.
#[derive(Debug)]
pub struct RunRequest {
    /// The file.
    pub conf: PathBuf,
    /// Watch or exec.
    pub mode: Mode,
    /// All other flags.
    pub args: RunArgs,
}

impl RunRequest {
    /// How the file is to be read.
    pub fn load_options(&self) -> LoadOptions {
        let direct = self.args.process_manager == ManagerKind::Direct;
        LoadOptions {
            mode: self.mode,
            manager: self.args.process_manager,
            resources: self.args.resource_monitoring,
            max_restarts: self.args.process_max_restarts.filter(|_| direct),
        }
    }
}

/// Reads the command line.
///
/// # Errors
/// A usage error, or the text of `-help` or `-version`; clap's error knows its own exit code and stream.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let matches = CommandLine::command().try_get_matches_from(argv::normalise(argv))?;
    let line = CommandLine::from_arg_matches(&matches)?;
    match line.command {
        Some(Sub::Check(check)) => {
            Ok(Invocation::Check { conf: check.conf, options: LoadOptions::of(check.process_manager) })
        }
        Some(Sub::Engine(engine)) => {
            check_secret(engine.api_key.as_deref())?;
            Ok(Invocation::Engine(engine))
        }
        Some(Sub::Workflow(workflow)) => {
            check_secret(workflow.place.api_key.as_deref())?;
            Ok(Invocation::Workflow(workflow))
        }
        Some(Sub::Alerts(alerts)) => {
            check_secret(alerts.place.api_key.as_deref())?;
            if let AlertAction::Backtest { store, .. } = &alerts.action {
                check_store(store)?;
            }
            Ok(Invocation::Alerts(alerts))
        }
        Some(Sub::Status(status)) => {
            check_secret(status.api.token.as_deref())?;
            Ok(Invocation::Status(status))
        }
        Some(Sub::Top(top)) => {
            check_secret(top.api.token.as_deref())?;
            Ok(Invocation::Top(top))
        }
        Some(Sub::History(history)) => {
            check_store(&history.place.store)?;
            Ok(Invocation::History(history))
        }
        Some(Sub::Uptime(uptime)) => {
            check_store(&uptime.place.store)?;
            Ok(Invocation::Uptime(uptime))
        }
        Some(Sub::ImportHistory(import)) => {
            check_store(&import.place.store)?;
            Ok(Invocation::ImportHistory(import))
        }
        Some(Sub::Silences(silences)) => {
            check_secret(silences.place.api_key.as_deref())?;
            Ok(Invocation::Silences(silences))
        }
        Some(Sub::Breakers(breakers)) => {
            check_secret(breakers.api.token.as_deref())?;
            Ok(Invocation::Breakers(breakers))
        }
        Some(Sub::Config(config)) => {
            check_secret(config.api.token.as_deref())?;
            Ok(Invocation::Config(config))
        }
        Some(Sub::Completion(completion)) => Ok(Invocation::Completion(completion)),
        Some(Sub::Man(man)) => Ok(Invocation::Man(man)),
        Some(Sub::DemoServer(demo)) => Ok(Invocation::DemoServer(demo.listen)),
        None => run_request(&matches, line.run).map(|request| Invocation::Run(Box::new(request))),
    }
}

/// Checks that a key is a reference to one. Not by clap's own means: its errors repeat what was written, which may be the key.
fn check_secret(api_key: Option<&str>) -> Result<(), clap::Error> {
    if api_key.is_none_or(dixmgr_activities::secret::is_reference) {
        return Ok(());
    }
    let text = "-api-key or -token is not a reference to a secret; write env:NAME, file:/path or credential:NAME\n";
    Err(CommandLine::command().error(clap::error::ErrorKind::ValueValidation, text))
}

/// Checks what leads to a database, in the same way: it may hold a password.
fn check_store(store: &StoreArgs) -> Result<(), clap::Error> {
    check_postgres(store.health_history_postgres.as_deref(), store.host.as_deref())
}

fn check_postgres(address: Option<&str>, host: Option<&str>) -> Result<(), clap::Error> {
    let wrong = |flag: &str, error: PostgresError| {
        CommandLine::command().error(clap::error::ErrorKind::ValueValidation, format!("{flag}: {error}\n"))
    };
    if let Some(address) = address {
        Postgres::new(address, None).map_err(|error| wrong("-health-history-postgres", error))?;
    }
    host.map_or(Ok(()), Postgres::check_host).map_err(|error| wrong("-host", error))
}

fn run_request(matches: &ArgMatches, args: RunArgs) -> Result<RunRequest, clap::Error> {
    let usage =
        |text: &str| CommandLine::command().error(clap::error::ErrorKind::MissingRequiredArgument, format!("{text}\n"));
    let mode = mode(matches, &args).map_err(usage)?;
    let Some(conf) = args.conf.clone() else {
        return Err(usage("a configuration is required: -conf FILE"));
    };
    check_postgres(args.health_history_postgres.as_deref(), None)?;
    Ok(RunRequest { conf, mode, args })
}

/// Exactly one of `-watch` and `-exec`. What the command line says about them wins over the environment as a whole, so
/// that `-watch` is enough where `DIXMGR_EXEC` is set.
fn mode(matches: &ArgMatches, args: &RunArgs) -> Result<Mode, &'static str> {
    let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let any_typed = typed("watch") && args.watch || typed("exec") && args.exec;
    let counts = |id: &str, set: bool| set && (!any_typed || typed(id));
    match (counts("watch", args.watch), counts("exec", args.exec)) {
        (true, false) => Ok(Mode::Watch),
        (false, true) => Ok(Mode::Exec),
        (true, true) => Err("-watch and -exec exclude each other: -watch only says what would be done, -exec does it"),
        (false, false) => Err("one of -watch (say what would be done) and -exec (do it) is required"),
    }
}
