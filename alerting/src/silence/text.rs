//! Matchers as people write them, in the forms that `amtool` takes: `service=db`, `service=~"db-.*"`, `severity!=info`.

use dixmgr_model::Matcher;

use super::is_label;

/// Why a text is not a matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a matcher: {problem}; write it like service=db, service=~\"db-.*\" or severity!=info")]
pub struct MatcherError {
    /// What stood there.
    text: String,
    /// What is wrong with it.
    problem: &'static str,
}

/// Signs between name and value, the longer ones first, with what they mean: expression, must fit.
const SIGNS: [(&str, bool, bool); 4] =
    [("=~", true, true), ("!~", true, false), ("!=", false, false), ("=", false, true)];

/// Reads one matcher.
///
/// # Errors
/// Says what is wrong with it.
pub fn matcher(text: &str) -> Result<Matcher, MatcherError> {
    let wrong = |problem| MatcherError { text: text.chars().take(200).collect(), problem };
    let at = text.find(['=', '!']).ok_or(wrong("there is no =, !=, =~ or !~ in it"))?;
    let (name, rest) = text.split_at(at);
    let (sign, is_regex, is_equal) =
        SIGNS.into_iter().find(|(sign, ..)| rest.starts_with(sign)).ok_or(wrong("! stands alone"))?;
    let name = name.trim();
    if !is_label(name) {
        return Err(wrong("a label's name has letters, digits and _"));
    }
    let value = unquoted(rest[sign.len()..].trim()).ok_or(wrong("its quotation marks do not end it"))?;
    Ok(Matcher { name: name.to_owned(), value, is_regex, is_equal })
}

/// The text within quotation marks, or the text itself if it has none.
fn unquoted(text: &str) -> Option<String> {
    let Some(rest) = text.strip_prefix('"') else { return (!text.contains('"')).then(|| text.to_owned()) };
    let mut value = String::new();
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return characters.next().is_none().then_some(value),
            // What is no escape stays as it is: expressions have backslashes of their own.
            '\\' => match characters.next()? {
                quoted @ ('"' | '\\') => value.push(quoted),
                'n' => value.push('\n'),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read() {
        let read = |text| {
            let Matcher { name, value, is_regex, is_equal } = matcher(text).unwrap();
            (name, value, is_regex, is_equal)
        };
        let of = |name: &str, value: &str, is_regex, is_equal| (name.to_owned(), value.to_owned(), is_regex, is_equal);
        assert_eq!(read("service=db"), of("service", "db", false, true));
        assert_eq!(read("service = \"a b\""), of("service", "a b", false, true));
        assert_eq!(read(r#"service=~"db-\d+""#), of("service", r"db-\d+", true, true));
        assert_eq!(read(r#"a!~"x\"y\\z""#), of("a", "x\"y\\z", true, false));
        assert_eq!(read("a!="), of("a", "", false, false));
        assert_eq!(read("a=b=c"), of("a", "b=c", false, true));
    }

    #[test]
    fn what_is_none_is_told() {
        for text in ["", "db", "=x", "1a=x", "a!x", "a=\"x", "a=\"x\"y", "a=x\"", "a-b=c"] {
            let error = matcher(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(value in "[a-z\"\\\\ .*]{0,20}", is_regex: bool, is_equal: bool) {
            let shown = Matcher { name: "service".to_owned(), value, is_regex, is_equal };
            prop_assert_eq!(matcher(&shown.to_string()).unwrap(), shown);
        }

        #[test]
        fn never_panics(text in ".*") {
            let _ = matcher(&text);
        }
    }
}
