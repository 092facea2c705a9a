//! Messages for a program: Alertmanager's JSON on its standard input. No shell, a bounded time, and nothing of it stays behind.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use dixmgr_alerting::channel::webhook;
use dixmgr_alerting::message::Message;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::{NotifyError, later};

/// Longest time that a program may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// How much of what it prints is read; the rest is thrown away.
const OUTPUT: u64 = 16 * 1024;
/// How much of that is repeated, in characters.
const SHOWN: usize = 200;
/// What of our environment it gets: secrets may stand in the rest.
const ENVIRONMENT: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// The process group of a program that has not ended: whoever stops waiting for it ends all of it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Runs the program with a message. It has arrived when the program says so by exit status 0.
pub(super) async fn run(
    argv: &[String],
    receiver: &str,
    message: &Message,
    limit: Duration,
) -> Result<String, NotifyError> {
    let body = webhook::body(message, receiver).to_string();
    let mut child = start(argv, &message.key)?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    match tokio::time::timeout(limit, attend(&mut child, body.as_bytes())).await {
        Ok(Ok((status, said))) => {
            // It has ended, and its number may be another's from now on.
            group.0 = None;
            judge(status, &said)
        }
        Ok(Err(error)) => Err(later(format!("the command could not be followed: {error}"))),
        Err(_) => Err(later(format!("the command did not end within {} s", limit.as_secs()))),
    }
}

fn start(argv: &[String], key: &str) -> Result<Child, NotifyError> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(NotifyError::Refused("the channel has no command".to_owned()));
    };
    let kept = ENVIRONMENT.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value)));
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(kept)
        .env("DIXMGR_IDEMPOTENCY_KEY", key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    started.map_err(|error| later(format!("the command cannot be started: {error}")))
}

/// Gives it the message, takes what it prints, and waits for its end.
async fn attend(child: &mut Child, body: &[u8]) -> std::io::Result<(ExitStatus, String)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read it all may know enough.
            let _ = stdin.write_all(body).await;
        }
    };
    let ((), said, errors, status) = tokio::join!(write, read(stdout), read(stderr), child.wait());
    let text = if errors.is_empty() { said } else { errors };
    Ok((status?, String::from_utf8_lossy(&text).into_owned()))
}

/// The beginning of what is printed; the rest is read too, so that nobody waits for a reader.
async fn read(output: Option<impl tokio::io::AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut output) = output {
        let _ = (&mut output).take(OUTPUT).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    }
    kept
}

fn judge(status: ExitStatus, said: &str) -> Result<String, NotifyError> {
    let said: String = said.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    let words = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
    if status.success() { Ok(words) } else { Err(later(words)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Instant;

    use dixmgr_model::{Alert, AlertKind, AlertStatus, Severity};

    use super::*;

    fn message() -> Message {
        let alert = Alert {
            fingerprint: "0123456789abcdef".to_owned(),
            kind: AlertKind::ServiceDown,
            service: "db".to_owned(),
            severity: Severity::Critical,
            rule: "service_down".to_owned(),
            labels: [("service".to_owned(), "db".to_owned())].into(),
            annotations: [("summary".to_owned(), "x".repeat(2_000))].into(),
            starts_at: 0,
        };
        Message::about(alert, AlertStatus::Firing, "key".to_owned())
    }

    fn shell(text: &str) -> Vec<String> {
        ["/bin/sh", "-c", text].map(str::to_owned).to_vec()
    }

    async fn ran(text: &str) -> Result<String, NotifyError> {
        run(&shell(text), "pager", &message(), Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn exit_status_zero_means_that_it_arrived() {
        let said = ran("grep -q '\"receiver\":\"pager\"' && echo paged $DIXMGR_IDEMPOTENCY_KEY").await.unwrap();
        assert_eq!(said, "exit status: 0: paged key");
        let error = ran("cat > /dev/null; echo no signal >&2; exit 3").await.unwrap_err();
        assert_eq!(error.to_string(), "exit status: 3: no signal");
        assert!(matches!(error, NotifyError::Later { .. }));
        assert!(ran("exit 0").await.is_ok(), "who does not read the message may know enough");
        let missing = run(&["/no/such/program".to_owned()], "pager", &message(), TIMEOUT).await.unwrap_err();
        assert!(missing.to_string().contains("cannot be started"), "{missing}");
    }

    #[tokio::test]
    async fn what_it_prints_is_bounded() {
        let said = ran("cat > /dev/null; yes 0123456789 | head -c 3000000").await.unwrap();
        assert!(said.chars().count() <= SHOWN + 20, "{said}");
    }

    #[tokio::test]
    async fn whoever_it_started_ends_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let pids = directory.path().join("pids");
        let begun = Instant::now();
        let argv = shell(&format!("sleep 600 & echo $! > {}; wait", pids.display()));
        let error = run(&argv, "pager", &message(), Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "the command did not end within 1 s");
        let pid = std::fs::read_to_string(&pids).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(begun.elapsed() < Duration::from_secs(10), "its child lives on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
