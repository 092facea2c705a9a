//! `dixmgr engine`: the durable engine alone, and what looks after its file.

mod backup;
mod check;
mod export;
mod serve;

use std::path::{Path, PathBuf};

pub use serve::{EngineSettings, TimeSkipping};

use crate::cli::{EngineArgs, EngineCommand, FileArgs};
use crate::data_dir::DataDir;
use crate::error::RunError;
use crate::home::EXEC_DATABASE;
use crate::logging;

/// Does what the command line asks of the engine.
///
/// # Errors
/// What it failed of, each with what to do about it.
pub async fn run(mut args: EngineArgs) -> Result<(), RunError> {
    let command = args.command.take();
    match command {
        None => {
            logging::start(args.log_format, None)?;
            serve::serve(args.settings()).await
        }
        Some(EngineCommand::Check(args)) => check::check(&file(&args)?),
        Some(EngineCommand::Export(args)) => export::export(&file(&args.from)?, &args.to, args.namespace.as_deref()),
        Some(EngineCommand::Backup(args)) => backup::backup(args.data_dir.as_deref(), &args.to).await,
    }
}

/// The database that is meant.
fn file(args: &FileArgs) -> Result<PathBuf, RunError> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => DataDir::existing(args.data_dir.as_deref()).join(EXEC_DATABASE),
    };
    readable(&file)?;
    Ok(file)
}

fn readable(file: &Path) -> Result<(), RunError> {
    std::fs::File::open(file).map(drop).map_err(|detail| RunError::File { path: file.to_owned(), detail })
}
