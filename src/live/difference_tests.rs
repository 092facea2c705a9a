//! Differences in words.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::OsString;

use super::*;
use crate::cli::{Invocation, parse};
use crate::config::Document;

const TEXT: &str = r#"
[defaults]
interval = "5s"
[[service]]
name = "db"
unit = "db.service"
[[service]]
name = "web"
unit = "web.service"
needs = ["db"]
http = [{ url = "http://localhost/", headers = { Authorization = "s3cret" } }]
[alerts]
group_wait = "10s"
[[alerts.channel]]
name = "ops"
type = "webhook"
url = "https://example.org/s3cret"
[[alerts.rule]]
name = "busy"
signal = "cpu"
threshold = 80
"#;

fn meaning(text: &str) -> Meaning {
    let line = ["dixmgr", "-exec", "-conf", "f"].map(OsString::from);
    let Invocation::Run(request) = parse(line).unwrap() else { panic!("it is a run") };
    let document = Document::parse("f", text.to_owned(), &request.load_options()).unwrap();
    Meaning::of(&request, &document)
}

/// What changes when each of these texts is put in the place of another.
fn difference(steps: &[(&str, &str)]) -> Difference {
    let text = steps.iter().fold(TEXT.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    Difference::between(&meaning(TEXT), &meaning(&text))
}

#[test]
fn what_means_the_same_is_no_difference() {
    let same = difference(&[("[defaults]", "# here\n[defaults]")]);
    assert!(same.is_empty() && same.lines().is_empty());
    assert_eq!(same.summary(), "nothing changed");
}

#[test]
fn services_and_rules_are_counted_and_single_steps_are_told() {
    let more = "[[service]]\nname = \"a\"\nunit = \"a.service\"\n[[service]]\nname = \"b\"\nunit = \"b.service\"\n";
    let found = difference(&[
        ("[alerts]", &format!("{more}[alerts]")),
        ("\"5s\"", "\"10s\""),
        ("threshold = 80", "threshold = 90"),
        ("\"web\"\nunit", "\"site\"\nunit"),
    ]);
    assert_eq!(found.summary(), "3 services added, 1 removed, interval 5s → 10s, 1 threshold changed");
    let lines = found.lines();
    for line in
        ["service a added", "service web removed", "service db: interval 5s → 10s", "rule busy: threshold 80 → 90"]
    {
        assert!(lines.iter().any(|own| own == line), "{line:?} is missing from {lines:?}");
    }
}

#[test]
fn the_same_step_of_several_is_told_once() {
    assert_eq!(difference(&[("\"5s\"", "\"1m\"")]).summary(), "interval of 2 services 5s → 1m");
    let found = difference(&[("needs = [\"db\"]", ""), ("\"10s\"", "\"20s\"")]);
    assert_eq!(found.lines(), ["service web: needs db → none", "alerts: group_wait 10s → 20s"]);
}

#[test]
fn secrets_change_without_being_told() {
    let found = difference(&[("/s3cret", "/s3cret2"), ("Authorization = \"s3cret", "Authorization = \"s3cret3")]);
    assert_eq!(found.lines(), ["service web: http changed", "channel ops: settings changed"]);
    assert_eq!(found.summary(), "http of 1 service changed, 1 channel changed");
}

#[test]
fn a_long_difference_is_cut() {
    let table = |unit: &str, i: usize| format!("[[service]]\nname = \"s{i}\"\nunit = \"{unit}{i}.service\"\n");
    let of = |unit: &str| meaning(&(0..300).map(|i| table(unit, i)).collect::<String>());
    let found = Difference::between(&of("a"), &of("b"));
    assert_eq!(found.summary(), "unit of 300 services changed");
    assert_eq!(found.lines().len(), LINES + 1);
    assert_eq!(found.lines().last().unwrap(), "and 100 more");
}
