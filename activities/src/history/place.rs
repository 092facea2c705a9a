//! Where a history is kept: in a file of this machine, or in a PostgreSQL database that many hosts share.

use std::fmt;
use std::path::PathBuf;

use super::database::Fault;
use super::error::{HistoryError, explain};
use super::postgres::Address;
use crate::secret;

/// Longest name of a host, as DNS has it.
const MAX_HOST: usize = 253;

/// Where a history is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Postgres(Postgres),
}

/// A database, and whose rows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    address: String,
    host: String,
}

/// Why a database cannot be named so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostgresError {
    /// Not what a connection string looks like. What stood there is not told: it may hold a password.
    #[error("{0}; a connection string is postgres://user@host:5432/database?sslmode=verify-full")]
    Address(&'static str),
    /// A password in plain sight.
    #[error("it holds a password; keep the connection string in a secret: env:NAME, file:/path or credential:NAME")]
    Password,
    /// Not the name of a host.
    #[error("a host's name is up to {MAX_HOST} letters, digits and . _ - :")]
    Host,
}

impl Postgres {
    /// The rows of `host` (this machine when absent) in the database that `address` leads to: a reference to a secret, which is
    /// read anew for every connection, or a connection string without a password.
    ///
    /// # Errors
    /// It is neither, or the host cannot have that name.
    pub fn new(address: &str, host: Option<&str>) -> Result<Self, PostgresError> {
        if !secret::is_reference(address) && Address::parse(address)?.has_password() {
            return Err(PostgresError::Password);
        }
        let host = host.map_or_else(this_host, str::to_owned);
        Self::check_host(&host)?;
        Ok(Self { address: address.to_owned(), host })
    }

    /// Checks the name of a host.
    ///
    /// # Errors
    /// The host cannot have that name.
    pub fn check_host(host: &str) -> Result<(), PostgresError> {
        if host.is_empty() || host.len() > MAX_HOST || !host.chars().all(is_of_a_host) {
            return Err(PostgresError::Host);
        }
        Ok(())
    }

    /// Whose rows.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What leads to the database, as it was written.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Place {
    /// What a fault of what is there means to whoever asked.
    pub(super) fn explain(&self, fault: &Fault) -> HistoryError {
        match (self, fault) {
            (Self::File(path), Fault::Sqlite(error)) => explain(path, error),
            (place, fault) => place.unusable(fault),
        }
    }

    /// What does not need another try to be told: the file that nobody has written yet, or cannot be read.
    pub(super) fn unusable(&self, detail: impl fmt::Display) -> HistoryError {
        match self {
            Self::File(path) => HistoryError::Unusable { path: path.clone(), detail: detail.to_string() },
            Self::Postgres(_) => HistoryError::Database { detail: detail.to_string() },
        }
    }
}

/// The machine's name, as far as a name may have such characters.
fn this_host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = name.chars().map(|own| if is_of_a_host(own) { own } else { '-' }).take(MAX_HOST).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// The name stands in statements as a literal: nothing in it may end one.
fn is_of_a_host(character: char) -> bool {
    character.is_ascii_alphanumeric() || ".-_:".contains(character)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_a_secret_or_holds_none() {
        assert!(Postgres::new("env:HISTORY", None).is_ok());
        assert!(Postgres::new("postgres://dixmgr@db.example:5432/history", Some("web-1.example")).is_ok());
        let refused = |address: &str, host: &str| Postgres::new(address, Some(host)).unwrap_err();
        assert_eq!(refused("postgres://dixmgr:s3cret@db.example/history", "a"), PostgresError::Password);
        for host in ["", "it's", "a b", "a\\"] {
            assert_eq!(refused("env:HISTORY", host), PostgresError::Host, "{host:?}");
        }
        for wrong in ["mysql://s3cret@db/x", "postgres://u:s3cret@:x/", "s3cret", "postgres:///history"] {
            let error = refused(wrong, "a");
            assert!(matches!(error, PostgresError::Address(_)) && !error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn this_machine_has_a_name() {
        assert!(!Postgres::new("env:HISTORY", None).unwrap().host().is_empty());
    }
}
