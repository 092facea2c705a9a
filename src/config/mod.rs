//! The configuration file: the only room that reads it.
//!
//! Two steps, two kinds of types. [`written`] is what the author typed, [`Config`] is what it means. Between them stand
//! [`resolve`] (one service by itself), [`dotidx`] (services derived from dotidx's own file) and [`link`] (all services
//! together). Every fault of a file is reported, each with its place; see [`ConfigError`].

mod alerts;
mod check;
mod document;
mod dotidx;
mod fault;
mod link;
mod mask;
mod patch;
mod reader;
mod resolve;
mod source;
mod split;
mod suggest;
mod written;

#[cfg(test)]
mod tests;

use std::path::Path;

use dixmgr_model::{Mode, Plan};
use toml::de::DeTable;

pub use alerts::{AlertFlags, Alerts};
pub use document::Document;
pub use fault::{ConfigError, Fault};
pub use mask::masked;
pub use patch::{PatchError, merge};
pub use source::MAX_BYTES;
pub use written::{FileSettings, LogFormat, Synchronous};

use fault::{FaultSink, Place};
use reader::TableReader;
use source::Source;
use written::{WrittenCommon, WrittenService};

/// Prefix of every workflow id in watch mode, so that a dry run neither disturbs nor answers for a real one.
pub const WATCH_PREFIX: &str = "watch.";

/// Who runs the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ManagerKind {
    /// systemd, over D-Bus.
    Systemd,
    /// dixmgr itself.
    Direct,
}

/// What the command line decides about the meaning of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// Watch or exec.
    pub mode: Mode,
    /// Who runs the services.
    pub manager: ManagerKind,
    /// `-resource-monitoring=false` switches sampling off for all services.
    pub resources: bool,
    /// `-process-max-restarts`: wins over every restart policy of the file.
    pub max_restarts: Option<u32>,
}

impl LoadOptions {
    /// Those of a daemon that acts and whose command line says nothing more.
    #[must_use]
    pub fn of(manager: ManagerKind) -> Self {
        Self { mode: Mode::Exec, manager, resources: true, max_restarts: None }
    }
}

/// What a file means.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The services, in start order.
    pub plan: Plan,
    /// What it says about the daemon.
    pub settings: FileSettings,
    /// What it says about alerts.
    pub alerts: Alerts,
}

impl Config {
    /// A configuration that means nothing.
    fn empty() -> Self {
        Self {
            plan: Plan { revision: String::new(), services: Vec::new() },
            settings: FileSettings::default(),
            alerts: Alerts::usual(""),
        }
    }
}

/// Reads a configuration file.
///
/// # Errors
/// All faults of the file, in its order.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Config, ConfigError> {
    Document::read(path, options).map(|document| document.config)
}

/// Reads the daemon's configuration for a command that looks something up in it. Who runs the services is a flag of the daemon's,
/// on which that does not depend.
///
/// # Errors
/// All faults of the file, in its order.
pub fn load_for_command(path: &Path) -> Result<Config, ConfigError> {
    let load = |manager| load(path, &LoadOptions::of(manager));
    load(ManagerKind::Systemd).or_else(|error| load(ManagerKind::Direct).map_err(|_| error))
}

/// Reads a configuration from memory; `name` stands for the file in faults.
///
/// # Errors
/// All faults of the text, in its order.
pub fn parse(name: &str, text: &str, options: &LoadOptions) -> Result<Config, ConfigError> {
    understand(&Source::from_bytes(name, text.as_bytes().to_vec())?, options)
}

fn understand(source: &Source, options: &LoadOptions) -> Result<Config, ConfigError> {
    let faults = FaultSink::new(source);
    let (document, syntax) = DeTable::parse_recoverable(source.text());
    for error in &syntax {
        let place = Place { at: error.span().map_or(0, |span| span.start), path: String::new() };
        faults.report(&place, format!("is not TOML: {}", error.message().trim_end().replace('\n', ", ")), "");
    }
    // What a broken document seems to say is a guess; faults found in a guess would mislead.
    let config = if syntax.is_empty() { read(document.get_ref(), options, &faults) } else { Config::empty() };
    faults.finish(config)
}

fn read(document: &DeTable<'_>, options: &LoadOptions, faults: &FaultSink<'_>) -> Config {
    let root = TableReader::new(document, Place::default(), faults);
    let is_dotidx = dotidx::recognised(&root);
    let settings = FileSettings::read(&root, !is_dotidx);
    let mut drafts = if is_dotidx { dotidx::services(&root, options.manager, faults) } else { Vec::new() };
    let common = root.table("defaults").map_or_else(WrittenCommon::default, |table| {
        let common = WrittenCommon::read(&table);
        table.finish();
        common
    });
    resolve::defaults(&common, faults);
    let written = root.tables("service");
    if written.is_empty() && !is_dotidx && faults.is_empty() {
        faults.report(root.place(), "no service is configured", "write a [[service]] table with name and unit");
    }
    let services = written.into_iter().filter_map(WrittenService::read);
    drafts.extend(services.map(|service| resolve::service(service, &common, options.manager, faults)));
    let prefix = if options.mode == Mode::Watch { WATCH_PREFIX } else { "" };
    let alerts = alerts::read(&root, prefix, options.mode == Mode::Exec, &drafts, faults);
    if !is_dotidx {
        root.finish();
    }
    for draft in &mut drafts {
        draft.spec.probes.resources &= options.resources;
        draft.spec.restart.max_restarts = options.max_restarts.unwrap_or(draft.spec.restart.max_restarts);
    }
    Config { plan: link::link(drafts, prefix, faults), settings, alerts }
}
