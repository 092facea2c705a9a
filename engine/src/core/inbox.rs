//! The core thread's queue of requests: bounded, and no larger in memory than what waits in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use super::Message;

/// Requests that may wait for the core thread; one more is refused.
const MAX_WAITING: usize = 16_384;

/// Where requests are put.
#[derive(Clone)]
pub(super) struct InboxSender {
    sender: mpsc::Sender<Message>,
    waiting: Arc<AtomicUsize>,
}

/// Where the core thread takes them.
pub(super) struct Inbox {
    receiver: mpsc::Receiver<Message>,
    waiting: Arc<AtomicUsize>,
}

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Too many wait.
    Full,
    /// The core thread has ended.
    Ended,
}

/// An empty inbox.
pub(super) fn inbox() -> (InboxSender, Inbox) {
    let (sender, receiver) = mpsc::channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (InboxSender { sender, waiting: Arc::clone(&waiting) }, Inbox { receiver, waiting })
}

impl InboxSender {
    /// Puts a request in, unless too many wait.
    pub(super) fn offer(&self, message: Message) -> Result<(), Refused> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Full);
        }
        self.sender.send(message).map_err(|_| Refused::Ended)
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Puts a message in that must not be refused.
    pub(super) fn insist(&self, message: Message) -> Result<(), Refused> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.sender.send(message).map_err(|_| Refused::Ended)
    }
}

impl Inbox {
    /// The next message; waits for it, no longer than `wait`.
    pub(super) fn next(&self, wait: Duration) -> Result<Message, RecvTimeoutError> {
        self.receiver.recv_timeout(wait).inspect(|_| self.taken())
    }

    /// The next message, if one is there.
    pub(super) fn try_next(&self) -> Result<Message, TryRecvError> {
        self.receiver.try_recv().inspect(|_| self.taken())
    }

    fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_what_must_get_through_does() {
        let (sender, inbox) = inbox();
        for _ in 0..MAX_WAITING {
            assert_eq!(sender.offer(Message::Wake), Ok(()));
        }
        assert_eq!(sender.offer(Message::Wake), Err(Refused::Full));
        assert_eq!(sender.insist(Message::Wake), Ok(()));
        for _ in 0..2 {
            assert!(inbox.try_next().is_ok());
        }
        assert_eq!(sender.offer(Message::Wake), Ok(()));
        assert_eq!(sender.offer(Message::Wake), Err(Refused::Full));
        drop(inbox);
        assert_eq!(sender.insist(Message::Wake), Err(Refused::Ended));
    }
}
