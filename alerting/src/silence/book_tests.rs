//! What is kept of silences, and for how long.
#![allow(clippy::unwrap_used)]

use dixmgr_model::Matcher;
use proptest::prelude::*;

use super::*;

const DAY: u64 = 24 * 3_600_000;

fn silence(id: &str, starts_at: u64, ends_at: u64) -> Silence {
    let matcher = Matcher { name: "service".into(), value: "db".into(), is_regex: false, is_equal: true };
    Silence { id: id.to_owned(), matchers: vec![matcher], starts_at, ends_at, ..Silence::default() }
}

fn ids(silences: &[Silence]) -> Vec<&str> {
    silences.iter().map(|own| own.id.as_str()).collect()
}

#[test]
fn a_silence_is_kept_for_five_days_after_its_end() {
    let mut book = SilenceBook::default();
    book.put(silence("a", 10, 20), 10).unwrap();
    assert_eq!((ids(&book.current(19)), ids(&book.current(20))), (vec!["a"], vec![]));
    book.prune(20 + 5 * DAY - 1);
    assert_eq!(ids(&book.list()), ["a"]);
    book.prune(20 + 5 * DAY);
    assert_eq!(book.list(), []);
}

#[test]
fn one_that_is_ended_is_over_at_once_and_only_once() {
    let mut book = SilenceBook::default();
    book.put(silence("begun", 10, 100), 10).unwrap();
    book.put(silence("later", 50, 100), 10).unwrap();
    assert!(book.expire("begun", 20) && book.expire("later", 20));
    assert!(!book.expire("begun", 21) && !book.expire("nobody", 21));
    let times: Vec<_> = book.list().iter().map(|own| (own.starts_at, own.ends_at, own.updated_at)).collect();
    assert_eq!(times, [(10, 20, 20), (20, 20, 20)]);
}

#[test]
fn there_is_a_bound_and_what_is_over_makes_room_first() {
    let mut book = SilenceBook::default();
    for index in 0..MAX_SILENCES {
        book.put(silence(&format!("{index:04}"), 10, 100), 10).unwrap();
    }
    assert_eq!(book.put(silence("more", 10, 100), 10), Err(SilenceError::Full));
    assert_eq!(book.put(silence("0007", 10, 200), 10), Ok(()), "another form of one takes no room");
    book.expire("0003", 20);
    book.put(silence("more", 10, 100), 30).unwrap();
    assert!(!ids(&book.list()).contains(&"0003"));
    let long = |id: &str| Silence { comment: "x".repeat(1_000), ..silence(id, 10, 100) };
    let mut book = SilenceBook::default();
    let taken = (0..100_000).take_while(|index: &usize| book.put(long(&index.to_string()), 10).is_ok()).count();
    assert!((500..MAX_SILENCES).contains(&taken), "{taken}");
}

#[test]
fn windows_take_the_place_of_windows() {
    let window = |id: &str, starts_at, ends_at| silence(&format!("maintenance:{id}"), starts_at, ends_at);
    let mut book = SilenceBook::default();
    book.put(silence("own", 10, 1_000), 10).unwrap();
    book.set_maintenance(vec![window("a", 5, 100), window("b", 50, 100), window("c", 60, 100)], 10).unwrap();
    book.expire("maintenance:a", 20);
    book.set_maintenance(vec![window("a", 5, 100), window("c", 70, 100), window("d", 80, 100)], 30).unwrap();
    assert_eq!(ids(&book.current(30)), ["maintenance:c", "maintenance:d", "own"], "a was ended by somebody, b is gone");
    book.set_maintenance(Vec::new(), 75).unwrap();
    assert_eq!(ids(&book.current(75)), ["own"]);
    assert!(ids(&book.list()).contains(&"maintenance:c"), "what was in force is remembered");
}

#[test]
fn what_is_still_the_same_is_changed_and_anything_else_is_new() {
    let old = silence("old", 10_000, 20_000);
    let placed = |wanted: Silence, now| {
        let Placed { silence, expires } = place(Some(&old), wanted, "new".to_owned(), now);
        (silence.id, silence.starts_at, expires)
    };
    assert_eq!(placed(silence("old", 10_500, 99_000), 15_000), ("old".into(), 10_500, None));
    assert_eq!(placed(silence("old", 12_000, 99_000), 5_000), ("old".into(), 12_000, None));
    assert_eq!(placed(silence("old", 12_000, 99_000), 15_000), ("new".into(), 15_000, Some("old".into())));
    assert_eq!(placed(silence("old", 10_000, 99_000), 20_000), ("new".into(), 20_000, None));
    let other = Silence { matchers: Vec::new(), ..old.clone() };
    assert_eq!(placed(other, 15_000), ("new".into(), 15_000, Some("old".into())));
    assert_eq!(place(None, silence("", 30_000, 40_000), "new".into(), 15_000).silence.starts_at, 30_000);
}

proptest! {
    #[test]
    fn whatever_happens_the_book_is_bounded_and_sound(steps in prop::collection::vec((0u8..4, 0u64..30, 1u64..10), 1..200)) {
        let (mut book, mut now) = (SilenceBook::default(), 1_000_u64);
        for (what, number, length) in steps {
            now += number * DAY / 10;
            match what {
                0 => drop(book.put(silence(&number.to_string(), now, now + length * DAY), now)),
                1 => drop(book.expire(&number.to_string(), now)),
                2 => book.set_maintenance(vec![silence(&format!("maintenance:{number}"), now, now + DAY)], now).unwrap(),
                _ => book.prune(now),
            }
            prop_assert!(book.list().len() <= MAX_SILENCES);
            prop_assert!(book.current(now).iter().all(|own| own.ends_at > now));
            let windows = book.current(now).iter().filter(|own| own.is_maintenance() && own.updated_at == now).count();
            prop_assert!(windows <= 1);
        }
    }
}
