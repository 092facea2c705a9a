//! A command line written as one string, split into words as a shell would, but without a shell's powers.

/// Why a command line cannot be split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SplitError {
    #[error("a quote is opened and never closed")]
    OpenQuote,
    #[error("the text ends in the middle of an escape")]
    OpenEscape,
    #[error("{0:?} would need a shell, and there is none here")]
    NeedsShell(char),
}

/// Characters that mean something to a shell when they are not quoted.
const SHELL: &str = "|&;<>()$`*?[#~{}!\n";

/// Splits at blanks; `'…'` and `"…"` keep blanks, `\` takes the next character as it is.
pub(super) fn split(text: &str) -> Result<Vec<String>, SplitError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.trim().chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => quoted(c, &mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(chars.next().ok_or(SplitError::OpenEscape)?),
            c if SHELL.contains(c) => return Err(SplitError::NeedsShell(c)),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Reads up to the closing quote. Inside `"…"` a `\` escapes `"` and `\`, and `$` and a backtick still want a shell.
fn quoted(quote: char, chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), SplitError> {
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => match chars.next().ok_or(SplitError::OpenEscape)? {
                escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            c @ ('$' | '`') if quote == '"' => return Err(SplitError::NeedsShell(c)),
            c => word.push(c),
        }
    }
    Err(SplitError::OpenQuote)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splits_as_a_shell_does() {
        assert_eq!(split("  /bin/echo a  b ").unwrap(), ["/bin/echo", "a", "b"]);
        assert_eq!(split(r#"x 'a b' "c \"d" e\ f g'h'"#).unwrap(), ["x", "a b", "c \"d", "e f", "gh"]);
        assert_eq!(split("x ''").unwrap(), ["x", ""]);
        assert!(split("").unwrap().is_empty());
    }

    #[test]
    fn refuses_what_only_a_shell_can_do() {
        assert_eq!(split("a | b"), Err(SplitError::NeedsShell('|')));
        assert_eq!(split("a \"$HOME\""), Err(SplitError::NeedsShell('$')));
        assert_eq!(split("a 'b"), Err(SplitError::OpenQuote));
        assert_eq!(split("a \\"), Err(SplitError::OpenEscape));
        assert_eq!(split("a '$HOME'").unwrap(), ["a", "$HOME"]);
    }

    proptest! {
        #[test]
        fn what_is_quoted_comes_back(words in prop::collection::vec("[^']{0,12}", 1..6)) {
            let text: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            prop_assert_eq!(split(&text.join(" ")).unwrap(), words);
        }

        #[test]
        fn never_panics(text in ".*") {
            let _ = split(&text);
        }
    }
}
