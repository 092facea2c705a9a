//! The configuration reader, through its front door.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alerts;
mod dotidx;
mod examples;
mod faults;
mod meaning;
mod properties;

use dixmgr_model::{Mode, ServiceSpec};

use super::{Config, ConfigError, LoadOptions, ManagerKind};

const SYSTEMD: LoadOptions =
    LoadOptions { mode: Mode::Exec, manager: ManagerKind::Systemd, resources: true, max_restarts: None };
const DIRECT: LoadOptions = LoadOptions { manager: ManagerKind::Direct, ..SYSTEMD };

fn parse(text: &str) -> Result<Config, ConfigError> {
    super::parse("x.toml", text, &SYSTEMD)
}

fn service<'c>(config: &'c Config, name: &str) -> &'c ServiceSpec {
    config.plan.services.iter().find(|spec| spec.name == name).expect(name)
}

fn names(config: &Config) -> Vec<&str> {
    config.plan.services.iter().map(|spec| spec.name.as_str()).collect()
}
