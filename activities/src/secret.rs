//! Secrets by reference: configuration and workflow history hold `env:NAME`, `file:/path` or `credential:NAME`; the value is
//! read here, at the moment of use, and goes nowhere but to its use.
//!
//! Errors name the reference, never the value; [`SecretString`] does not show itself in `Debug` output.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// Longest secret, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Why a reference gives no secret. None of these goes away by itself: an operator must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set, or is not text.
    #[error("secret env:{name}: the variable is not set (or is not UTF-8) in dixmgr's environment")]
    Environment {
        /// Name of the variable.
        name: String,
    },
    /// The file cannot be read.
    #[error("secret file {}: {detail}; it must be a regular file that dixmgr may read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The file is larger than a secret may be.
    #[error("secret file {} is larger than {MAX_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A credential, but dixmgr was given none.
    #[error(
        "secret credential:{name}: $CREDENTIALS_DIRECTORY is not set; run dixmgr as a systemd service with LoadCredential={name}:…"
    )]
    NoCredentials {
        /// Name of the credential.
        name: String,
    },
    /// Not the name of a credential (systemd.exec(5): a file name).
    #[error("secret credential:{name}: a credential's name is a plain file name")]
    CredentialName {
        /// What stood there.
        name: String,
    },
}

/// The value that `text` refers to; `text` itself when it is no reference. A final line break of a file is dropped.
///
/// # Errors
/// The reference leads nowhere.
pub fn resolve(text: &str) -> Result<SecretString, SecretError> {
    resolve_in(text, std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).as_deref())
}

/// Whether `text` refers to a secret instead of being the value.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    ["env:", "file:", "credential:"].iter().any(|scheme| text.starts_with(scheme))
}

fn resolve_in(text: &str, credentials: Option<&Path>) -> Result<SecretString, SecretError> {
    if let Some(name) = text.strip_prefix("env:") {
        let value = std::env::var(name).map_err(|_| SecretError::Environment { name: name.to_owned() })?;
        Ok(value.into())
    } else if let Some(path) = text.strip_prefix("file:") {
        read(Path::new(path))
    } else if let Some(name) = text.strip_prefix("credential:") {
        if name.is_empty() || name == "." || name == ".." || name.contains('/') {
            return Err(SecretError::CredentialName { name: name.to_owned() });
        }
        let directory = credentials.ok_or_else(|| SecretError::NoCredentials { name: name.to_owned() })?;
        read(&directory.join(name))
    } else {
        Ok(text.to_owned().into())
    }
}

fn read(path: &Path) -> Result<SecretString, SecretError> {
    let failed = |detail: String| SecretError::File { path: path.to_owned(), detail };
    // Asked before it is opened: opening a pipe would wait for its other end.
    let metadata = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !metadata.is_file() {
        return Err(failed("it is not a regular file".to_owned()));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(SecretError::TooLarge { path: path.to_owned() });
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(value.strip_suffix('\r').unwrap_or(value).to_owned().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret as _;

    use super::*;

    fn value(text: &str, credentials: Option<&Path>) -> Result<String, SecretError> {
        resolve_in(text, credentials).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn plain_text_is_itself() {
        assert_eq!(value("application/json", None), Ok("application/json".to_owned()));
        assert!(!is_reference("Bearer env:X") && is_reference("env:X"));
    }

    #[test]
    fn a_variable_is_read_and_a_missing_one_is_named() {
        // Cargo sets this one for every test.
        assert_eq!(value("env:CARGO_PKG_NAME", None), Ok("dixmgr-activities".to_owned()));
        let error = value("env:DIXMGR_NO_SUCH_VARIABLE", None).unwrap_err();
        assert!(error.to_string().contains("env:DIXMGR_NO_SUCH_VARIABLE"), "{error}");
    }

    #[test]
    fn files_and_credentials_are_read_without_their_last_line_break() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("token"), "s3cret\r\n").unwrap();
        let path = directory.path().join("token");
        assert_eq!(value(&format!("file:{}", path.display()), None), Ok("s3cret".to_owned()));
        assert_eq!(value("credential:token", Some(directory.path())), Ok("s3cret".to_owned()));
        assert!(matches!(value("credential:token", None), Err(SecretError::NoCredentials { .. })));
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let large = directory.path().join("large");
        std::fs::write(&large, vec![b'x'; 100_000]).unwrap();
        assert!(matches!(value(&format!("file:{}", large.display()), None), Err(SecretError::TooLarge { .. })));
        assert!(matches!(value("file:/dev/zero", None), Err(SecretError::File { .. })));
        assert!(matches!(value("file:/no/such/file", None), Err(SecretError::File { .. })));
        for name in ["", "..", "a/b", "../token"] {
            let error = value(&format!("credential:{name}"), Some(directory.path()));
            assert!(matches!(error, Err(SecretError::CredentialName { .. })), "{name:?}");
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = resolve("s3cret").unwrap();
        assert!(!format!("{secret:?}").contains("s3cret"));
    }
}
