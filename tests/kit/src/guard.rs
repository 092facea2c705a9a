//! A process that ends with the test, however the test ends.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Runs a program and kills it when its own standard input closes: that happens when we drop it, and when we are killed.
const SCRIPT: &str = "\"$@\" </dev/null >&3 2>&1 3>&- & child=$!; echo $child; \
                      read -r _; kill -KILL $child 2>/dev/null; wait $child";

/// A running process. Dropping it kills it with SIGKILL and waits for its end.
#[derive(Debug)]
pub(crate) struct Guarded {
    shell: Child,
    pid: u32,
}

impl Guarded {
    /// Starts `arguments`, the program first; what it prints goes to `log`.
    pub(crate) fn spawn<S: AsRef<OsStr>>(arguments: &[S], log: File) -> io::Result<Self> {
        let script = format!("exec 3>&2; {SCRIPT}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh"]).args(arguments);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()?;
        Self::adopt(shell)
    }

    /// Takes over a shell that prints the pid of the process it guards, and ends it when standard input closes.
    pub(crate) fn adopt(mut shell: Child) -> io::Result<Self> {
        let mut line = String::new();
        let output = shell.stdout.take().ok_or(io::ErrorKind::InvalidInput)?;
        BufReader::new(output).read_line(&mut line)?;
        let pid = line.trim().parse().map_err(|_| io::Error::other("the guarding shell printed no pid"))?;
        Ok(Self { shell, pid })
    }

    /// The guarded process, not its guard.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Closes standard input first, which is what the shell waits for.
        let _ = self.shell.wait();
    }
}
