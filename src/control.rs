//! How commands of the same machine reach the dixmgr that has a data directory: HTTP on a socket in that directory, behind a
//! directory that only its owner can enter. Whoever may read the engine's file may ask here, and nobody else.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use axum::{Json, Router};
use dixmgr_activities::http::client_builder;
use dixmgr_engine::Engine;
use serde::{Deserialize, Serialize};
use temporalio_client::tonic::Code;
use tokio::net::UnixListener;

/// Name of the directory in the data directory, and of the socket in there.
const DIRECTORY: &str = "control";
const SOCKET: &str = "dixmgr.sock";
const BACKUP: &str = "/v1/engine/backup";
/// Longest time for a connection to be taken.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks for a copy of the engine's file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BackupRequest {
    /// New file; an absolute path.
    pub(crate) to: PathBuf,
}

/// A copy that is on the disk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BackupDone {
    pub(crate) bytes: u64,
}

/// Why a command was refused.
#[derive(Debug, Serialize, Deserialize)]
struct Refusal {
    error: String,
}

/// Takes the socket. A stale one is that of a process that has ended: the data directory is ours.
///
/// # Errors
/// It cannot be made, such as for a path that is too long for a socket.
pub(crate) fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    let directory = data_dir.join(DIRECTORY);
    unless(io::ErrorKind::AlreadyExists, DirBuilder::new().mode(0o700).create(&directory))?;
    let socket = directory.join(SOCKET);
    unless(io::ErrorKind::NotFound, fs::remove_file(&socket))?;
    UnixListener::bind(socket)
}

/// The error, unless it is of the kind that does no harm.
fn unless(harmless: io::ErrorKind, done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == harmless { Ok(()) } else { Err(error) })
}

/// Answers commands until the task is dropped. Without a socket the daemon works all the same.
pub(crate) async fn serve(data_dir: PathBuf, engine: Engine) {
    let served = match bind(&data_dir) {
        Ok(listener) => axum::serve(listener, Router::new().route(BACKUP, post(backup)).with_state(engine)).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::warn!(%error, "commands cannot reach this dixmgr, such as `dixmgr engine backup`: {error}");
    }
}

async fn backup(
    State(engine): State<Engine>,
    Json(request): Json<BackupRequest>,
) -> Result<Json<BackupDone>, (StatusCode, Json<Refusal>)> {
    let refused = |code, error| (code, Json(Refusal { error }));
    if !request.to.is_absolute() {
        return Err(refused(StatusCode::BAD_REQUEST, "the path of a backup has to be absolute".to_owned()));
    }
    match engine.backup(request.to.clone()).await {
        Ok(bytes) => {
            tracing::info!(to = %request.to.display(), bytes, "the engine's file is backed up");
            Ok(Json(BackupDone { bytes }))
        }
        Err(status) => {
            tracing::warn!(to = %request.to.display(), "a backup failed: {}", status.message());
            let code = match status.code() {
                Code::AlreadyExists => StatusCode::CONFLICT,
                Code::ResourceExhausted => StatusCode::INSUFFICIENT_STORAGE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            Err(refused(code, status.message().to_owned()))
        }
    }
}

/// Asks the dixmgr that has this data directory for a backup, and waits for it.
///
/// # Errors
/// It cannot be reached, or refuses; in words.
pub(crate) async fn ask_for_backup(data_dir: &Path, request: &BackupRequest) -> Result<BackupDone, String> {
    let socket = data_dir.join(DIRECTORY).join(SOCKET);
    let client = client_builder().unix_socket(socket).connect_timeout(CONNECT_TIMEOUT).build();
    let asked = serde_json::to_vec(request).map_err(|error| error.to_string())?;
    let asked = async {
        let client = client?;
        let answer = client
            .post(format!("http://dixmgr{BACKUP}"))
            .header(CONTENT_TYPE, "application/json")
            .body(asked)
            .send()
            .await?;
        let refused = !answer.status().is_success();
        Ok((refused, answer.bytes().await?))
    };
    let (refused, body) = asked.await.map_err(|error: reqwest::Error| crate::worker::chain(&error))?;
    let garbled = |error: serde_json::Error| format!("it answers something else than was asked: {error}");
    if refused {
        return Err(serde_json::from_slice::<Refusal>(&body).map_err(garbled)?.error);
    }
    serde_json::from_slice(&body).map_err(garbled)
}
