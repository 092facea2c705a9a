//! Values as PostgreSQL takes them.

use std::error::Error;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::super::database::Value;

/// A value as a parameter.
pub(super) fn of<'a>(value: &'a Value<'_>) -> &'a (dyn ToSql + Sync) {
    value
}

/// The type that a statement has at the place of a value.
pub(super) fn kind(value: &Value<'_>) -> Type {
    match value {
        Value::Integer(_) | Value::IntegerIfAny(_) => Type::INT8,
        Value::Real(_) => Type::FLOAT8,
        Value::Text(_) | Value::Name(_) => Type::TEXT,
        Value::Bool(_) => Type::BOOL,
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Integer(number) => number.to_sql(ty, out),
            Self::IntegerIfAny(number) => number.to_sql(ty, out),
            Self::Real(number) => number.to_sql(ty, out),
            // What services print may hold it, and no text of PostgreSQL can.
            Self::Text(text) if text.contains('\0') => text.replace('\0', "\u{fffd}").to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Name(text) => text.to_sql(ty, out),
            Self::Bool(value) => value.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::FLOAT8, Type::TEXT, Type::BOOL].contains(ty)
    }

    to_sql_checked!();
}
