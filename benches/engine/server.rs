//! The two servers under measurement: a process and an address each.

use std::path::Path;

use dixmgr_testkit::usage::Usage;
use dixmgr_testkit::{EngineServer, TemporalServer};

/// The binary under measurement, built as a release is.
const BINARY: &str = env!("CARGO_BIN_EXE_dixmgr");

/// A running server.
pub(crate) enum Server {
    /// `dixmgr engine`, with `synchronous=FULL` as it comes.
    Engine(EngineServer),
    /// `temporal server start-dev --db-filename`.
    Temporal(TemporalServer),
}

impl Server {
    pub(crate) fn engine() -> Self {
        Self::Engine(EngineServer::start(BINARY, &[]))
    }

    /// The engine on a store that is there already.
    pub(crate) fn engine_on(store: &Path) -> Self {
        Self::Engine(EngineServer::start_with(BINARY, &[], |directory| {
            std::fs::rename(store, directory.join("engine.db")).expect("the store moves into its place");
        }))
    }

    pub(crate) fn temporal() -> Self {
        Self::Temporal(TemporalServer::start().expect("the server was asked for"))
    }

    pub(crate) fn url(&self) -> String {
        let address = match self {
            Self::Engine(engine) => engine.address(),
            Self::Temporal(server) => server.address(),
        };
        format!("http://{address}")
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(match self {
            Self::Engine(engine) => engine.pid(),
            Self::Temporal(server) => server.pid().expect("it runs"),
        })
    }
}
