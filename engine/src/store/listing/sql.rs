//! From a checked filter to SQL. Values travel as parameters, never as text; what is text here is fixed in this file.
//!
//! Negations are pushed down to the conditions, where each has an opposite. Then a condition that an absent value
//! leaves undecided can be read as false, which lets search attributes be looked up by value.

use rusqlite::types::Value as SqlValue;

use crate::visibility::{
    Comparison, Condition, DIVISION, Expr, Field, GroupBy, OrderBy, SearchType, SystemField, Test, Value,
};

/// A piece of a statement with the parameters that belong to it, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Fragment {
    pub(super) text: String,
    pub(super) params: Vec<SqlValue>,
}

impl Fragment {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), params: Vec::new() }
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(super) fn bind(&mut self, value: SqlValue) -> &mut Self {
        self.params.push(value);
        self.push("?")
    }

    pub(super) fn append(&mut self, other: Self) -> &mut Self {
        self.text.push_str(&other.text);
        self.params.extend(other.params);
        self
    }

    fn bind_all(&mut self, values: impl IntoIterator<Item = SqlValue>) -> &mut Self {
        for (at, value) in values.into_iter().enumerate() {
            self.push(if at == 0 { "" } else { ", " }).bind(value);
        }
        self
    }
}

/// The condition that holds for the rows which `expr` decides to be true.
pub(super) fn filter(expr: &Expr) -> Fragment {
    signed(expr, false)
}

fn signed(expr: &Expr, negated: bool) -> Fragment {
    match expr {
        Expr::Not(inner) => signed(inner, !negated),
        Expr::All(members) => joined(members, negated, if negated { " OR " } else { " AND " }),
        Expr::Any(members) => joined(members, negated, if negated { " AND " } else { " OR " }),
        Expr::Condition(Condition { field, test }) if negated => condition(field, &test.opposite()),
        Expr::Condition(Condition { field, test }) => condition(field, test),
    }
}

fn joined(members: &[Expr], negated: bool, operator: &str) -> Fragment {
    let mut fragment = Fragment::text("(");
    for (at, member) in members.iter().enumerate() {
        fragment.push(if at == 0 { "" } else { operator }).append(signed(member, negated));
    }
    fragment.push(")");
    fragment
}

fn condition(field: &Field, test: &Test) -> Fragment {
    match field {
        Field::System(SystemField::CloseTime) if !matches!(test, Test::Null { .. }) => close_time(test),
        Field::System(field) => scalar(column(*field), test),
        Field::Attribute { name, kind } => attribute(name, *kind, test),
    }
}

fn column(field: SystemField) -> &'static str {
    match field {
        SystemField::WorkflowId => "e.workflow_id",
        SystemField::RunId => "e.run_id",
        SystemField::WorkflowType => "e.workflow_type",
        SystemField::TaskQueue => "e.task_queue",
        SystemField::ExecutionStatus => "e.status",
        SystemField::StartTime => "e.start_time",
        SystemField::ExecutionTime => "e.execution_time",
        SystemField::CloseTime => "e.close_time",
        SystemField::ExecutionDuration => "(e.close_time - e.execution_time)",
        SystemField::HistoryLength => "iif(e.close_time IS NULL, NULL, e.history_length)",
        SystemField::HistorySizeBytes => "iif(e.close_time IS NULL, NULL, e.history_size_bytes)",
        SystemField::StateTransitionCount => "iif(e.close_time IS NULL, NULL, e.state_transition_count)",
        SystemField::ParentWorkflowId => "e.parent_workflow_id",
        SystemField::ParentRunId => "e.parent_run_id",
        SystemField::RootWorkflowId => "coalesce(e.root_workflow_id, e.workflow_id)",
        SystemField::RootRunId => "coalesce(e.root_run_id, e.run_id)",
    }
}

/// By the sort column, which is the close time of closed runs and the one that indexes are over.
fn close_time(test: &Test) -> Fragment {
    let mut fragment = Fragment::text("(e.close_time IS NOT NULL AND ");
    fragment.append(scalar("e.sort_time", test)).push(")");
    fragment
}

/// A test of the single value that `expression` gives, or NULL.
fn scalar(expression: &str, test: &Test) -> Fragment {
    let mut fragment = Fragment::text(format!("({expression} "));
    match test {
        Test::Compare(comparison, value) => {
            fragment.push(comparison.symbol()).push(" ").bind(bound(value));
        }
        Test::OneOf { values, negated } => {
            fragment.push(not(*negated)).push("IN (").bind_all(values.iter().map(bound)).push(")");
        }
        Test::Between { low, high, negated } => {
            fragment.push(not(*negated)).push("BETWEEN ").bind(bound(low)).push(" AND ").bind(bound(high));
        }
        Test::StartsWith { prefix, negated } => return starts_with(expression, prefix, *negated),
        Test::Null { negated } => {
            fragment.push(if *negated { "IS NOT NULL" } else { "IS NULL" });
        }
        Test::Words { words, negated } => {
            let words = words.iter().map(|word| SqlValue::Text(word.clone()));
            fragment.push(not(*negated)).push("IN (").bind_all(words).push(")");
        }
    }
    fragment.push(")");
    fragment
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

/// A range instead of a pattern, so that an index can serve it: texts sort by code point, so those that begin with a
/// prefix lie together.
fn starts_with(expression: &str, prefix: &str, negated: bool) -> Fragment {
    let (from, until, either) = if negated { (" < ", " >= ", " OR ") } else { (" >= ", " < ", " AND ") };
    let mut fragment = Fragment::text(format!("({expression}{from}"));
    fragment.bind(SqlValue::Text(prefix.to_owned()));
    if let Some(end) = past_prefix(prefix) {
        fragment.push(either).push(expression).push(until).bind(SqlValue::Text(end));
    }
    fragment.push(")");
    fragment
}

/// The least text greater than all that begin with `prefix`, if there is one.
fn past_prefix(prefix: &str) -> Option<String> {
    let mut stem = prefix.to_owned();
    while let Some(last) = stem.pop() {
        // Stepping over the gap of the surrogates, which are no characters.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            stem.push(next);
            return Some(stem);
        }
    }
    None
}

/// A test of a search attribute. Sets (words of a text, keywords of a list) are never undecided, single values are when
/// they are absent.
fn attribute(name: &str, kind: SearchType, test: &Test) -> Fragment {
    let is_set = matches!(kind, SearchType::Text | SearchType::KeywordList);
    match test {
        // Hardly any run belongs to a division: those that do are found once, instead of being looked for run by run.
        Test::Null { negated } if name == DIVISION => among_all(name, kind, *negated),
        Test::Null { negated } => presence(name, kind, *negated, None),
        Test::Compare(Comparison::NotEqual, _)
        | Test::Words { negated: true, .. }
        | Test::OneOf { negated: true, .. }
            if is_set =>
        {
            presence(name, kind, false, Some(&test.opposite()))
        }
        _ => found_by_value(name, kind, test),
    }
}

/// Looks the attribute up by run: whether one (`exists`) or none passes `test`.
fn presence(name: &str, kind: SearchType, exists: bool, test: Option<&Test>) -> Fragment {
    let mut fragment = Fragment::text(not(!exists));
    fragment.push("EXISTS (SELECT 1 FROM search_attributes a WHERE a.key = e.key AND ").append(named(name, kind));
    if let Some(test) = test {
        fragment.push(" AND ").append(scalar("a.value", test));
    }
    fragment.push(")");
    fragment
}

/// Whether the run is one of all that have the attribute.
fn among_all(name: &str, kind: SearchType, is: bool) -> Fragment {
    let mut fragment = Fragment::text(format!("e.key {}IN (SELECT a.key FROM search_attributes a WHERE ", not(!is)));
    fragment.append(named(name, kind)).push(")");
    fragment
}

/// Looks the runs up by attribute.
fn found_by_value(name: &str, kind: SearchType, test: &Test) -> Fragment {
    let mut fragment = Fragment::text("e.key IN (SELECT a.key FROM search_attributes a WHERE ");
    fragment.append(named(name, kind)).push(" AND ").append(scalar("a.value", test)).push(")");
    fragment
}

fn named(name: &str, kind: SearchType) -> Fragment {
    let mut fragment = Fragment::text("a.name = ");
    fragment.bind(SqlValue::Text(name.to_owned())).push(" AND a.kind = ");
    fragment.bind(SqlValue::Integer(i64::from(kind.number())));
    fragment
}

fn bound(value: &Value) -> SqlValue {
    match value {
        Value::Text(text) => SqlValue::Text(text.clone()),
        Value::Int(number) => SqlValue::Integer(*number),
        Value::Double(number) => SqlValue::Real(*number),
    }
}

/// One column of the sort order; its values are numbers, never NULL.
#[derive(Clone, Debug)]
pub(super) struct SortColumn {
    pub(super) expression: Fragment,
    descending: bool,
}

impl SortColumn {
    fn new(expression: Fragment, descending: bool) -> Self {
        Self { expression, descending }
    }
}

/// The sort order of a listing, which ends with the key, so that no two runs are equal in it. Without `order_by`: open
/// runs, then those that closed last; among them those that started last.
pub(super) fn sort_columns(order_by: &[OrderBy]) -> Vec<SortColumn> {
    let mut columns: Vec<_> =
        order_by.iter().map(|order| SortColumn::new(sort_expression(&order.field), order.descending)).collect();
    if columns.is_empty() {
        columns = ["e.sort_time", "e.start_time"].map(|column| SortColumn::new(Fragment::text(column), true)).into();
    }
    // In the direction of the last column: an index over the columns then has the keys in this order as well.
    let descending = columns.last().is_none_or(|last| last.descending);
    columns.push(SortColumn::new(Fragment::text("e.key"), descending));
    columns
}

/// What is absent sorts as the largest.
fn sort_expression(field: &Field) -> Fragment {
    match field {
        Field::System(SystemField::CloseTime) => Fragment::text("e.sort_time"),
        Field::System(
            field @ (SystemField::ExecutionDuration
            | SystemField::HistoryLength
            | SystemField::HistorySizeBytes
            | SystemField::StateTransitionCount),
        ) => Fragment::text(format!("coalesce({}, 9223372036854775807)", column(*field))),
        Field::System(field) => Fragment::text(column(*field)),
        Field::Attribute { name, kind } => {
            let mut fragment =
                Fragment::text("coalesce((SELECT a.value FROM search_attributes a WHERE a.key = e.key AND ");
            let absent = if *kind == SearchType::Double { ", 9e999)" } else { ", 9223372036854775807)" };
            fragment.append(named(name, *kind)).push(")").push(absent);
            fragment
        }
    }
}

/// What counts are grouped by, as a column.
pub(super) fn group_column(group_by: GroupBy) -> Fragment {
    match group_by {
        GroupBy::Status => Fragment::text("e.status"),
        GroupBy::Division => {
            let mut fragment = Fragment::text("(SELECT a.value FROM search_attributes a WHERE a.key = e.key AND ");
            fragment.append(named(DIVISION, SearchType::Keyword)).push(")");
            fragment
        }
    }
}

/// The condition for rows that come after `position` in the order of `columns`.
pub(super) fn after(columns: &[SortColumn], position: &[SqlValue]) -> Fragment {
    let is_plain = columns.iter().all(|column| column.expression.params.is_empty());
    if is_plain && columns.iter().all(|column| column.descending) {
        return after_in_rows(columns, "<", position);
    }
    if is_plain && columns.iter().all(|column| !column.descending) {
        return after_in_rows(columns, ">", position);
    }
    // (a past) OR (a equal AND b past) OR …
    let mut fragment = Fragment::text("(");
    for length in 1..=columns.len() {
        fragment.push(if length == 1 { "(" } else { " OR (" });
        for (at, (column, value)) in columns.iter().zip(position).take(length).enumerate() {
            let is_last = at + 1 == length;
            let operator = match (is_last, column.descending) {
                (false, _) => " = ",
                (true, true) => " < ",
                (true, false) => " > ",
            };
            fragment.push(if at == 0 { "" } else { " AND " }).append(column.expression.clone());
            fragment.push(operator).bind(value.clone());
        }
        fragment.push(")");
    }
    fragment.push(")");
    fragment
}

/// The same as a comparison of rows, which an index over the columns can serve.
fn after_in_rows(columns: &[SortColumn], operator: &str, position: &[SqlValue]) -> Fragment {
    let names: Vec<_> = columns.iter().map(|column| column.expression.text.as_str()).collect();
    let mut fragment = Fragment::text(format!("({}) {operator} (", names.join(", ")));
    fragment.bind_all(position.iter().cloned()).push(")");
    fragment
}

pub(super) fn order_by(columns: &[SortColumn]) -> Fragment {
    let mut fragment = Fragment::text(" ORDER BY ");
    for (at, column) in columns.iter().enumerate() {
        fragment.push(if at == 0 { "" } else { ", " }).append(column.expression.clone());
        fragment.push(if column.descending { " DESC" } else { " ASC" });
    }
    fragment
}
