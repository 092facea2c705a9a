//! Listings against the meaning of their filters, for random runs and random filters.
#![allow(clippy::unwrap_used)]

use std::{cmp::Reverse, collections::BTreeMap};

use proptest::prelude::*;

use super::{ExecutionRow, Store, StoreError, Timestamp, closed, in_memory, put, run};
use crate::{
    store::{Batch, Group, RunRef, SearchValue, VisibilityHit},
    visibility::{Query, Schema, SearchType},
};

fn schema() -> Schema {
    let attributes = [
        ("Kw", SearchType::Keyword),
        ("Txt", SearchType::Text),
        ("Num", SearchType::Int),
        ("Dbl", SearchType::Double),
        ("Flag", SearchType::Bool),
        ("When", SearchType::Datetime),
        ("Tags", SearchType::KeywordList),
    ];
    Schema::new(attributes.map(|(name, kind)| (name.to_owned(), kind)).into())
}

fn parse(text: &str) -> Query {
    Query::parse(text, &schema()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Every page of a listing, and that each but the last is full.
fn list_all(store: &Store, query: &Query, page_size: usize) -> Vec<VisibilityHit> {
    let mut hits = Vec::new();
    let mut token = Vec::new();
    loop {
        let page = store.list("default", query, page_size, &token).unwrap();
        assert!(page.hits.len() == page_size || page.next_page_token.is_empty());
        hits.extend(page.hits);
        assert!(hits.len() < 100, "the pages go round in circles");
        token = page.next_page_token;
        if token.is_empty() {
            return hits;
        }
    }
}

fn ids(hits: &[VisibilityHit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.workflow_id.as_str()).collect()
}

#[test]
fn open_runs_come_first_then_the_last_closed() {
    let mut store = in_memory();
    let mut elsewhere = run(8);
    elsewhere.namespace = "other".into();
    store.commit(&put([closed(run(1), 50), run(2), closed(run(3), 90), run(4), elsewhere])).unwrap();
    let expected = ["workflow-4", "workflow-2", "workflow-3", "workflow-1"];
    for page_size in 1..6 {
        assert_eq!(ids(&list_all(&store, &Query::default(), page_size)), expected);
    }
}

#[test]
fn runs_that_start_between_two_pages_shift_nothing() {
    let mut store = in_memory();
    store.commit(&put((1..=6).map(run))).unwrap();
    let first = store.list("default", &Query::default(), 3, &[]).unwrap();
    store.commit(&put((7..=9).map(run))).unwrap();
    store.commit(&Batch { delete_executions: vec![run(4).key], ..Batch::default() }).unwrap();
    let second = store.list("default", &Query::default(), 3, &first.next_page_token).unwrap();
    assert_eq!(ids(&first.hits), ["workflow-6", "workflow-5", "workflow-4"]);
    assert_eq!(ids(&second.hits), ["workflow-3", "workflow-2", "workflow-1"]);
    assert!(second.next_page_token.is_empty());
}

#[test]
fn foreign_page_tokens_are_refused() {
    let mut store = in_memory();
    store.commit(&put((1..=6).map(run))).unwrap();
    let token = store.list("default", &Query::default(), 3, &[]).unwrap().next_page_token;
    let by_length = parse("ORDER BY HistoryLength");
    for (query, token) in [(&by_length, &token[..]), (&Query::default(), b"nonsense"), (&Query::default(), &[0; 28])] {
        assert!(matches!(store.list("default", query, 3, token), Err(StoreError::PageToken)));
    }
}

#[test]
fn explicit_orders_hold_across_pages() {
    let mut store = in_memory();
    let rows = (1..=12).map(|n| {
        let mut row = if n % 3 == 0 { run(n) } else { closed(run(n), 100 + n % 5) };
        row.visibility.history_length = n % 4;
        if n % 4 != 1 {
            row.visibility.search_attributes =
                [("Dbl".to_owned(), SearchValue::Double((n % 3) as f64 / 2.0))].into_iter().collect();
        }
        row
    });
    store.commit(&put(rows)).unwrap();

    let duration = |hit: &VisibilityHit| {
        let row = &hit.row;
        row.close_time.map_or(i64::MAX, |close| close.as_nanos() - row.execution_time.as_nanos())
    };
    // Absent while the run is open.
    let length = |hit: &VisibilityHit| hit.row.close_time.map_or(i64::MAX, |_| hit.row.history_length);
    let load = |hit: &VisibilityHit| match hit.row.search_attributes.get("Dbl") {
        Some(SearchValue::Double(load)) => *load,
        _ => f64::INFINITY,
    };
    for page_size in [1, 5, 50] {
        let hits = list_all(&store, &parse("ORDER BY HistoryLength, StartTime"), page_size);
        assert_eq!(hits.len(), 12);
        assert!(hits.is_sorted_by_key(|hit| (length(hit), hit.row.start_time)));
        let hits = list_all(&store, &parse("ORDER BY HistoryLength DESC, ExecutionDuration"), page_size);
        assert_eq!(hits.len(), 12);
        assert!(hits.is_sorted_by_key(|hit| (Reverse(length(hit)), duration(hit))));
        let hits = list_all(&store, &parse("ORDER BY Dbl, CloseTime DESC"), page_size);
        assert_eq!(hits.len(), 12);
        assert!(hits.is_sorted_by(|a, b| load(a) <= load(b)));
    }
}

#[test]
fn a_test_and_its_negation_share_nothing_and_leave_nothing() {
    let mut store = in_memory();
    let rows = (1..=9).map(|n| {
        let mut row = closed(run(n), 100);
        row.visibility.history_length = n % 3;
        row.visibility.workflow_type = ["a", "ab", "b"][usize::try_from(n % 3).unwrap()].into();
        row
    });
    store.commit(&put(rows)).unwrap();
    for test in [
        "HistoryLength = 1",
        "HistoryLength != 1",
        "HistoryLength < 1",
        "HistoryLength <= 1",
        "HistoryLength > 1",
        "HistoryLength >= 1",
        "HistoryLength IN (0, 1)",
        "HistoryLength NOT IN (0, 1)",
        "HistoryLength BETWEEN 1 AND 2",
        "HistoryLength NOT BETWEEN 0 AND 1",
        "WorkflowType STARTS_WITH 'a'",
        "WorkflowType NOT STARTS_WITH 'a'",
    ] {
        let plain = list_all(&store, &parse(test), 50).len();
        let negated = list_all(&store, &parse(&format!("NOT {test}")), 50).len();
        let both = list_all(&store, &parse(&format!("{test} AND NOT {test}")), 50).len();
        assert!(plain > 0 && negated > 0, "{test}: {plain}, {negated}");
        assert_eq!((plain + negated, both), (9, 0), "{test}");
    }
}

#[test]
fn counts_are_grouped_by_status() {
    let mut store = in_memory();
    store.commit(&put([run(1), closed(run(2), 9), closed(run(3), 9), run(4), run(5)])).unwrap();
    let count = |text: &str| {
        let count = store.count("default", &parse(text)).unwrap();
        (count.total, count.groups)
    };
    assert_eq!(count(""), (5, Vec::new()));
    assert_eq!(count("GROUP BY ExecutionStatus"), (5, vec![(Group::Status(1), 3), (Group::Status(2), 2)]));
    assert_eq!(count("StartTime >= '1970-01-01T00:00:04Z' GROUP BY ExecutionStatus"), (2, vec![(Group::Status(1), 2)]));
    assert_eq!(count("WorkflowId = 'nobody' GROUP BY ExecutionStatus"), (0, Vec::new()));
}

#[test]
fn divisions_are_left_out_unless_they_are_asked_for() {
    let mut store = in_memory();
    let mut divided = run(2);
    let division = SearchValue::Keyword("batch".into());
    divided.visibility.search_attributes = [("TemporalNamespaceDivision".to_owned(), division)].into();
    store.commit(&put([run(1), divided])).unwrap();
    let listed = |text: &str| {
        let hits = list_all(&store, &parse(text).outside_of_divisions(), 10);
        ids(&hits).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(listed(""), ["workflow-1"]);
    assert_eq!(listed("WorkflowId STARTS_WITH 'w' OR StartTime > 0"), ["workflow-1"]);
    assert_eq!(listed("TemporalNamespaceDivision = 'batch'"), ["workflow-2"]);
    assert_eq!(listed("NamespaceDivision IS NOT NULL OR TemporalNamespaceDivision IS NULL").len(), 2);
    let query = parse("GROUP BY TemporalNamespaceDivision").outside_of_divisions();
    let groups = vec![(Group::Division(None), 1), (Group::Division(Some("batch".into())), 1)];
    assert_eq!(store.count("default", &query).unwrap().groups, groups);
}

/// Listings that an operator runs all day must not read every run.
#[test]
fn frequent_statements_are_served_by_an_index() {
    let store = in_memory();
    let plan = |sql: &str| {
        let mut statement = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = rusqlite::params_from_iter(vec![1_i64; statement.parameter_count()]);
        let steps = statement.query_map(parameters, |row| row.get::<_, String>(3)).unwrap();
        steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    };
    for (filter, index) in [
        ("", "executions_by_time"),
        ("ExecutionStatus = 'Running'", "executions_by_status"),
        ("WorkflowType = 'A'", "executions_by_type"),
        ("ORDER BY CloseTime DESC, StartTime DESC", "executions_by_time"),
    ] {
        for token in [None, Some(vec![rusqlite::types::Value::Integer(1); 3])] {
            let query = parse(filter).outside_of_divisions();
            let plan = plan(&crate::store::listing::list_sql("default", &query, token.as_deref()));
            assert!(plan.contains(&format!("USING INDEX {index}")), "{filter}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{filter}: {plan}");
        }
    }
    for (filter, access) in [
        ("WorkflowId = 'x'", "executions_by_run (namespace=? AND workflow_id=?"),
        ("WorkflowId = 'x' AND RunId = 'y'", "executions_by_run (namespace=? AND workflow_id=? AND run_id=?"),
        ("CloseTime BETWEEN 1 AND 2", "executions_by_time (namespace=? AND sort_time>? AND sort_time<?"),
        ("StartTime BETWEEN 1 AND 2", "executions_by_start (namespace=? AND start_time>? AND start_time<?"),
        ("ORDER BY StartTime", "executions_by_start (namespace=?"),
        ("Kw = 'x'", "search_attributes_by_value (name=? AND kind=? AND value=?"),
        ("ExecutionStatus = 'Running' AND StartTime > 5", "executions_by_status (namespace=? AND status=?"),
    ] {
        let plan = plan(&crate::store::listing::list_sql("default", &parse(filter).outside_of_divisions(), None));
        assert!(plan.contains(access), "{filter}: {plan}");
    }
    let open = plan(crate::store::read::OPEN_EXECUTIONS);
    assert!(open.contains("USING INDEX executions_open") && !open.contains("TEMP B-TREE"), "{open}");
}

fn attributes() -> impl Strategy<Value = BTreeMap<String, SearchValue>> {
    let word = || prop::sample::select(vec!["a", "b", "ab", "", "ä", "B", "a\0"]).prop_map(str::to_owned);
    let value = |name: &str, values: BoxedStrategy<SearchValue>| {
        let name = name.to_owned();
        prop::option::of(values).prop_map(move |value| value.map(|value| (name.clone(), value)))
    };
    let double =
        prop::sample::select(vec![-1.0, -0.0, 0.0, 0.5, 2.0, 9_007_199_254_740_992.0, f64::NAN, f64::INFINITY]);
    let int = prop::sample::select(vec![-1, 0, 1, 2, 9_007_199_254_740_993, i64::MAX]);
    (
        value("Kw", word().prop_map(SearchValue::Keyword).boxed()),
        value("Txt", "[aAbB .-]{0,6}".prop_map(SearchValue::Text).boxed()),
        // Sometimes a number under the name of a keyword: its type was changed since.
        value(
            "Num",
            prop_oneof![4 => int.prop_map(SearchValue::Int), 1 => word().prop_map(SearchValue::Keyword)].boxed(),
        ),
        value("Dbl", double.prop_map(SearchValue::Double).boxed()),
        value("Flag", any::<bool>().prop_map(SearchValue::Bool).boxed()),
        value("When", (0..4_i64).prop_map(|n| SearchValue::Datetime(Timestamp::from_secs(n))).boxed()),
        value("Tags", prop::collection::vec(word(), 0..3).prop_map(SearchValue::KeywordList).boxed()),
        value("TemporalNamespaceDivision", word().prop_map(SearchValue::Keyword).boxed()),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| [a, b, c, d, e, f, g, h].into_iter().flatten().collect())
}

fn rows() -> impl Strategy<Value = Vec<ExecutionRow>> {
    let shape = (0..4_i64, prop::option::of(0..6_i64), 1..4_i32, 0..4_i64, any::<bool>(), attributes());
    prop::collection::vec(shape, 0..12).prop_map(|shapes| {
        let row = |(n, (start, close, status, length, child, search_attributes)): (
            i64,
            (i64, Option<i64>, i32, i64, bool, _),
        )| {
            let mut row: ExecutionRow = run(n);
            row.workflow_id = ["a", "ab", "b\u{d7ff}", "b\u{e000}"][usize::try_from(start).unwrap()].to_owned();
            row.visibility.start_time = Timestamp::from_secs(start);
            row.visibility.execution_time = Timestamp::from_secs(start);
            row.visibility.close_time = close.map(Timestamp::from_secs);
            row.visibility.status = status;
            row.visibility.history_length = length;
            row.visibility.state_transition_count = length - 1;
            row.visibility.parent = child.then(|| RunRef { workflow_id: "ab".into(), run_id: "p".into() });
            row.visibility.search_attributes = search_attributes;
            row
        };
        (1_i64..).zip(shapes).map(row).collect()
    })
}

fn condition() -> impl Strategy<Value = String> {
    let text_field =
        prop::sample::select(vec!["WorkflowId", "ParentWorkflowId", "RootWorkflowId", "NamespaceDivision", "Kw"]);
    let number_field = prop::sample::select(vec!["HistoryLength", "StateTransitionCount", "Num", "Dbl"]);
    let time_field = prop::sample::select(vec!["StartTime", "CloseTime", "When", "ExecutionDuration"]);
    let comparison = || prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let equality = || prop::sample::select(vec!["=", "!="]);
    let not = || prop::sample::select(vec!["", "NOT "]);
    let text = || prop::sample::select(vec!["'a'", "'b'", "'ab'", "''", "'\u{10ffff}'", "'b\u{d7ff}'", "'ä'"]);
    let number =
        || prop::sample::select(vec!["-1", "0", "1", "1.5", "0.5", "9007199254740993", "9007199254740992.0", "2e0"]);
    let time = || prop::sample::select(vec!["0", "1000000000", "2000000000", "3000000000", "-1000000000"]);
    let any_field = prop::sample::select(vec![
        "WorkflowId",
        "ParentWorkflowId",
        "CloseTime",
        "Kw",
        "Txt",
        "Num",
        "Dbl",
        "Tags",
        "Flag",
        "HistoryLength",
        "RootRunId",
        "TemporalNamespaceDivision",
    ]);
    prop_oneof![
        (text_field.clone(), comparison(), text()).prop_map(|(f, c, t)| format!("{f} {c} {t}")),
        (text_field.clone(), not(), text()).prop_map(|(f, n, t)| format!("{f} {n}STARTS_WITH {t}")),
        (text_field, not(), text(), text()).prop_map(|(f, n, t, u)| format!("{f} {n}IN ({t}, {u})")),
        (number_field.clone(), comparison(), number()).prop_map(|(f, c, t)| format!("{f} {c} {t}")),
        (number_field, not(), number(), number()).prop_map(|(f, n, t, u)| format!("{f} {n}BETWEEN {t} AND {u}")),
        (time_field.clone(), comparison(), time()).prop_map(|(f, c, t)| format!("{f} {c} {t}")),
        (time_field, not(), time(), time()).prop_map(|(f, n, t, u)| format!("{f} {n}BETWEEN {t} AND {u}")),
        (equality(), 1..4_i32).prop_map(|(c, s)| format!("ExecutionStatus {c} {s}")),
        (comparison(), any::<bool>()).prop_map(|(c, b)| format!("Flag {c} {b}")),
        (equality(), text()).prop_map(|(c, t)| format!("Tags {c} {t}")),
        (not(), text(), text()).prop_map(|(n, t, u)| format!("Tags {n}IN ({t}, {u})")),
        (equality(), prop::sample::select(vec!["'a'", "'B x'", "'bb, a'", "'...'"]))
            .prop_map(|(c, t)| format!("Txt {c} {t}")),
        (any_field, not()).prop_map(|(f, n)| format!("{f} IS {n}NULL")),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    condition().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" AND "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|part| format!("NOT ({part})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn listing_and_counting_agree_with_the_meaning_of_the_filter(rows in rows(), filter in filter(), page_size in 1..5_usize, everywhere: bool) {
        let mut store = in_memory();
        store.commit(&put(rows.clone())).unwrap();
        let query = if everywhere { parse(&filter) } else { parse(&filter).outside_of_divisions() };
        let hit = |row: &ExecutionRow| VisibilityHit {
            workflow_id: row.workflow_id.clone(),
            run_id: row.run_id.clone(),
            row: row.visibility.clone(),
        };
        let mut expected: Vec<_> = rows.iter().filter(|row| query.matches(&hit(row))).collect();
        expected.sort_by_key(|row| {
            Reverse((row.visibility.close_time.unwrap_or(Timestamp::MAX), row.visibility.start_time, row.key))
        });
        let expected: Vec<_> = expected.iter().map(|row| row.run_id.as_str()).collect();
        let found = list_all(&store, &query, page_size);
        prop_assert_eq!(found.iter().map(|hit| hit.run_id.as_str()).collect::<Vec<_>>(), expected.clone(), "{}", filter);
        prop_assert_eq!(store.count("default", &query).unwrap().total, i64::try_from(expected.len()).unwrap());
    }
}
