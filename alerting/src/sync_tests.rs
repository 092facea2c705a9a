//! The sync rules, at their edges and over random pasts.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const T: Duration = Duration::from_secs(1_700_000_000);

fn secs(seconds: u64) -> Duration {
    T + Duration::from_secs(seconds)
}

fn reading(best: u64) -> SyncReading {
    SyncReading {
        is_syncing: false,
        peers: 12,
        should_have_peers: true,
        best: Some(best),
        finalized: Some(best.saturating_sub(3)),
        highest: Some(best),
    }
}

#[test]
fn a_node_at_the_head_with_peers_is_synced_at_once() {
    let mut rule = SyncRule::new(3);
    assert_eq!(rule.verdict().status, SyncStatus::Unknown);
    assert_eq!(rule.answered(&reading(100), T).status, SyncStatus::Synced);
}

#[test]
fn a_cut_off_node_is_not_synced_whatever_it_says() {
    let mut rule = SyncRule::new(3);
    let cut_off = SyncReading { peers: 0, ..reading(100) };
    let state = rule.answered(&cut_off, T);
    assert_eq!((state.status, state.detail.as_str()), (SyncStatus::Syncing, "no peers"));
    let alone = SyncReading { should_have_peers: false, ..cut_off };
    assert_eq!(rule.answered(&alone, secs(1)).status, SyncStatus::Synced);
}

#[test]
fn a_node_far_behind_what_it_knows_of_is_syncing() {
    let mut rule = SyncRule::new(3);
    for (highest, status) in [(105, SyncStatus::Synced), (106, SyncStatus::Syncing)] {
        let reading = SyncReading { highest: Some(highest), ..reading(100) };
        assert_eq!(rule.answered(&reading, T).status, status);
    }
    assert_eq!(rule.answered(&SyncReading { is_syncing: true, ..reading(100) }, T).status, SyncStatus::Syncing);
}

#[test]
fn too_little_gain_for_three_minutes_is_a_stall_and_not_before() {
    let mut rule = SyncRule::new(3);
    for at in (0..180).step_by(30) {
        assert_eq!(rule.answered(&reading(100 + at / 90), secs(at)).status, SyncStatus::Synced, "after {at} s");
    }
    // Two blocks in three minutes are too few, three are enough.
    let mut enough = rule.clone();
    let state = rule.answered(&reading(102), secs(180));
    assert_eq!((state.status, state.detail.as_str()), (SyncStatus::Stalled, "best block gained 2 in 3m"));
    assert_eq!(enough.answered(&reading(103), secs(180)).status, SyncStatus::Synced);
    // It moves again: no longer stalled.
    assert_eq!(rule.answered(&reading(110), secs(210)).status, SyncStatus::Synced);
}

#[test]
fn a_stall_is_seen_however_rarely_one_looks() {
    let mut rule = SyncRule::new(3);
    rule.answered(&reading(100), T);
    assert_eq!(rule.answered(&reading(101), secs(3600)).status, SyncStatus::Stalled);
    assert_eq!(rule.answered(&reading(161), secs(7200)).status, SyncStatus::Synced);
}

#[test]
fn finality_far_behind_for_five_minutes_is_a_stall_and_not_before() {
    let mut rule = SyncRule::new(3);
    let lagging = |at: u64, lag: u64| SyncReading { finalized: Some(1000 + at - lag), ..reading(1000 + at) };
    for at in (0..300).step_by(30) {
        assert_eq!(rule.answered(&lagging(at, 51), secs(at)).status, SyncStatus::Synced, "after {at} s");
    }
    assert_eq!(rule.answered(&lagging(300, 51), secs(300)).status, SyncStatus::Stalled);
    // Fifty is allowed, and ends it; the five minutes then begin anew.
    assert_eq!(rule.answered(&lagging(330, 50), secs(330)).status, SyncStatus::Synced);
    assert_eq!(rule.answered(&lagging(360, 51), secs(360)).status, SyncStatus::Synced);
    assert_eq!(rule.answered(&lagging(630, 51), secs(630)).status, SyncStatus::Synced);
    assert_eq!(rule.answered(&lagging(660, 51), secs(660)).status, SyncStatus::Stalled);
}

#[test]
fn silence_is_unknown_only_after_the_threshold_and_forgets_the_past() {
    let mut rule = SyncRule::new(2);
    rule.answered(&reading(100), T);
    assert_eq!(rule.unanswered("refused").status, SyncStatus::Synced);
    let state = rule.unanswered("refused");
    assert_eq!((state.status, state.detail.as_str()), (SyncStatus::Unknown, "refused"));
    // Back after an hour with hardly a block more: it was down, it did not stall.
    assert_eq!(rule.answered(&reading(101), secs(3600)).status, SyncStatus::Synced);
}

#[test]
fn a_node_that_says_no_numbers_is_judged_by_the_rest() {
    let mut rule = SyncRule::new(1);
    let silent = SyncReading { best: None, finalized: None, highest: None, ..reading(0) };
    for at in [0, 200, 400, 10_000] {
        assert_eq!(rule.answered(&silent, secs(at)).status, SyncStatus::Synced);
    }
}

#[test]
fn a_clock_that_is_set_back_causes_no_stall_and_no_panic() {
    let mut rule = SyncRule::new(1);
    rule.answered(&SyncReading { finalized: Some(0), ..reading(1000) }, secs(10_000));
    let state = rule.answered(&SyncReading { finalized: Some(0), ..reading(1000) }, T);
    assert_eq!(state.status, SyncStatus::Synced);
}

fn any_reading() -> impl Strategy<Value = SyncReading> {
    let number = || prop::option::weighted(0.9, prop_oneof![0..200u64, any::<u64>()]);
    (any::<bool>(), 0..3u64, any::<bool>(), number(), number(), number()).prop_map(
        |(is_syncing, peers, should_have_peers, best, finalized, highest)| SyncReading {
            is_syncing,
            peers,
            should_have_peers,
            best,
            finalized,
            highest,
        },
    )
}

proptest! {
    /// Synced only when the node says so and has the peers that it should have; memory stays bounded; a heartbeat
    /// between any two looks changes nothing.
    #[test]
    fn synced_is_earned_at_every_look(looks in prop::collection::vec((prop::option::of(any_reading()), 0..400_000u64), 0..120)) {
        let mut rule = SyncRule::new(2);
        let mut now = T;
        for (reading, wait) in looks {
            now += Duration::from_millis(wait);
            let mut resumed: SyncRule = serde_json::from_str(&serde_json::to_string(&rule).unwrap()).unwrap();
            if let Some(reading) = reading {
                let status = rule.answered(&reading, now).status;
                resumed.answered(&reading, now);
                prop_assert_ne!(status, SyncStatus::Unknown);
                if status == SyncStatus::Synced {
                    prop_assert!(!reading.is_syncing && (reading.peers > 0 || !reading.should_have_peers));
                }
            } else {
                rule.unanswered("no answer");
                resumed.unanswered("no answer");
            }
            prop_assert_eq!(&rule, &resumed);
            prop_assert!(rule.best.len() <= 33, "{} best blocks remembered", rule.best.len());
        }
    }

    /// A node that makes at least a block a minute, looked at every `interval`, never counts as stalled; one that makes none
    /// does after three minutes and one interval (and the spacing), and never before three minutes.
    #[test]
    fn stalls_are_neither_invented_nor_missed(interval in 1..120u64, block_every in 1..=60u64, start in 0..1_000_000u64) {
        let mut healthy = SyncRule::new(1);
        let mut dead = SyncRule::new(1);
        for look in 0..600 {
            let at = look * interval;
            // Blocks come at fixed times; over a window of w seconds there are at least floor(w / block_every) of them,
            // which may be one too few at the rate of exactly one a minute: so one a minute and a bit more.
            let number = start + at / block_every.min(45);
            prop_assert_ne!(healthy.answered(&reading(number), secs(at)).status, SyncStatus::Stalled);
            let status = dead.answered(&reading(start), secs(at)).status;
            if at < 180 {
                prop_assert_ne!(status, SyncStatus::Stalled, "after {} s", at);
            }
            if at >= 180 + interval + 6 {
                prop_assert_eq!(status, SyncStatus::Stalled, "after {} s", at);
            }
        }
    }
}
