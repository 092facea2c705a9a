//! PostgreSQL behind the history: one connection, used by one thread at a time. Everything has an end: a server that does not
//! answer is a fault, and the connection is given up.

mod address;
mod dialect;
mod schema;
mod value;

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use futures_util::poll;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

pub(super) use self::address::Address;
use super::database::{Fault, Row, Statement, Value};
use super::place::Postgres;

/// Longest time until a connection is there.
const CONNECT: Duration = Duration::from_secs(4);
/// Longest time for an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Statements that are under way at a time: one after the other would cost a round trip for each row.
const UNDER_WAY: usize = 256;

/// What every connection begins with. A host that has lost its power must not keep its lock for hours.
const BEGIN: &str = "SET search_path TO dixmgr; SET tcp_keepalives_idle TO 20; SET tcp_keepalives_interval TO 10; \
                     SET tcp_keepalives_count TO 3; SET idle_in_transaction_session_timeout TO '60s'";

/// A connection.
#[derive(Debug)]
pub(super) struct Session {
    /// Taken when it ends.
    runtime: Option<Runtime>,
    client: Client,
    host: String,
    prepared: RefCell<HashMap<String, tokio_postgres::Statement>>,
}

impl Session {
    /// A connection that writes the rows of a host, which one dixmgr at a time does, with the schema of this release.
    pub(super) fn for_writing(place: &Postgres) -> Result<Self, Fault> {
        let session = Self::open(place)?;
        session.wait(schema::migrate(&session.client))?;
        // Held for as long as the connection is.
        let lock = "SELECT pg_try_advisory_lock(hashtextextended('dixmgr ' || $1, 0))";
        let mine = session.wait(async { Ok(session.client.query_one(lock, &[&session.host]).await?.try_get(0)?) })?;
        if mine { Ok(session) } else { Err(Fault::InUse { host: session.host.clone() }) }
    }

    /// A connection that reads.
    pub(super) fn for_reading(place: &Postgres) -> Result<Self, Fault> {
        let session = Self::open(place)?;
        session.wait(session.client.batch_execute_of("SET default_transaction_read_only TO on"))?;
        match session.wait(schema::version(&session.client))? {
            0 => Err(Fault::NoHistory),
            _ => Ok(session),
        }
    }

    fn open(place: &Postgres) -> Result<Self, Fault> {
        let address = Address::resolve(place.address())?;
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|error| Fault::Tls(error.to_string()))?;
        let connecting = async { timeout(CONNECT, address.connect()).await.map_err(|_| Fault::Slow)? };
        let client = runtime.block_on(connecting)?;
        let host = place.host().to_owned();
        let session = Self { runtime: Some(runtime), client, host, prepared: RefCell::default() };
        session.wait(session.client.batch_execute_of(BEGIN))?;
        Ok(session)
    }

    /// From now on the rows of another host.
    pub(super) fn turn_to(&mut self, host: &str) {
        host.clone_into(&mut self.host);
        self.prepared.borrow_mut().clear();
    }

    /// Whether the server still answers.
    pub(super) fn answers(&self) -> bool {
        self.wait(self.client.batch_execute_of("")).is_ok()
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let runtime = self.runtime.as_ref().ok_or(Fault::Slow)?;
        runtime.block_on(async { timeout(ANSWER, work).await.map_err(|_| Fault::Slow)? })
    }

    pub(super) fn query<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let rows = self.wait(async {
            let statement = self.prepare(sql, values).await?;
            let values: Vec<_> = values.iter().map(value::of).collect();
            Ok(self.client.query(&statement, &values).await?)
        })?;
        rows.iter().map(|row| read(&Row::Postgres(row))).collect()
    }

    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        self.wait(async {
            let statement = self.prepare(sql, values).await?;
            let values: Vec<_> = values.iter().map(value::of).collect();
            Ok(self.client.execute(&statement, &values).await?)
        })
    }

    /// All of it in one transaction.
    pub(super) fn write<'a>(&self, statements: impl Iterator<Item = Statement<'a>>) -> Result<(), Fault> {
        let statements: Vec<Statement<'a>> = statements.collect();
        self.transact(|| self.send_all(&statements))
    }

    /// Work that is done in one transaction, or not at all.
    pub(super) fn transact<T>(&self, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        self.wait(self.client.batch_execute_of("BEGIN"))?;
        let done = work();
        if done.is_err() {
            // Where this fails too, the connection is gone, and the transaction with it.
            let _ = self.wait(self.client.batch_execute_of("ROLLBACK"));
            return done;
        }
        self.wait(self.client.batch_execute_of("COMMIT"))?;
        done
    }

    /// Carries statements out, in this order.
    pub(super) fn send_all(&self, statements: &[Statement<'_>]) -> Result<(), Fault> {
        statements.chunks(UNDER_WAY).try_for_each(|some| self.wait(self.send(some)))
    }

    /// Sends statements one after the other, and then waits for what became of them.
    async fn send(&self, statements: &[Statement<'_>]) -> Result<(), Fault> {
        let mut prepared = Vec::with_capacity(statements.len());
        for statement in statements {
            prepared.push(self.prepare(statement.sql, &statement.values).await?);
        }
        let mut answers = Vec::with_capacity(statements.len());
        for (statement, prepared) in statements.iter().zip(&prepared) {
            let values: Vec<_> = statement.values.iter().collect();
            let mut answer = Box::pin(self.client.execute_raw(prepared, values));
            // The first look at an answer sends the question: their order is the order of the rows.
            if let std::task::Poll::Ready(done) = poll!(answer.as_mut()) {
                done?;
            } else {
                answers.push(answer);
            }
        }
        for answer in answers {
            answer.await?;
        }
        Ok(())
    }

    async fn prepare(&self, sql: &str, values: &[Value<'_>]) -> Result<tokio_postgres::Statement, Fault> {
        if let Some(statement) = self.prepared.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let types: Vec<Type> = values.iter().map(value::kind).collect();
        let statement = self.client.prepare_typed(&dialect::translate(sql, &self.host), &types).await?;
        self.prepared.borrow_mut().insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Also where nobody may wait: a pool of connections is dropped wherever the daemon ends.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Statements of one's own, with our faults.
trait Batch {
    async fn batch_execute_of(&self, sql: &str) -> Result<(), Fault>;
}

impl Batch for Client {
    async fn batch_execute_of(&self, sql: &str) -> Result<(), Fault> {
        Ok(self.batch_execute(sql).await?)
    }
}
