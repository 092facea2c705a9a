//! Tells at once when a process ends, whoever's child it is: one thread that waits on the pidfds of all of them.
//!
//! A thread and `epoll`, and not the runtime's own reactor, because tokio registers a foreign descriptor through `unsafe` code
//! only, and this program has none.

use std::collections::HashMap;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::process::{PidfdFlags, pidfd_open};
use tokio::sync::oneshot;

use super::process::{Identity, pid};

/// Token of the pipe whose end tells the thread to end.
const END: u64 = 0;

/// Most deaths taken from the kernel at once.
const BATCH: usize = 64;

/// How often a process is looked at where its pidfd cannot be had (no descriptors left, a kernel before 5.3).
const LOOK: Duration = Duration::from_secs(1);

/// The thread, and what it waits for. It ends with the value.
#[derive(Debug)]
pub(super) struct Deaths {
    waited: Arc<Waited>,
    next: AtomicU64,
    /// Its closing wakes the thread for the last time.
    _end: PipeWriter,
}

#[derive(Debug)]
struct Waited {
    epoll: OwnedFd,
    processes: Mutex<HashMap<u64, Process>>,
}

#[derive(Debug)]
struct Process {
    /// Closing it takes it out of `epoll`.
    _pidfd: OwnedFd,
    ended: oneshot::Sender<()>,
}

/// A process whose end is waited for.
#[derive(Debug)]
pub(super) enum Lifeline {
    /// The kernel says so at once.
    Pidfd(Pidfd),
    /// It is looked at every second.
    Look,
}

/// One entry of [`Waited`]; it goes with the value.
#[derive(Debug)]
pub(super) struct Pidfd {
    waited: Arc<Waited>,
    token: u64,
    ended: oneshot::Receiver<()>,
}

impl Deaths {
    pub(super) fn start() -> io::Result<Self> {
        let waited =
            Arc::new(Waited { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, processes: Mutex::default() });
        let (end, keep) = io::pipe()?;
        epoll::add(&waited.epoll, &end, epoll::EventData::new_u64(END), epoll::EventFlags::IN)?;
        let waiting = Arc::clone(&waited);
        thread::Builder::new().name("dixmgr-deaths".to_owned()).spawn(move || waiting.run(end))?;
        Ok(Self { waited, next: AtomicU64::new(END + 1), _end: keep })
    }

    /// A lifeline to a process that is known to be there, perhaps as a zombie.
    pub(super) fn lifeline(&self, identity: Identity) -> Lifeline {
        self.pidfd(identity).map_or(Lifeline::Look, Lifeline::Pidfd)
    }

    fn pidfd(&self, identity: Identity) -> Option<Pidfd> {
        let pidfd = pidfd_open(pid(identity.pid)?, PidfdFlags::empty()).ok()?;
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, ended) = oneshot::channel();
        // The entry first: the thread may find the process dead before `add` returns.
        let mut processes = self.waited.processes();
        let data = epoll::EventData::new_u64(token);
        epoll::add(&self.waited.epoll, &pidfd, data, epoll::EventFlags::IN).ok()?;
        processes.insert(token, Process { _pidfd: pidfd, ended: sender });
        drop(processes);
        Some(Pidfd { waited: Arc::clone(&self.waited), token, ended })
    }
}

impl Waited {
    fn processes(&self) -> MutexGuard<'_, HashMap<u64, Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: tells of every death once.
    fn run(&self, end: PipeReader) {
        let mut events = Vec::with_capacity(BATCH);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot wait for the ends of processes; looking at them every second instead: {error}");
                    break;
                }
            }
            for event in events.drain(..) {
                let token = event.data.u64();
                if token == END {
                    return drop(end);
                }
                if let Some(process) = self.processes().remove(&token) {
                    // Nobody waiting any more is no fault.
                    let _ = process.ended.send(());
                }
            }
        }
        // Their lifelines find the other end gone.
        self.processes().clear();
    }
}

impl Lifeline {
    /// Returns when the process has ended; it may still be a zombie.
    pub(super) async fn ended(&mut self, identity: Identity) {
        if let Self::Pidfd(pidfd) = self
            && (&mut pidfd.ended).await.is_ok()
        {
            return;
        }
        while identity.is_alive() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Pidfd {
    fn drop(&mut self) {
        self.waited.processes().remove(&self.token);
    }
}
