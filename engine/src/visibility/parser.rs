//! Recursive descent over the tokens of a filter. Names are resolved and values typed on the way, so that every error
//! has its place in the text.
//!
//! ```text
//! query     = [any] [GROUP BY field] [ORDER BY field [ASC | DESC] {"," …}] [";"]
//! any       = all {(OR | "||") all}
//! all       = unary {(AND | "&&") unary}
//! unary     = NOT unary | "(" any ")" | condition
//! condition = field (comparison value | [NOT] IN "(" value {"," value} ")" | [NOT] BETWEEN value AND value
//!                    | [NOT] STARTS_WITH text | IS [NOT] NULL)
//! ```

use super::{
    DIVISION, MAX_CONDITIONS, MAX_DEPTH, MAX_ORDER_FIELDS, MAX_QUERY_BYTES, MAX_VALUES, Query, QueryError, Schema,
    SearchType,
    ast::{Comparison, Condition, Expr, GroupBy, OrderBy, Test, Value},
    error::Refusal,
    fields::{Field, FieldKind, Operators, SystemField},
    lexer::{Token, tokenize},
    literals::{Literal, convert},
    words::words,
};

/// Words that are no field name unless between backticks.
const KEYWORDS: [&str; 18] = [
    "AND",
    "ASC",
    "BETWEEN",
    "BY",
    "DESC",
    "FALSE",
    "GROUP",
    "IN",
    "IS",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OR",
    "ORDER",
    "STARTS_WITH",
    "TRUE",
    "WHERE",
];

pub(super) fn parse(text: &str, schema: &Schema) -> Result<Query, QueryError> {
    parse_tokens(text, schema).map_err(|refusal| refusal.in_text(text))
}

fn parse_tokens(text: &str, schema: &Schema) -> Result<Query, Refusal> {
    if text.len() > MAX_QUERY_BYTES {
        return Err(Refusal::new(
            0,
            format!("the query has {} bytes; at most {MAX_QUERY_BYTES} are taken", text.len()),
        ));
    }
    Parser { tokens: tokenize(text)?, next: 0, schema, depth: 0, conditions: 0, values: 0 }.query()
}

struct Parser<'a> {
    /// Ends with `Token::End`, which is never stepped over.
    tokens: Vec<(usize, Token)>,
    next: usize,
    schema: &'a Schema,
    depth: usize,
    conditions: usize,
    values: usize,
}

impl Parser<'_> {
    fn query(mut self) -> Result<Query, Refusal> {
        let no_filter = self.at_end() || self.sees("GROUP") || self.sees("ORDER");
        let filter = if no_filter { None } else { Some(self.any()?) };
        let group_by = self.group_by()?;
        let order_by = self.order_by()?;
        self.takes_symbol(";");
        if self.at_end() {
            Ok(Query { filter, order_by, group_by })
        } else {
            Err(self.unexpected("AND, OR, GROUP BY, ORDER BY or the end of the query"))
        }
    }

    fn any(&mut self) -> Result<Expr, Refusal> {
        let first = self.all()?;
        self.chain(("OR", "||"), first, Self::all, Expr::Any)
    }

    fn all(&mut self) -> Result<Expr, Refusal> {
        let first = self.unary()?;
        self.chain(("AND", "&&"), first, Self::unary, Expr::All)
    }

    /// `first {keyword next}` as one flat node: trees stay shallow however long the chain. The keyword may be a symbol.
    fn chain(
        &mut self,
        (keyword, symbol): (&str, &'static str),
        first: Expr,
        next: impl Fn(&mut Self) -> Result<Expr, Refusal>,
        combine: impl Fn(Vec<Expr>) -> Expr,
    ) -> Result<Expr, Refusal> {
        let mut members = vec![first];
        while self.takes(keyword) || self.takes_symbol(symbol) {
            members.push(next(self)?);
        }
        match members.pop() {
            Some(only) if members.is_empty() => Ok(only),
            last => Ok(combine(members.into_iter().chain(last).collect())),
        }
    }

    fn unary(&mut self) -> Result<Expr, Refusal> {
        if self.depth == MAX_DEPTH {
            return Err(self.refuse(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let expr = if self.takes("NOT") {
            Expr::Not(Box::new(self.unary()?))
        } else if self.takes_symbol("(") {
            let inner = self.any()?;
            self.expect_symbol(")")?;
            inner
        } else {
            Expr::Condition(self.condition()?)
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn condition(&mut self) -> Result<Condition, Refusal> {
        if self.conditions == MAX_CONDITIONS {
            return Err(self.refuse(format!("more than {MAX_CONDITIONS} conditions")));
        }
        self.conditions += 1;
        let field = self.field("a field name, NOT or `(`")?;
        let test = self.test(&field)?;
        Ok(Condition { field, test })
    }

    fn field(&mut self, expected: &str) -> Result<Field, Refusal> {
        let name = match &self.tokens[self.next].1 {
            Token::Word(word) if !KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) => word.clone(),
            Token::Name(name) => name.clone(),
            _ => return Err(self.unexpected(expected)),
        };
        let field = self.schema.resolve(&name).ok_or_else(|| {
            let named = self.tokens[self.next].1.describe();
            self.refuse(format!("{named} is neither a field nor a search attribute of this namespace"))
        })?;
        self.next += 1;
        Ok(field)
    }

    fn test(&mut self, field: &Field) -> Result<Test, Refusal> {
        if self.takes("IS") {
            let negated = self.takes("NOT");
            self.expect("NULL")?;
            return Ok(Test::Null { negated });
        }
        if let Some(comparison) = self.comparison(field)? {
            return self.comparison_value(field, comparison);
        }
        let negated = self.takes("NOT");
        if self.sees("IN") {
            self.check(field, Operators::Membership)?;
            self.next += 1;
            Ok(Test::OneOf { values: self.list(field)?, negated })
        } else if self.sees("BETWEEN") {
            self.check(field, Operators::Range)?;
            self.next += 1;
            let low = self.value(field)?;
            self.expect("AND")?;
            Ok(Test::Between { low, high: self.value(field)?, negated })
        } else if self.sees("STARTS_WITH") {
            self.check(field, Operators::Prefix)?;
            self.next += 1;
            self.prefix(field, negated)
        } else if negated {
            Err(self.unexpected("IN, BETWEEN or STARTS_WITH"))
        } else {
            Err(self.unexpected("one of = != < <= > >= IN BETWEEN STARTS_WITH IS NOT"))
        }
    }

    fn comparison(&mut self, field: &Field) -> Result<Option<Comparison>, Refusal> {
        let Token::Symbol(symbol) = self.tokens[self.next].1 else { return Ok(None) };
        let (comparison, operators) = match symbol {
            "=" => (Comparison::Equal, Operators::Equality),
            "!=" => (Comparison::NotEqual, Operators::Equality),
            "<" => (Comparison::Less, Operators::Order),
            "<=" => (Comparison::LessOrEqual, Operators::Order),
            ">" => (Comparison::Greater, Operators::Order),
            ">=" => (Comparison::GreaterOrEqual, Operators::Order),
            _ => return Ok(None),
        };
        self.check(field, operators)?;
        self.next += 1;
        Ok(Some(comparison))
    }

    fn comparison_value(&mut self, field: &Field, comparison: Comparison) -> Result<Test, Refusal> {
        let at = self.next;
        let value = self.value(field)?;
        match (field.kind(), value) {
            (FieldKind::Attribute(SearchType::Text), Value::Text(text)) => {
                if text.trim().is_empty() {
                    self.next = at;
                    return Err(self.refuse(format!("{} takes a text with at least one word", field.name())));
                }
                // A text of nothing but punctuation has no words, and none that match.
                let words: Vec<_> = words(&text).into_iter().collect();
                Ok(Test::Words { words, negated: comparison == Comparison::NotEqual })
            }
            (_, value) => Ok(Test::Compare(comparison, value)),
        }
    }

    fn list(&mut self, field: &Field) -> Result<Vec<Value>, Refusal> {
        self.expect_symbol("(")?;
        let mut values = vec![self.value(field)?];
        while self.takes_symbol(",") {
            values.push(self.value(field)?);
        }
        self.expect_symbol(")")?;
        Ok(values)
    }

    fn prefix(&mut self, field: &Field, negated: bool) -> Result<Test, Refusal> {
        match self.value(field)? {
            Value::Text(prefix) => Ok(Test::StartsWith { prefix, negated }),
            Value::Int(_) | Value::Double(_) => Err(self.refuse("STARTS_WITH takes a quoted text")),
        }
    }

    fn value(&mut self, field: &Field) -> Result<Value, Refusal> {
        if self.values == MAX_VALUES {
            return Err(self.refuse(format!("more than {MAX_VALUES} values")));
        }
        self.values += 1;
        let literal = match &self.tokens[self.next].1 {
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Int(number) => Literal::Int(*number),
            Token::Double(number) => Literal::Double(*number),
            Token::Word(word) if word.eq_ignore_ascii_case("TRUE") => Literal::Bool(true),
            Token::Word(word) if word.eq_ignore_ascii_case("FALSE") => Literal::Bool(false),
            _ => return Err(self.unexpected("a value: a quoted text, a number, true or false")),
        };
        let value = convert(field, literal).map_err(|message| self.refuse(message))?;
        self.next += 1;
        Ok(value)
    }

    fn group_by(&mut self) -> Result<Option<GroupBy>, Refusal> {
        if !self.takes("GROUP") {
            return Ok(None);
        }
        self.expect("BY")?;
        let at = self.next;
        match self.field("ExecutionStatus")? {
            Field::System(SystemField::ExecutionStatus) => Ok(Some(GroupBy::Status)),
            Field::Attribute { name, .. } if name == DIVISION => Ok(Some(GroupBy::Division)),
            _ => {
                self.next = at;
                Err(self.refuse(format!("GROUP BY takes ExecutionStatus or {DIVISION}")))
            }
        }
    }

    fn order_by(&mut self) -> Result<Vec<OrderBy>, Refusal> {
        let mut order = Vec::new();
        if !self.takes("ORDER") {
            return Ok(order);
        }
        self.expect("BY")?;
        loop {
            if order.len() == MAX_ORDER_FIELDS {
                return Err(self.refuse(format!("ORDER BY takes at most {MAX_ORDER_FIELDS} fields")));
            }
            order.push(self.order_field()?);
            if !self.takes_symbol(",") {
                return Ok(order);
            }
        }
    }

    fn order_field(&mut self) -> Result<OrderBy, Refusal> {
        let field = self.field("a field name")?;
        if !field.kind().sorts() {
            self.next -= 1;
            return Err(self.refuse(format!(
                "ORDER BY takes times and numbers; {} is of type {}",
                field.name(),
                field.kind().name()
            )));
        }
        let descending = self.takes("DESC");
        if !descending {
            self.takes("ASC");
        }
        Ok(OrderBy { field, descending })
    }

    fn check(&self, field: &Field, operators: Operators) -> Result<(), Refusal> {
        if field.kind().takes(operators) {
            return Ok(());
        }
        let operator = self.tokens[self.next].1.describe();
        Err(self.refuse(format!("{operator} cannot be used with {}, of type {}", field.name(), field.kind().name())))
    }

    fn at_end(&self) -> bool {
        self.tokens[self.next].1 == Token::End
    }

    fn sees(&self, keyword: &str) -> bool {
        matches!(&self.tokens[self.next].1, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn takes(&mut self, keyword: &str) -> bool {
        let seen = self.sees(keyword);
        self.next += usize::from(seen);
        seen
    }

    fn takes_symbol(&mut self, symbol: &'static str) -> bool {
        let seen = self.tokens[self.next].1 == Token::Symbol(symbol);
        self.next += usize::from(seen);
        seen
    }

    fn expect(&mut self, keyword: &str) -> Result<(), Refusal> {
        if self.takes(keyword) { Ok(()) } else { Err(self.unexpected(keyword)) }
    }

    fn expect_symbol(&mut self, symbol: &'static str) -> Result<(), Refusal> {
        if self.takes_symbol(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    fn unexpected(&self, expected: &str) -> Refusal {
        self.refuse(format!("expected {expected}, found {}", self.tokens[self.next].1.describe()))
    }

    fn refuse(&self, message: impl Into<String>) -> Refusal {
        Refusal::new(self.tokens[self.next].0, message)
    }
}
