//! dixmgr's binary: parse, load, run, exit code. Nothing else.
#![allow(clippy::print_stdout, reason = "`dixmgr check` writes its answer to standard output")]

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use dixmgr::cli::{Invocation, RunRequest};
use dixmgr::config::{self, ConfigError, LoadOptions, LogFormat};
use dixmgr::settings::Settings;
use dixmgr::workflow::{self, WorkflowError};
use dixmgr::{breakers, cli, configure, daemon, demo, engine, history, logging, status, top, tree};

/// Something failed while running.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const WRONG: u8 = 2;
/// Longest time that threads of the runtime get to end.
const LAST_THREADS: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    dixmgr_heap::one_arena();
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => {
            // A closed pipe is nothing to tell anyone about.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG));
        }
    };
    let outcome = match invocation {
        Invocation::Check { conf, options } => return check(&conf, &options),
        Invocation::Engine(args) => block_on(engine::run(*args)),
        Invocation::Workflow(args) => return look(workflow::run(&args)),
        Invocation::Alerts(args) => return look(workflow::alerts(&args)),
        Invocation::Status(args) => return look(status::run(&args)),
        Invocation::Top(args) => return look(top::run(&args)),
        Invocation::Breakers(args) => return look(breakers::run(&args)),
        Invocation::Config(args) => return look(configure::run(&args)),
        Invocation::Completion(args) => written(cli::print_completion(&args, std::io::stdout().lock())),
        Invocation::Man(args) => written(cli::write_man(&args)),
        Invocation::History(args) => return look(std::future::ready(history::history(&args))),
        Invocation::Uptime(args) => return look(std::future::ready(history::uptime(&args))),
        Invocation::ImportHistory(args) => return look(std::future::ready(history::import(&args))),
        Invocation::Silences(args) => return look(workflow::silences(&args)),
        Invocation::DemoServer(listen) => demo_server(listen),
        Invocation::Run(request) => run(*request),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<ConfigError>() => report(&error, WRONG),
        Err(error) => report(&error, FAILED),
    }
}

fn report(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("dixmgr: {error:#}");
    ExitCode::from(code)
}

fn check(conf: &Path, options: &LoadOptions) -> ExitCode {
    match config::load(conf, options) {
        Ok(config) => {
            print!("{}{}", tree::draw(&config.plan), tree::alerts(&config.alerts));
            ExitCode::SUCCESS
        }
        Err(error) => report(&error.into(), WRONG),
    }
}

fn run(request: RunRequest) -> anyhow::Result<()> {
    let document = config::Document::read(&request.conf, &request.load_options())?;
    let settings = Settings::resolve(&request, &document.config.settings);
    logging::start(settings.log_format, settings.log_filter.as_deref())?;
    block_on(daemon::run(request, document))?;
    Ok(())
}

fn look(command: impl Future<Output = Result<(), WorkflowError>>) -> ExitCode {
    match block_on(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<WorkflowError>() {
            Some(WorkflowError::ReaderLeft) => ExitCode::SUCCESS,
            Some(WorkflowError::Wrong(_)) => report(&error, WRONG),
            _ => report(&error, FAILED),
        },
    }
}

/// A closed pipe is nothing to tell anyone about.
fn written(outcome: std::io::Result<()>) -> anyhow::Result<()> {
    match outcome {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("cannot write"),
        _ => Ok(()),
    }
}

fn demo_server(listen: SocketAddr) -> anyhow::Result<()> {
    logging::start(Some(LogFormat::Human), None)?;
    block_on(demo::serve(listen)).with_context(|| format!("cannot serve on {listen}"))
}

/// Runs to the end, and lets no thread that is still busy hold the exit up.
fn block_on<T, E>(future: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
where
    E: Into<anyhow::Error>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = runtime.block_on(future);
    runtime.shutdown_timeout(LAST_THREADS);
    outcome.map_err(Into::into)
}
