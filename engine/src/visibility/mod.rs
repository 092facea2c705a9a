//! The list-filter language of Temporal: the SQL-like text by which clients list and count executions.
//!
//! Here the language is only understood: [`Query::parse`] turns text into a checked tree, [`Query::matches`] says what
//! the tree means. How the store finds the matching rows is the store's affair; this module knows no SQL and never
//! panics on any text. What text may cost is bounded by the `MAX_…` constants.
//!
//! A comparison with an absent value is neither true nor false, as in SQL: `CloseTime < 't'` and
//! `NOT CloseTime < 't'` both leave out open runs. `Text` and `KeywordList` are sets and never absent in that sense:
//! `Tags != 'x'` takes in what has no tags.

mod ast;
mod error;
mod evaluate;
mod fields;
mod lexer;
mod literals;
mod parser;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use ast::{Comparison, Condition, Expr, GroupBy, OrderBy, Test, Value};
pub use error::QueryError;
pub(crate) use fields::{Field, SystemField};
pub use fields::{PREDEFINED, Schema, SearchType};
pub(crate) use words::words;

use crate::store::VisibilityHit;

/// Longest accepted text, in bytes.
pub const MAX_QUERY_BYTES: usize = 64 << 10;
/// Deepest nesting of parentheses and `NOT`.
pub const MAX_DEPTH: usize = 32;
/// Most conditions in one query.
pub const MAX_CONDITIONS: usize = 256;
/// Most values in one query, those of all `IN` lists together.
pub const MAX_VALUES: usize = 4096;
/// Most fields in `ORDER BY`.
pub const MAX_ORDER_FIELDS: usize = 4;

/// The search attribute that says to which division of its namespace a run belongs.
pub(crate) const DIVISION: &str = "TemporalNamespaceDivision";

/// A checked list filter. The default one matches every run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    pub(crate) filter: Option<Expr>,
    pub(crate) order_by: Vec<OrderBy>,
    pub(crate) group_by: Option<GroupBy>,
}

impl Query {
    /// Understands `text`; blank text means every run.
    ///
    /// # Errors
    /// When the text is no filter, names a field that neither the system nor `schema` has, compares a field with a
    /// value or by an operator that its type does not take, or is past a bound.
    pub fn parse(text: &str, schema: &Schema) -> Result<Self, QueryError> {
        parser::parse(text, schema)
    }

    /// What meets all of the conditions, outside of divisions.
    pub(crate) fn all_of(conditions: Vec<Condition>) -> Self {
        let filter = Some(Expr::All(conditions.into_iter().map(Expr::Condition).collect()));
        Self { filter, ..Self::default() }.outside_of_divisions()
    }

    /// Whether the filter holds for `hit`.
    pub fn matches(&self, hit: &VisibilityHit) -> bool {
        self.filter.as_ref().is_none_or(|filter| evaluate::evaluate(filter, hit) == Some(true))
    }

    /// Whether the filter has a condition on the field of that name.
    pub fn mentions(&self, field: &str) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.mentions(field))
    }

    /// Leaves out what belongs to a division of the namespace (what the server keeps there for features of its own), unless
    /// the query itself says which divisions it means.
    #[must_use]
    pub fn outside_of_divisions(mut self) -> Self {
        if self.mentions(DIVISION) || self.group_by == Some(GroupBy::Division) {
            return self;
        }
        let field = Field::Attribute { name: DIVISION.to_owned(), kind: SearchType::Keyword };
        let outside = Expr::Condition(Condition { field, test: Test::Null { negated: false } });
        self.filter = Some(match self.filter.take() {
            None => outside,
            Some(filter) => Expr::All(vec![filter, outside]),
        });
        self
    }
}
