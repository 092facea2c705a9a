//! Why a list filter was refused.

/// A list filter that cannot be used. Displays as `invalid query: …`, ready for an `INVALID_ARGUMENT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid query: at position {position}: {message}")]
pub struct QueryError {
    /// Where in the text, in characters from 1.
    pub position: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// A refusal that knows only its byte offset, on its way to where the text is known.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) offset: usize,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }

    pub(super) fn in_text(self, text: &str) -> QueryError {
        let before = text.char_indices().take_while(|(at, _)| *at < self.offset).count();
        QueryError { position: before + 1, message: self.message }
    }
}
