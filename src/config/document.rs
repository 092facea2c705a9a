//! A configuration with the text that says it.

use std::path::Path;

use super::source::Source;
use super::{Config, ConfigError, LoadOptions, understand};

/// A text that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The TOML, as it was written.
    pub text: String,
    /// What it means.
    pub config: Config,
}

impl Document {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// All faults of the file, in its order.
    pub fn read(path: &Path, options: &LoadOptions) -> Result<Self, ConfigError> {
        Self::of(Source::read(path)?, options)
    }

    /// Reads a text; `name` stands for the file in faults.
    ///
    /// # Errors
    /// All faults of the text, in its order.
    pub fn parse(name: &str, text: String, options: &LoadOptions) -> Result<Self, ConfigError> {
        Self::of(Source::from_bytes(name, text.into_bytes())?, options)
    }

    /// The text of a file, whatever it says.
    ///
    /// # Errors
    /// It cannot be read, or can be no configuration at all.
    pub fn read_text(path: &Path) -> Result<String, ConfigError> {
        Source::read(path).map(Source::into_text)
    }

    fn of(source: Source, options: &LoadOptions) -> Result<Self, ConfigError> {
        let config = understand(&source, options)?;
        Ok(Self { text: source.into_text(), config })
    }
}
