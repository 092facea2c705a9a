//! From a node's answers over time to whether it follows its chain.
//!
//! A node's own word is not enough: one that is cut off says `isSyncing: false` with no peers. The rules, in their order:
//!
//! | verdict | when |
//! |---|---|
//! | unknown | never asked, or the last `failure_threshold` calls went unanswered |
//! | stalled | the best block gained fewer than one block a minute for 3 minutes |
//! | stalled | best − finalized was above 50 for 5 minutes |
//! | syncing | it says so; it has no peers and should; or it is more than 5 blocks behind the highest block it knows of |
//! | synced | none of these |

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use dixmgr_model::{SyncState, SyncStatus};
use serde::{Deserialize, Serialize};

use crate::millis;

/// Time over which the best block's gain is measured.
pub const GAIN_WINDOW: Duration = Duration::from_mins(3);

/// Least gain of the best block, in blocks a minute.
pub const MIN_BLOCKS_PER_MINUTE: u64 = 1;

/// Largest distance from the best to the last finalized block that is nothing to worry about.
pub const MAX_FINALITY_LAG: u64 = 50;

/// How long that distance may be exceeded.
pub const FINALITY_LAG_FOR: Duration = Duration::from_mins(5);

/// How far behind the highest known block a node at the head may be (Substrate's own `MAJOR_SYNC_BLOCKS`).
pub const HEAD_DISTANCE: u64 = 5;

/// Closest spacing of remembered best blocks. Bounds what is remembered to about 30 of them, however often one looks.
const SPACING: Duration = Duration::from_secs(6);

/// What a node said at one look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReading {
    /// `system_health`: it is catching up.
    pub is_syncing: bool,
    /// `system_health`: nodes that it is connected to.
    pub peers: u64,
    /// `system_health`: whether it should be connected to any (a development chain should not).
    pub should_have_peers: bool,
    /// Number of its best block; absent when it did not say.
    pub best: Option<u64>,
    /// Number of the last finalized block.
    pub finalized: Option<u64>,
    /// `system_syncState`: the highest block that it has heard of.
    pub highest: Option<u64>,
}

/// Why a node's synchronisation is judged as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncReason {
    /// The best block hardly moves.
    NoGain {
        /// Blocks gained.
        gained: u64,
        /// In how long.
        within: Duration,
    },
    /// Finality is far behind.
    FinalityLag {
        /// Blocks between best and finalized.
        blocks: u64,
        /// For how long.
        lasted: Duration,
    },
    /// It should have peers and has none.
    NoPeers,
    /// It says that it is catching up, or is far behind the highest block it knows of.
    CatchingUp {
        /// Its best block.
        best: Option<u64>,
        /// The highest that it knows of.
        highest: Option<u64>,
    },
    /// At the head of the chain.
    AtHead {
        /// Its best block.
        best: Option<u64>,
        /// Its peers.
        peers: u64,
    },
}

/// The synchronisation of one run of a node, folded from its answers. Begin anew ([`SyncRule::reset`]) when the node starts
/// anew: blocks that it missed while it was down are not a stall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRule {
    failure_threshold: u32,
    /// Calls unanswered in a row.
    #[serde(default)]
    failures: u32,
    state: SyncState,
    /// Best blocks over time, oldest first; the first is the newest that is at least [`GAIN_WINDOW`] old, if there is one.
    #[serde(default)]
    best: VecDeque<BestBlock>,
    /// Since when finality has been too far behind, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lagging_since_ms: Option<u64>,
}

/// The best block at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct BestBlock {
    at_ms: u64,
    number: u64,
}

impl SyncRule {
    /// A node that was not asked yet. A `failure_threshold` of 0 counts as 1.
    #[must_use]
    pub fn new(failure_threshold: u32) -> Self {
        Self {
            failure_threshold: failure_threshold.max(1),
            failures: 0,
            state: SyncState { status: SyncStatus::Unknown, detail: "not asked yet".to_owned() },
            best: VecDeque::new(),
            lagging_since_ms: None,
        }
    }

    /// Forgets everything: the node has started anew.
    pub fn reset(&mut self) {
        *self = Self::new(self.failure_threshold);
    }

    /// The verdict as of the last look.
    #[must_use]
    pub fn verdict(&self) -> &SyncState {
        &self.state
    }

    /// Takes in an answer that was given at `now`.
    pub fn answered(&mut self, reading: &SyncReading, now: Duration) -> &SyncState {
        self.failures = 0;
        let now_ms = millis(now);
        let no_gain = self.fold_gain(reading, now_ms);
        let finality_lag = self.fold_finality(reading, now_ms);
        let reason = no_gain.or(finality_lag).unwrap_or_else(|| momentary(reading));
        self.state = SyncState { status: reason.status(), detail: crate::detail(&reason.to_string()) };
        &self.state
    }

    /// Takes in that the node gave no usable answer at `now`. The verdict stands until that has happened
    /// `failure_threshold` times in a row.
    pub fn unanswered(&mut self, error: &str) -> &SyncState {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.failure_threshold {
            self.best.clear();
            self.lagging_since_ms = None;
            self.state = SyncState { status: SyncStatus::Unknown, detail: crate::detail(error) };
        }
        &self.state
    }

    /// Remembers the best block; a reason if it gained too little over the window.
    fn fold_gain(&mut self, reading: &SyncReading, now_ms: u64) -> Option<SyncReason> {
        let number = reading.best?;
        // A clock that was set back makes all that is remembered useless.
        if self.best.back().is_some_and(|last| last.at_ms > now_ms) {
            self.best.clear();
        }
        let window = millis(GAIN_WINDOW);
        while self.best.get(1).is_some_and(|second| now_ms - second.at_ms >= window) {
            self.best.pop_front();
        }
        if self.best.back().is_none_or(|last| now_ms - last.at_ms >= millis(SPACING)) {
            self.best.push_back(BestBlock { at_ms: now_ms, number });
        }
        let base = self.best.front()?;
        let elapsed = now_ms - base.at_ms;
        // A best block that fell (a reorganisation) gained nothing.
        let gained = number.saturating_sub(base.number);
        let too_few = u128::from(gained) * 60_000 < u128::from(MIN_BLOCKS_PER_MINUTE) * u128::from(elapsed);
        (elapsed >= window && too_few).then(|| SyncReason::NoGain { gained, within: Duration::from_millis(elapsed) })
    }

    /// Remembers since when finality lags; a reason if that is too long.
    fn fold_finality(&mut self, reading: &SyncReading, now_ms: u64) -> Option<SyncReason> {
        let blocks = reading.best?.saturating_sub(reading.finalized?);
        if blocks <= MAX_FINALITY_LAG {
            self.lagging_since_ms = None;
            return None;
        }
        let since = *self.lagging_since_ms.get_or_insert(now_ms);
        if since > now_ms {
            self.lagging_since_ms = Some(now_ms);
        }
        let lasted = Duration::from_millis(now_ms.saturating_sub(since));
        (lasted >= FINALITY_LAG_FOR).then_some(SyncReason::FinalityLag { blocks, lasted })
    }
}

/// What a reading says by itself, without the past.
fn momentary(reading: &SyncReading) -> SyncReason {
    let SyncReading { is_syncing, peers, should_have_peers, best, highest, .. } = *reading;
    let behind = match (best, highest) {
        (Some(best), Some(highest)) => highest.saturating_sub(best) > HEAD_DISTANCE,
        _ => false,
    };
    if should_have_peers && peers == 0 {
        SyncReason::NoPeers
    } else if is_syncing || behind {
        SyncReason::CatchingUp { best, highest }
    } else {
        SyncReason::AtHead { best, peers }
    }
}

impl SyncReason {
    /// The verdict that this is a reason for.
    #[must_use]
    pub fn status(&self) -> SyncStatus {
        match self {
            Self::NoGain { .. } | Self::FinalityLag { .. } => SyncStatus::Stalled,
            Self::NoPeers | Self::CatchingUp { .. } => SyncStatus::Syncing,
            Self::AtHead { .. } => SyncStatus::Synced,
        }
    }
}

impl fmt::Display for SyncReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let block = |number: &Option<u64>| number.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
        match self {
            Self::NoGain { gained, within } => {
                write!(f, "best block gained {gained} in {}", dixmgr_model::duration::format(*within))
            }
            Self::FinalityLag { blocks, lasted } => {
                let lasted = dixmgr_model::duration::format(*lasted);
                write!(f, "finality {blocks} blocks behind the best for {lasted}")
            }
            Self::NoPeers => f.write_str("no peers"),
            Self::CatchingUp { best, highest } => write!(f, "at block {} of {}", block(best), block(highest)),
            Self::AtHead { best, peers } => write!(f, "at block {} with {peers} peers", block(best)),
        }
    }
}

#[cfg(test)]
#[path = "sync_tests.rs"]
mod tests;
