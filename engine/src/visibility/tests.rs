//! The language, by example. That the store agrees with it is tested beside the store.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{MAX_CONDITIONS, MAX_DEPTH, MAX_QUERY_BYTES, MAX_VALUES, Query, Schema, SearchType};
use crate::{
    clock::Timestamp,
    store::{RunRef, SearchValue, VisibilityHit, VisibilityRow},
};

fn schema() -> Schema {
    let attributes = [
        ("Customer", SearchType::Keyword),
        ("Note", SearchType::Text),
        ("Attempts", SearchType::Int),
        ("Load", SearchType::Double),
        ("Paid", SearchType::Bool),
        ("Due", SearchType::Datetime),
        ("Tags", SearchType::KeywordList),
        ("odd-name", SearchType::Keyword),
        ("Order", SearchType::Keyword),
        ("Missing", SearchType::Int),
        ("MissingTags", SearchType::KeywordList),
    ];
    Schema::new(attributes.map(|(name, kind)| (name.to_owned(), kind)).into())
}

/// A run that closed after 90 seconds.
fn hit() -> VisibilityHit {
    let attributes: [(&str, SearchValue); 9] = [
        ("Customer", SearchValue::Keyword("O'Brien".into())),
        ("Note", SearchValue::Text("Restarted, twice.".into())),
        ("Attempts", SearchValue::Int(3)),
        ("Load", SearchValue::Double(0.5)),
        ("Paid", SearchValue::Bool(true)),
        ("Due", SearchValue::Datetime(Timestamp::from_secs(1_700_000_000))),
        ("Tags", SearchValue::KeywordList(vec!["red".into(), "blue".into()])),
        ("odd-name", SearchValue::Keyword("x".into())),
        ("Order", SearchValue::Keyword("first".into())),
    ];
    let attributes: BTreeMap<_, _> = attributes.map(|(name, value)| (name.to_owned(), value)).into();
    VisibilityHit {
        workflow_id: "wf.node.relay.polkadot".into(),
        run_id: "run-1".into(),
        row: VisibilityRow {
            workflow_type: "NodeWorkflow".into(),
            task_queue: "nodes".into(),
            status: 2,
            start_time: Timestamp::from_secs(1_600_000_000),
            execution_time: Timestamp::from_secs(1_600_000_010),
            close_time: Some(Timestamp::from_secs(1_600_000_100)),
            history_length: 42,
            history_size_bytes: 4_200,
            state_transition_count: 7,
            parent: Some(RunRef { workflow_id: "wf.infra".into(), run_id: "run-0".into() }),
            search_attributes: attributes,
            ..VisibilityRow::default()
        },
    }
}

fn open_hit() -> VisibilityHit {
    let mut hit = hit();
    hit.row.status = 1;
    hit.row.close_time = None;
    hit
}

#[test]
fn filters_hold_where_they_should() {
    for text in [
        "",
        "  ",
        "WorkflowId = 'wf.node.relay.polkadot'",
        r#"WorkflowId = "wf.node.relay.polkadot" and RunId='run-1'"#,
        "`WorkflowType` = 'NodeWorkflow' AND TaskQueue IN ('jobs', 'nodes')",
        "ExecutionStatus = 'Completed'",
        "ExecutionStatus = 2",
        "ExecutionStatus > 'Running'",
        "ExecutionStatus = 'WORKFLOW_EXECUTION_STATUS_COMPLETED'",
        "ExecutionStatus NOT IN ('Running', 'Failed')",
        "StartTime = '2020-09-13T12:26:40Z'",
        "StartTime BETWEEN '2020-09-13T12:26:40Z' AND '2020-09-13T14:26:40+02:00'",
        "CloseTime > 1600000099999999999",
        "CloseTime IS NOT NULL",
        "ExecutionDuration = '90s' AND ExecutionDuration >= '00:01:30' AND ExecutionDuration < '1h'",
        "ExecutionDuration = 90000000000",
        "HistoryLength > 41.5 AND HistoryLength <> 43 AND HistorySizeBytes = 4200 AND StateTransitionCount <= 7",
        "ParentWorkflowId = 'wf.infra' AND RootWorkflowId = 'wf.node.relay.polkadot' AND RootRunId = 'run-1'",
        "WorkflowId STARTS_WITH 'wf.node.' AND WorkflowId NOT STARTS_WITH 'wf.svc'",
        "Customer = 'O''Brien' AND Customer = 'O\\'Brien' AND Customer = \"O'Brien\"",
        "`odd-name` = 'x' AND `Order` = 'first'",
        "Note = 'never restarted' AND Note != 'never'",
        "Attempts BETWEEN 2 AND 3.5 AND Attempts NOT BETWEEN -1 AND +2",
        "Load = .5 AND Load < 5e-1 OR Load >= 0.5",
        "Paid = true AND Paid != FALSE",
        "Due > '2023-11-14T22:13:19.999Z'",
        "Tags = 'red' AND Tags = 'blue' AND Tags IN ('green', 'red') AND Tags != 'green'",
        "MissingTags != 'x' AND MissingTags NOT IN ('x', 'y') AND MissingTags IS NULL",
        "NOT (WorkflowId = 'x' OR NOT Paid = true)",
        "WorkflowId = 'x' AND Paid = false OR Attempts = 3",
        "WorkflowId = 'x' && Paid = false || Attempts = 3;",
        "Paid > false -- what is true is the greater\n AND /* no */ Note != '...'",
        "ScheduleId = 'wf.node.relay.polkadot' AND ScheduledById IS NULL AND TemporalRunId = 'run-1' AND TemporalBuildIds IS NULL",
        "ExecutionStatus != 0 AND ExecutionStatus != 'Unspecified'",
        "ORDER BY StartTime DESC, HistoryLength",
        "Paid = true GROUP BY ExecutionStatus ORDER BY Attempts ASC",
    ] {
        let query = Query::parse(text, &schema()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(query.matches(&hit()), "{text}");
    }
}

#[test]
fn what_is_absent_is_neither_equal_nor_different() {
    for text in [
        "CloseTime < 9000000000000000000",
        "Missing = 1",
        "ExecutionDuration > 0",
        "Missing IN (1, 2)",
        "HistoryLength > 0",
    ] {
        for text in [text.to_owned(), format!("NOT {text}"), format!("NOT NOT ({text})")] {
            assert!(!Query::parse(&text, &schema()).unwrap().matches(&open_hit()), "{text}");
        }
    }
    for text in ["Missing = 1 OR Paid = true", "NOT (Missing = 1 AND Paid = false)", "CloseTime IS NULL"] {
        assert!(Query::parse(text, &schema()).unwrap().matches(&open_hit()), "{text}");
    }
}

#[test]
fn refusals_say_where_and_what_was_expected() {
    for (text, error) in [
        ("Nope = 1", "at position 1: `Nope` is neither a field nor a search attribute of this namespace"),
        ("workflowid = 'x'", "at position 1: `workflowid` is neither a field"),
        ("WorkflowId", "at position 11: expected one of = != < <= > >= IN BETWEEN STARTS_WITH IS NOT, found the end"),
        ("WorkflowId = ", "at position 14: expected a value: a quoted text, a number, true or false, found the end"),
        ("WorkflowId = x", "at position 14: expected a value: a quoted text, a number, true or false, found `x`"),
        ("WorkflowId = 5", "at position 14: WorkflowId takes a quoted text"),
        ("WorkflowId = 'x", "at position 14: the text that begins here has no closing '"),
        ("WorkflowId = 'é' AND RunId = \"", "at position 30: the text that begins here has no closing \""),
        ("WorkflowId IN 'x'", "at position 15: expected `(`, found text 'x'"),
        ("WorkflowId IN ('x'", "at position 19: expected `)`, found the end of the query"),
        ("WorkflowId IN ()", "at position 16: expected a value"),
        ("WorkflowId NOT = 'x'", "at position 16: expected IN, BETWEEN or STARTS_WITH, found `=`"),
        ("WorkflowId IS 5", "at position 15: expected NULL, found number 5"),
        ("(WorkflowId = 'x'", "at position 18: expected `)`, found the end of the query"),
        ("WorkflowId = 'x' WorkflowId", "at position 18: expected AND, OR, GROUP BY, ORDER BY or the end of the query"),
        ("AND", "at position 1: expected a field name, NOT or `(`, found `AND`"),
        ("StartTime = 'yesterday'", "at position 13: StartTime takes a time such as"),
        (
            "StartTime STARTS_WITH '2020'",
            "at position 11: `STARTS_WITH` cannot be used with StartTime, of type Datetime",
        ),
        ("ExecutionStatus = 'Dead'", "at position 19: ExecutionStatus takes a status: 'Running'"),
        ("ExecutionStatus = 99", "at position 19: ExecutionStatus takes a status"),
        ("ExecutionStatus STARTS_WITH 'R'", "at position 17: `STARTS_WITH` cannot be used with ExecutionStatus"),
        ("Tags > 'a'", "at position 6: `>` cannot be used with Tags, of type KeywordList"),
        ("Note IN ('a')", "at position 6: `IN` cannot be used with Note, of type Text"),
        ("Note = ' '", "at position 8: Note takes a text with at least one word"),
        ("Paid = 1", "at position 8: Paid takes true or false"),
        ("Paid = 'true'", "at position 8: Paid takes true or false"),
        ("HistoryLength = '5'", "at position 17: HistoryLength takes a number"),
        ("HistoryLength = 1e999", "at position 17: `1e999` is not a number in range"),
        ("HistoryLength = +inf", "at position 17: `+inf` is not a number in range"),
        ("HistoryLength = 0x10", "at position 17: `0x10` is not a number in range"),
        ("WorkflowId = 'x'; DROP TABLE executions", "at position 19: expected AND, OR, GROUP BY, ORDER BY or the end"),
        ("WorkflowId = 'x' /* why", "at position 18: the comment that begins here does not end"),
        ("Paid BETWEEN false AND true", "at position 6: `BETWEEN` cannot be used with Paid, of type Bool"),
        ("WorkflowId <=> 'x'", "at position 14: expected a value"),
        ("TemporalNope = 1", "at position 1: `TemporalNope` is neither a field"),
        ("TemporalCustomer = 'x'", "at position 1: `TemporalCustomer` is neither a field"),
        ("ORDER BY WorkflowId", "at position 10: ORDER BY takes times and numbers; WorkflowId is of type Keyword"),
        ("ORDER StartTime", "at position 7: expected BY, found `StartTime`"),
        (
            "ORDER BY StartTime, StartTime, StartTime, StartTime, StartTime",
            "at position 54: ORDER BY takes at most 4 fields",
        ),
        ("GROUP BY WorkflowType", "at position 10: GROUP BY takes ExecutionStatus or TemporalNamespaceDivision"),
    ] {
        let found = Query::parse(text, &schema()).unwrap_err().to_string();
        assert!(found.starts_with(&format!("invalid query: {error}")), "{text}\n  {found}");
    }
}

#[test]
fn size_is_bounded_in_every_direction() {
    let repeated = |part: &str, times: usize, joint: &str| vec![part; times].join(joint);
    let condition = "Attempts=1";
    for (fits, exceeds) in [
        (format!("{}{condition}", "NOT ".repeat(MAX_DEPTH - 1)), format!("{}{condition}", "NOT ".repeat(MAX_DEPTH))),
        (repeated(condition, MAX_CONDITIONS, " OR "), repeated(condition, MAX_CONDITIONS + 1, " OR ")),
        (
            format!("Attempts IN ({})", repeated("1", MAX_VALUES, ",")),
            format!("Attempts IN ({})", repeated("1", MAX_VALUES + 1, ",")),
        ),
        (" ".repeat(MAX_QUERY_BYTES), " ".repeat(MAX_QUERY_BYTES + 1)),
    ] {
        assert!(Query::parse(&fits, &schema()).is_ok());
        assert!(Query::parse(&exceeds, &schema()).is_err());
    }
}

#[test]
fn predefined_attributes_need_no_registration_and_keep_their_type() {
    let registered = [("BuildIds".to_owned(), SearchType::Int), ("Mine".to_owned(), SearchType::Bool)];
    let schema = Schema::new(registered.into());
    assert_eq!(schema.search_type("BuildIds"), Some(SearchType::KeywordList));
    assert_eq!(schema.search_type("Mine"), Some(SearchType::Bool));
    assert_eq!(schema.search_type("WorkflowId"), None);
    let query = Query::parse("TemporalChangeVersion = 'x' AND TemporalSchedulePaused = false", &Schema::default());
    assert!(query.is_ok_and(|query| !query.matches(&hit())));
}

#[test]
fn mentioned_fields_are_known() {
    let query = Query::parse("NOT (Paid = true OR Attempts > 1)", &schema()).unwrap();
    assert!(query.mentions("Attempts"));
    assert!(!query.mentions("WorkflowId"));
}

/// Pieces of the language in any order: gets further into the parser than random characters do.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "(",
        ")",
        ",",
        "=",
        "!=",
        "<",
        ">=",
        "AND",
        "OR",
        "NOT",
        "IN",
        "BETWEEN",
        "STARTS_WITH",
        "IS",
        "NULL",
        "GROUP BY",
        "ORDER BY",
        "DESC",
        "||",
        "--",
        "/*",
        "*/",
        "\n",
        ";",
        "WorkflowId",
        "StartTime",
        "ExecutionStatus",
        "ExecutionDuration",
        "Note",
        "Tags",
        "`Order`",
        "'x'",
        "\"\u{1F600}\"",
        "'2020-02-30T25:61:61Z'",
        "'1h-3m'",
        "-5",
        "1.5e3",
        "true",
        "'",
        "`",
        "\\",
        "é",
        "\0",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn no_text_panics(text in prop_oneof![soup(), any::<String>(), "[0-9TZ:.+ -]{0,40}".prop_map(|t| format!("StartTime = '{t}'")),
        "[0-9a-z:.µ-]{0,20}".prop_map(|t| format!("ExecutionDuration = '{t}'"))]) {
        match Query::parse(&text, &schema()) {
            Ok(query) => { query.matches(&hit()); }
            Err(error) => prop_assert!(error.position >= 1 && error.position <= text.chars().count() + 1, "{error}"),
        }
    }
}
