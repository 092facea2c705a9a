//! `dixmgr engine backup`: a copy of the file, from the dixmgr that has it, or from the file itself when none is running.
#![allow(clippy::print_stdout, reason = "what was written is the answer")]

use std::path::{Path, PathBuf};

use dixmgr_engine::store::StoreReader;

use super::export::unusable;
use crate::control::{self, BackupDone, BackupRequest};
use crate::data_dir::DataDir;
use crate::error::RunError;
use crate::home::EXEC_DATABASE;

/// Writes a copy of the engine's file to `to`.
///
/// # Errors
/// There is such a file already, it cannot be written, or the engine's file not be read.
pub(super) async fn backup(data_dir: Option<&Path>, to: &Path) -> Result<(), RunError> {
    let to = std::path::absolute(to).map_err(|detail| RunError::File { path: to.to_owned(), detail })?;
    let directory = DataDir::existing(data_dir);
    super::readable(&directory.join(EXEC_DATABASE))?;
    let bytes = match DataDir::open(Some(&directory)) {
        Ok(data) => {
            let reader = StoreReader::open(&data.path().join(EXEC_DATABASE)).map_err(|error| unusable(&error))?;
            reader.copy(&to).map_err(|error| unusable(&error))?
        }
        Err(RunError::Locked { .. }) => from_running(&directory, to.clone()).await?,
        Err(error) => return Err(error),
    };
    println!("{}: {bytes} bytes", to.display());
    Ok(())
}

async fn from_running(directory: &Path, to: PathBuf) -> Result<u64, RunError> {
    match control::ask_for_backup(directory, &BackupRequest { to }).await {
        Ok(BackupDone { bytes }) => Ok(bytes),
        Err(detail) => Err(RunError::EngineFile(format!("the running dixmgr gives no backup: {detail}"))),
    }
}
