//! What a filter means, said without a database: the yardstick that the store's answers are tested against.

use std::{cmp::Ordering, collections::BTreeSet};

use super::{
    Field, SearchType, SystemField,
    ast::{Comparison, Condition, Expr, Test, Value},
    words::words,
};
use crate::store::{RunRef, SearchValue, VisibilityHit};

/// Whether `expr` holds for `hit`: `None` where an absent value leaves it undecided.
pub(super) fn evaluate(expr: &Expr, hit: &VisibilityHit) -> Option<bool> {
    match expr {
        // A decided member decides the whole, whatever the others are.
        Expr::All(members) => unless(members, false, hit),
        Expr::Any(members) => unless(members, true, hit),
        Expr::Not(inner) => evaluate(inner, hit).map(|truth| !truth),
        Expr::Condition(condition) => evaluate_condition(condition, hit),
    }
}

fn unless(members: &[Expr], decisive: bool, hit: &VisibilityHit) -> Option<bool> {
    let mut undecided = false;
    for member in members {
        match evaluate(member, hit) {
            Some(truth) if truth == decisive => return Some(decisive),
            Some(_) => {}
            None => undecided = true,
        }
    }
    (!undecided).then_some(!decisive)
}

fn evaluate_condition(Condition { field, test }: &Condition, hit: &VisibilityHit) -> Option<bool> {
    match field {
        Field::Attribute { name, kind: SearchType::Text | SearchType::KeywordList } => {
            Some(test_set(test, set(hit.row.search_attributes.get(name), field).as_ref()))
        }
        Field::Attribute { name, kind } => {
            test_scalar(test, hit.row.search_attributes.get(name).and_then(|value| attribute(value, *kind)))
        }
        Field::System(field) => test_scalar(test, system(*field, hit)),
    }
}

fn set(value: Option<&SearchValue>, field: &Field) -> Option<BTreeSet<String>> {
    match (value?, field) {
        (SearchValue::Text(text), Field::Attribute { kind: SearchType::Text, .. }) => Some(words(text)),
        (SearchValue::KeywordList(list), Field::Attribute { kind: SearchType::KeywordList, .. })
            if !list.is_empty() =>
        {
            Some(list.iter().cloned().collect())
        }
        _ => None,
    }
}

fn attribute(value: &SearchValue, kind: SearchType) -> Option<Value> {
    match (value, kind) {
        (SearchValue::Keyword(text), SearchType::Keyword) => Some(Value::Text(text.clone())),
        (SearchValue::Int(number), SearchType::Int) => Some(Value::Int(*number)),
        (SearchValue::Double(number), SearchType::Double) if !number.is_nan() => Some(Value::Double(*number)),
        (SearchValue::Bool(truth), SearchType::Bool) => Some(Value::Int(i64::from(*truth))),
        (SearchValue::Datetime(time), SearchType::Datetime) => Some(Value::Int(time.as_nanos())),
        _ => None,
    }
}

fn system(field: SystemField, hit: &VisibilityHit) -> Option<Value> {
    let row = &hit.row;
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let workflow_id = |run: &Option<RunRef>| run.as_ref().map(|run| Value::Text(run.workflow_id.clone()));
    let run_id = |run: &Option<RunRef>| run.as_ref().map(|run| Value::Text(run.run_id.clone()));
    let closed = |number: i64| row.close_time.map(|_| Value::Int(number));
    match field {
        SystemField::WorkflowId => text(&hit.workflow_id),
        SystemField::RunId => text(&hit.run_id),
        SystemField::WorkflowType => text(&row.workflow_type),
        SystemField::TaskQueue => text(&row.task_queue),
        SystemField::ExecutionStatus => Some(Value::Int(i64::from(row.status))),
        SystemField::StartTime => Some(Value::Int(row.start_time.as_nanos())),
        SystemField::ExecutionTime => Some(Value::Int(row.execution_time.as_nanos())),
        SystemField::CloseTime => row.close_time.map(|time| Value::Int(time.as_nanos())),
        SystemField::ExecutionDuration => {
            row.close_time.map(|time| Value::Int(time.as_nanos().saturating_sub(row.execution_time.as_nanos())))
        }
        SystemField::HistoryLength => closed(row.history_length),
        SystemField::HistorySizeBytes => closed(row.history_size_bytes),
        SystemField::StateTransitionCount => closed(row.state_transition_count),
        SystemField::ParentWorkflowId => workflow_id(&row.parent),
        SystemField::ParentRunId => run_id(&row.parent),
        SystemField::RootWorkflowId => workflow_id(&row.root).or_else(|| text(&hit.workflow_id)),
        SystemField::RootRunId => run_id(&row.root).or_else(|| text(&hit.run_id)),
    }
}

/// Sets are never undecided: what is absent has no members.
fn test_set(test: &Test, set: Option<&BTreeSet<String>>) -> bool {
    let has = |member: &str| set.is_some_and(|set| set.contains(member));
    let has_value = |value: &Value| matches!(value, Value::Text(member) if has(member));
    match test {
        Test::Compare(comparison, value) => has_value(value) == (*comparison == Comparison::Equal),
        Test::Words { words, negated } => words.iter().any(|word| has(word)) != *negated,
        Test::OneOf { values, negated } => values.iter().any(has_value) != *negated,
        Test::Null { negated } => set.is_none() != *negated,
        // The parser refuses these for sets.
        Test::Between { .. } | Test::StartsWith { .. } => false,
    }
}

fn test_scalar(test: &Test, value: Option<Value>) -> Option<bool> {
    if let Test::Null { negated } = test {
        return Some(value.is_none() != *negated);
    }
    let value = value?;
    Some(match test {
        Test::Compare(comparison, other) => holds(*comparison, compare(&value, other)),
        Test::OneOf { values, negated } => values.iter().any(|other| compare(&value, other).is_eq()) != *negated,
        Test::Between { low, high, negated } => {
            (compare(&value, low).is_ge() && compare(&value, high).is_le()) != *negated
        }
        Test::StartsWith { prefix, negated } => {
            matches!(&value, Value::Text(whole) if whole.starts_with(prefix.as_str())) != *negated
        }
        Test::Words { .. } | Test::Null { .. } => false,
    })
}

fn holds(comparison: Comparison, ordering: Ordering) -> bool {
    match comparison {
        Comparison::Equal => ordering.is_eq(),
        Comparison::NotEqual => ordering.is_ne(),
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
    }
}

/// Numbers by size, exactly; texts by code point. Numbers come before texts, which the parser keeps apart.
fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Text(_), _) => Ordering::Greater,
        (_, Value::Text(_)) => Ordering::Less,
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
        (Value::Int(left), Value::Double(right)) => compare_exactly(*left, *right),
        (Value::Double(left), Value::Int(right)) => compare_exactly(*right, *left).reverse(),
    }
}

/// Compares without turning the integer into a float, which would round above 2^53.
fn compare_exactly(int: i64, double: f64) -> Ordering {
    const PAST_LARGEST: f64 = 9_223_372_036_854_775_808.0;
    if double >= PAST_LARGEST {
        return Ordering::Less;
    }
    if double < -PAST_LARGEST {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "in range by the comparisons above, whole by trunc")]
    let whole = double.trunc() as i64;
    int.cmp(&whole).then_with(|| 0.0.partial_cmp(&double.fract()).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_compare_exactly() {
        assert_eq!(compare_exactly(9_007_199_254_740_993, 9_007_199_254_740_992.0), Ordering::Greater);
        assert_eq!(compare_exactly(i64::MAX, 9_223_372_036_854_775_807.0), Ordering::Less);
        assert_eq!(compare_exactly(i64::MIN, -9_223_372_036_854_775_808.0), Ordering::Equal);
        assert_eq!(compare_exactly(-2, -1.5), Ordering::Less);
        assert_eq!(compare_exactly(-1, -1.5), Ordering::Greater);
        assert_eq!(compare_exactly(1, 1.5), Ordering::Less);
        assert_eq!(compare_exactly(3, f64::NEG_INFINITY), Ordering::Greater);
    }
}
