//! The tree that a list filter becomes: names resolved, values typed.

use super::fields::Field;

/// A condition, or conditions combined. `All` and `Any` have at least two members.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Condition(Condition),
}

impl Expr {
    pub(super) fn mentions(&self, field: &str) -> bool {
        match self {
            Self::All(members) | Self::Any(members) => members.iter().any(|member| member.mentions(field)),
            Self::Not(inner) => inner.mentions(field),
            Self::Condition(condition) => condition.field.name() == field,
        }
    }
}

/// One field, tested.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) field: Field,
    pub(crate) test: Test,
}

/// What is asked of a field. Values have the type of the field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Compare(Comparison, Value),
    /// Of a `Text` field: it has at least one of these words (`negated`: none).
    Words {
        words: Vec<String>,
        negated: bool,
    },
    OneOf {
        values: Vec<Value>,
        negated: bool,
    },
    /// Both ends included.
    Between {
        low: Value,
        high: Value,
        negated: bool,
    },
    StartsWith {
        prefix: String,
        negated: bool,
    },
    Null {
        negated: bool,
    },
}

impl Test {
    /// The test that is true where this one is false, false where it is true, and undecided where it is undecided.
    pub(crate) fn opposite(&self) -> Self {
        match self.clone() {
            Self::Compare(comparison, value) => Self::Compare(comparison.opposite(), value),
            Self::Words { words, negated } => Self::Words { words, negated: !negated },
            Self::OneOf { values, negated } => Self::OneOf { values, negated: !negated },
            Self::Between { low, high, negated } => Self::Between { low, high, negated: !negated },
            Self::StartsWith { prefix, negated } => Self::StartsWith { prefix, negated: !negated },
            Self::Null { negated } => Self::Null { negated: !negated },
        }
    }
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    fn opposite(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }
}

/// A value as it is compared: statuses by number, truth as 0 or 1, instants and durations in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Int(i64),
    /// Never `NaN`.
    Double(f64),
}

/// What counts are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupBy {
    /// `ExecutionStatus`.
    Status,
    /// `TemporalNamespaceDivision`.
    Division,
}

/// One field of `ORDER BY`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OrderBy {
    pub(crate) field: Field,
    pub(crate) descending: bool,
}
