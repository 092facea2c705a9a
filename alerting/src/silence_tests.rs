//! What a silence is for.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::silence::text::matcher;

fn labels(pairs: &[(&str, &str)]) -> AlertLabels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn silence(matchers: &[&str]) -> Silence {
    let matchers = matchers.iter().map(|text| matcher(text).unwrap()).collect();
    Silence { id: "s".to_owned(), matchers, starts_at: 100, ends_at: 200, ..Silence::default() }
}

fn mutes(matchers: &[&str], own: &[(&str, &str)]) -> bool {
    let alone = matches(&silence(matchers).matchers, &labels(own));
    let all = Silences::from(vec![silence(matchers)]).mutes(&labels(own), 150);
    assert_eq!(alone, all);
    all
}

#[test]
fn all_matchers_have_to_fit() {
    let db = [("service", "db-1"), ("severity", "critical")];
    for (matchers, fits) in [
        (&["service=db-1"][..], true),
        (&["service=db"], false),
        (&["service=db-1", "severity=critical"], true),
        (&["service=db-1", "severity=info"], false),
        (&["service=~\"db-.*\""], true),
        (&["service=~\"db\""], false),
        (&["service=~\"b-1|web\""], false),
        (&["service=~\"web|db-1\""], true),
        (&["service!=db-1"], false),
        (&["service!~\"web.*\""], true),
        (&["team="], true),
        (&["team=\"\"", "service=db-1"], true),
        (&["team!="], false),
        (&["team=~\".*\"", "service=db-1"], true),
        (&["team=~\".+\""], false),
    ] {
        assert_eq!(mutes(matchers, &db), fits, "{matchers:?}");
    }
}

#[test]
fn a_silence_is_in_force_from_its_start_to_its_end() {
    let silences = Silences::from(vec![silence(&["service=db"])]);
    let db = labels(&[("service", "db")]);
    assert_eq!([99, 100, 199, 200].map(|now| silences.mutes(&db, now)), [false, true, true, false]);
    assert_eq!([0, 100, 199, 200].map(|now| silences.wake_at(now)), [Some(100), Some(200), Some(200), None]);
    assert_eq!(silences.muting(&db, 150).map(|own| own.id.as_str()).collect::<Vec<_>>(), ["s"]);
}

#[test]
fn what_is_stored_is_the_silences_themselves() {
    let silences = Silences::from(vec![silence(&["service=~\"db|web\""])]);
    let text = serde_json::to_string(&silences).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Silence>>(&text).unwrap(), [silence(&["service=~\"db|web\""])]);
    let back: Silences = serde_json::from_str(&text).unwrap();
    assert!(back == silences && back.mutes(&labels(&[("service", "web")]), 150));
}

#[test]
fn what_is_no_silence_is_refused() {
    let with = |matchers: Vec<Matcher>| check(&Silence { matchers, ..silence(&[]) }, 0);
    let regex = |value: &str| vec![Matcher { name: "a".into(), value: value.into(), is_regex: true, is_equal: true }];
    assert_eq!(check(&silence(&["service=db"]), 0), Ok(()));
    assert_eq!(with(Vec::new()), Err(SilenceError::Matchers(0)));
    assert_eq!(check(&silence(&["a="]), 0), Err(SilenceError::MatchesAll));
    assert_eq!(with(regex(".*")), Err(SilenceError::MatchesAll));
    assert_eq!(check(&silence(&["a!=x"]), 0), Err(SilenceError::MatchesAll));
    assert!(matches!(with(regex("(")), Err(SilenceError::Pattern { .. })));
    assert!(matches!(with(regex("a)|(b")), Err(SilenceError::Pattern { .. })), "it stays within its brackets");
    assert!(matches!(with(regex("(a{100}){100}")), Err(SilenceError::Pattern { .. })), "it costs too much");
    assert!(matches!(with(regex(&"x".repeat(600))), Err(SilenceError::TooLong { .. })));
    let name = Matcher { name: "a-b".into(), value: "x".into(), is_regex: false, is_equal: true };
    assert!(matches!(with(vec![name]), Err(SilenceError::Label(_))));
    assert_eq!(check(&Silence { ends_at: 100, ..silence(&["a=b"]) }, 0), Err(SilenceError::Backwards));
    assert_eq!(check(&silence(&["a=b"]), 200), Err(SilenceError::Past));
}

proptest! {
    #[test]
    fn a_matcher_and_its_opposite_never_agree(value in "[a-c]{0,3}", pattern in "[a-c.*|]{0,6}") {
        let own = labels(&[("x", &value)]);
        let matcher = |is_equal| Matcher { name: "x".into(), value: pattern.clone(), is_regex: true, is_equal };
        if check_matcher(&matcher(true)).is_ok() {
            prop_assert_ne!(matches(&[matcher(true)], &own), matches(&[matcher(false)], &own));
        }
    }
}
