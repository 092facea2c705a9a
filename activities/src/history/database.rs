//! The seam between the history and what keeps it: statements, values and rows that SQLite and PostgreSQL both understand.
//! Statements are written for SQLite; `postgres/dialect.rs` says how they differ.

use rusqlite::params_from_iter;
use rusqlite::types::{FromSql, ToSql, ToSqlOutput};

use super::open::{self, Opened};
use super::place::{Place, PostgresError};
use super::postgres::Session;
use crate::secret::SecretError;

/// An open store.
#[derive(Debug)]
pub(super) enum Database {
    Sqlite(Opened),
    Postgres(Box<Session>),
}

/// A value of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Integer(i64),
    IntegerIfAny(Option<i64>),
    Real(Option<f64>),
    Text(&'a str),
    Name(Option<&'a str>),
    Bool(bool),
}

/// A statement with its values.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value<'a>>,
}

/// A row of an answer.
pub(super) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

/// What both stores can have in a column.
pub(super) trait Field: FromSql + for<'a> tokio_postgres::types::FromSql<'a> {}
impl<T: FromSql + for<'a> tokio_postgres::types::FromSql<'a>> Field for T {}

/// What went wrong. None of it holds a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("{}", told(.0))]
    Postgres(#[from] tokio_postgres::Error),
    #[error("PostgreSQL does not answer in time")]
    Slow,
    #[error("cannot prepare a connection to PostgreSQL: {0}")]
    Tls(String),
    #[error("its address: {0}")]
    Address(#[from] PostgresError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("another dixmgr writes the history of host {host}; give this one another [history] host")]
    InUse { host: String },
    #[error(
        "it has schema version {found}, this release knows versions up to {known}; install the release that wrote it"
    )]
    NewerSchema { found: i64, known: i64 },
    #[error("no dixmgr has written a history there yet")]
    NoHistory,
    #[error("host {host} has a history there already; name another with -host, or delete what it has")]
    HasHistory { host: String },
}

impl Database {
    /// Opens a store for reading.
    pub(super) fn for_reading(place: &Place) -> Result<Self, super::HistoryError> {
        match place {
            Place::File(path) => Ok(Self::Sqlite(Opened { connection: open::for_reading(path)?, _lock: None })),
            Place::Postgres(own) => match Session::for_reading(own) {
                Ok(session) => Ok(Self::Postgres(Box::new(session))),
                Err(fault) => Err(place.unusable(fault)),
            },
        }
    }

    /// What a question has for an answer.
    pub(super) fn query<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        match self {
            Self::Postgres(session) => session.query(sql, values, read),
            Self::Sqlite(opened) => {
                let mut statement = opened.connection.prepare_cached(sql)?;
                let mut rows = statement.query(params_from_iter(values))?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(read(&Row::Sqlite(row))?);
                }
                Ok(found)
            }
        }
    }

    /// Carries a statement out by itself. How many rows it touched.
    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        match self {
            Self::Postgres(session) => session.execute(sql, values),
            Self::Sqlite(opened) => {
                Ok(opened.connection.prepare_cached(sql)?.execute(params_from_iter(values))? as u64)
            }
        }
    }

    /// Carries statements out, in this order, in one transaction.
    pub(super) fn write<'a>(&mut self, statements: impl Iterator<Item = Statement<'a>>) -> Result<(), Fault> {
        match self {
            Self::Postgres(session) => session.write(statements),
            Self::Sqlite(opened) => {
                let transaction = opened.connection.transaction()?;
                for Statement { sql, values } in statements {
                    transaction.prepare_cached(sql)?.execute(params_from_iter(&values))?;
                }
                Ok(transaction.commit()?)
            }
        }
    }

    /// Gives some of what is free back to the file system; PostgreSQL does that by itself.
    pub(super) fn shrink(&self, pages: u32) -> Result<(), Fault> {
        match self {
            Self::Postgres(_) => Ok(()),
            Self::Sqlite(opened) => {
                Ok(opened.connection.execute_batch(&format!("PRAGMA incremental_vacuum({pages})"))?)
            }
        }
    }

    /// Whether it can be asked: a file can, a connection may have ended since it was last used.
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Sqlite(_) => true,
            Self::Postgres(session) => session.answers(),
        }
    }
}

impl Row<'_> {
    /// What stands in a column.
    pub(super) fn get<T: Field>(&self, index: usize) -> Result<T, Fault> {
        match self {
            Self::Sqlite(row) => Ok(row.get(index)?),
            Self::Postgres(row) => Ok(row.try_get(index)?),
        }
    }

    /// A time or a length of time, which is never negative.
    pub(super) fn time(&self, index: usize) -> Result<u64, Fault> {
        self.get(index).map(unsigned)
    }

    /// The same where there need not be one.
    pub(super) fn time_if_any(&self, index: usize) -> Result<Option<u64>, Fault> {
        Ok(self.get::<Option<i64>>(index)?.map(unsigned))
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Integer(number) => number.to_sql(),
            Self::IntegerIfAny(number) => number.to_sql(),
            Self::Real(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
            Self::Name(text) => text.to_sql(),
            Self::Bool(value) => value.to_sql(),
        }
    }
}

impl From<u64> for Value<'_> {
    fn from(time: u64) -> Self {
        Self::Integer(i64::try_from(time).unwrap_or(i64::MAX))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<Option<f64>> for Value<'_> {
    fn from(number: Option<f64>) -> Self {
        Self::Real(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

/// Both stores' integers are signed; no time here is near their end.
pub(super) fn unsigned(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0)
}

/// What PostgreSQL, or the way to it, says; its values are not told.
fn told(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    if let Some(said) = error.as_db_error() {
        return format!("PostgreSQL says: {} ({})", said.message(), said.code().code());
    }
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("PostgreSQL is not reached: {error}{cause}")
}
