//! Starts processes, on a thread of its own.
//!
//! The thread lives as long as the manager, because the kernel ties `PR_SET_PDEATHSIG` to the *thread* that started a child:
//! started from a pool's thread, a child would die when the pool shrinks. It also keeps `fork` off the runtime's threads.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::mpsc;
use std::thread;

use dixmgr_model::Command;
use rustix::fs::{Access, access};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::log::Logs;
use super::process::Identity;
use super::record::{Past, Record, Records};
use crate::secret::{self, SecretError};

/// Environment variable that marks a process, and all that it starts, as one run of one unit.
pub const MARK_VARIABLE: &str = "DIXMGR_INVOCATION";

/// What systemd says to dixmgr is not for its children: one that took it up would speak in dixmgr's name.
const NOT_INHERITED: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "CREDENTIALS_DIRECTORY",
];

/// Where programs are looked for when dixmgr has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Program of util-linux that ties a process's life to ours without code that would have to be `unsafe`.
const SETPRIV: &str = "setpriv";

/// Most starts that wait for the thread.
const QUEUE: usize = 16 * 1024;

/// Why a command cannot be started as it stands. An operator must mend it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the command is empty")]
    Empty,
    #[error("working directory {path:?}: {detail}")]
    Directory { path: String, detail: String },
    #[error("{program:?} was not found{}; check the command, or give its full path", searched(.in_path.as_deref()))]
    NotFound { program: String, in_path: Option<String> },
    #[error("{} is not executable; it must be a file that dixmgr may execute", path.display())]
    NotExecutable { path: PathBuf },
    #[error("variable {name:?}: {source}")]
    Secret { name: String, source: SecretError },
    #[error("variable {0:?}: a name must not be empty or hold '=', and neither it nor its value may hold a NUL")]
    Variable(String),
    #[error("{program:?} cannot be executed: {detail}")]
    Exec { program: String, detail: String },
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    /// As long as the command stands as it is, it never will be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The machine is short of something, or a directory is gone. Worth another try.
    #[error("cannot {what}: {source}")]
    System { what: &'static str, source: io::Error },
}

/// A command, checked and with its secrets in place. Not for logs.
struct Prepared {
    program: PathBuf,
    arguments: Vec<String>,
    directory: Option<PathBuf>,
    environment: Vec<(String, SecretString)>,
    tied: bool,
}

/// A process that was just started.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) child: Child,
    pub(super) identity: Identity,
    pub(super) mark: String,
}

type Job = Box<dyn FnOnce() + Send>;

/// The thread that starts processes.
#[derive(Debug)]
pub(super) struct Launcher {
    jobs: mpsc::SyncSender<Job>,
    records: Records,
    logs: Logs,
}

impl Launcher {
    pub(super) fn start(records: Records, logs: Logs) -> io::Result<Self> {
        // A unit has one start under way at most. Beyond this many, callers are told to come back.
        let (jobs, queue) = mpsc::sync_channel::<Job>(QUEUE);
        thread::Builder::new().name("dixmgr-launch".to_owned()).spawn(move || {
            for job in queue {
                job();
            }
        })?;
        Ok(Self { jobs, records, logs })
    }

    /// Starts a unit's command. `past` is the run before, for the record.
    pub(super) async fn launch(
        &self,
        unit: &str,
        command: Command,
        past: Option<Past>,
    ) -> Result<Launched, LaunchError> {
        let (records, logs, unit) = (self.records.clone(), self.logs.clone(), unit.to_owned());
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            let _ = answer.send(launch(&records, &logs, &unit, &command, past));
        });
        let gone =
            || LaunchError::System { what: "start a process", source: io::Error::other("too many are being started") };
        self.jobs.try_send(job).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Log (and its lock), intent, process, record, in this order: see the module above this one.
fn launch(
    records: &Records,
    logs: &Logs,
    unit: &str,
    command: &Command,
    past: Option<Past>,
) -> Result<Launched, LaunchError> {
    let system = |what| move |source| LaunchError::System { what, source };
    let prepared = prepare(command)?;
    let output = logs.open(unit).map_err(system("open the log file"))?;
    let errors = output.try_clone().map_err(system("open the log file"))?;

    let before = records.read(unit);
    let mark = Uuid::new_v4().simple().to_string();
    let intent = Record { before: past, ..records.new_record(mark.clone()) };
    records.write(unit, &intent).map_err(system("write the PID file"))?;

    let mut process = prepared.process(&mark);
    let spawned = process.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            if let Err(error) = records.restore(unit, before.as_ref()) {
                tracing::warn!(unit, %error, "cannot take back the PID file of a process that was not started: {error}");
            }
            return Err(sort(error, &prepared.program));
        }
    };
    // It has not been waited for, so its number is its own even if it has ended already.
    let identity = match Identity::of(child.id()) {
        Ok(identity) => identity,
        Err(error) => {
            // Without its start time nobody could ever tell it from another: it must not live on.
            let _ = child.kill();
            let _ = child.wait();
            return Err(LaunchError::System { what: "read /proc", source: error });
        }
    };
    let record = Record { process: Some(identity), before: None, ..intent };
    if let Err(error) = records.write(unit, &record) {
        // The intent is there, and by its mark the process will be found.
        tracing::warn!(unit, %error, "cannot write the PID file: {error}");
    }
    Ok(Launched { child, identity, mark })
}

/// Checks a command as far as that can be done without running it.
fn prepare(command: &Command) -> Result<Prepared, Refusal> {
    let (name, arguments) = command.argv.split_first().filter(|(name, _)| !name.is_empty()).ok_or(Refusal::Empty)?;
    let directory = command.directory.as_deref().map(check_directory).transpose()?;
    let mut environment = Vec::with_capacity(command.environment.len());
    for (name, value) in &command.environment {
        let value = secret::resolve(value).map_err(|source| Refusal::Secret { name: name.clone(), source })?;
        if name.is_empty() || name.contains(['=', '\0']) || value.expose_secret().contains('\0') {
            return Err(Refusal::Variable(name.clone()));
        }
        environment.push((name.clone(), value));
    }
    let own_path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.expose_secret().to_owned());
    let path = own_path.or_else(|| std::env::var("PATH").ok()).unwrap_or_else(|| DEFAULT_PATH.to_owned());
    let program = find_program(name, directory.as_deref(), &path)?;
    let tied = command.die_with_parent && can_tie(&path);
    Ok(Prepared { program, arguments: arguments.to_vec(), directory, environment, tied })
}

impl Prepared {
    fn process(&self, mark: &str) -> Process {
        let mut process = if self.tied {
            let mut process = Process::new(SETPRIV);
            // KILL, because when it is sent nobody is left to see whether a gentler signal was enough.
            process.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
            process
        } else {
            Process::new(&self.program)
        };
        process.args(&self.arguments);
        for name in NOT_INHERITED {
            process.env_remove(name);
        }
        process.envs(self.environment.iter().map(|(name, value)| (name, value.expose_secret())));
        process.env(MARK_VARIABLE, mark);
        if let Some(directory) = &self.directory {
            process.current_dir(directory);
        }
        process
    }
}

/// Whether a process can be made to die with dixmgr even if dixmgr is killed.
fn can_tie(path: &str) -> bool {
    let found = find_program(SETPRIV, None, path).is_ok();
    if !found {
        tracing::warn!(
            "setpriv (util-linux) was not found: processes with die_with_parent end when dixmgr is stopped, but outlive it when it is killed"
        );
    }
    found
}

fn check_directory(text: &str) -> Result<PathBuf, Refusal> {
    let bad = |detail: String| Refusal::Directory { path: text.to_owned(), detail };
    let metadata = std::fs::metadata(text).map_err(|error| bad(error.to_string()))?;
    if !metadata.is_dir() {
        return Err(bad("it is not a directory".to_owned()));
    }
    // Absolute, so that a relative program is found from it, and not from it twice.
    std::path::absolute(text).map_err(|error| bad(error.to_string()))
}

/// The program's file: by its path when it has one (from the working directory), or from `PATH` as execvp(3) does.
fn find_program(name: &str, directory: Option<&Path>, path: &str) -> Result<PathBuf, Refusal> {
    let at = |candidate: PathBuf| directory.map_or(candidate.clone(), |directory| directory.join(candidate));
    if name.contains('/') {
        let file = at(PathBuf::from(name));
        return match std::fs::metadata(&file) {
            Ok(metadata) if metadata.is_file() && is_executable(&file) => Ok(file),
            Ok(_) => Err(Refusal::NotExecutable { path: file }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Refusal::NotFound { program: file.display().to_string(), in_path: None })
            }
            Err(error) => Err(Refusal::Exec { program: file.display().to_string(), detail: error.to_string() }),
        };
    }
    let candidates = || std::env::split_paths(path).map(|directory| at(directory.join(name)));
    let files = || candidates().filter(|file| file.is_file());
    match (files().find(|file| is_executable(file)), files().next()) {
        (Some(file), _) => Ok(file),
        (None, Some(path)) => Err(Refusal::NotExecutable { path }),
        (None, None) => Err(Refusal::NotFound { program: name.to_owned(), in_path: Some(path.to_owned()) }),
    }
}

fn is_executable(file: &Path) -> bool {
    access(file, Access::EXEC_OK).is_ok()
}

/// What the operator can mend, and what may pass by itself.
fn sort(error: io::Error, program: &Path) -> LaunchError {
    const ENOEXEC: i32 = 8;
    let lasting = matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::ArgumentListTooLong
    ) || error.raw_os_error() == Some(ENOEXEC);
    if lasting {
        let detail = match error.kind() {
            // The file is there: what is not there is the interpreter that it asks for.
            io::ErrorKind::NotFound => "its interpreter (the #! line, or the dynamic linker) was not found".to_owned(),
            _ => error.to_string(),
        };
        return Refusal::Exec { program: program.display().to_string(), detail }.into();
    }
    LaunchError::System { what: "start a process", source: error }
}

fn searched(path: Option<&str>) -> String {
    path.map_or_else(String::new, |path| format!(" in PATH ({path})"))
}
