//! Splits the text of a filter into tokens. Linear in the text; knows no grammar.

use super::error::Refusal;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A keyword or a field name.
    Word(String),
    /// A name between backticks: never a keyword.
    Name(String),
    /// A text between single or double quotes, escapes resolved.
    Text(String),
    Int(i64),
    Double(f64),
    /// An operator, a parenthesis or a comma.
    Symbol(&'static str),
    End,
}

impl Token {
    /// How an error message calls the token.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Word(word) => format!("`{}`", shortened(word)),
            Self::Name(name) => format!("name `{}`", shortened(name)),
            Self::Text(text) => format!("text '{}'", shortened(text)),
            Self::Int(number) => format!("number {number}"),
            Self::Double(number) => format!("number {number}"),
            Self::Symbol(symbol) => format!("`{symbol}`"),
            Self::End => "the end of the query".to_owned(),
        }
    }
}

/// Keeps error messages short, whatever the client sent.
fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    let mut short: String = text.chars().take(MOST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

/// Longer symbols first: the first that fits is taken.
const SYMBOLS: [&str; 13] = ["!=", "<>", "<=", ">=", "&&", "||", "=", "<", ">", "(", ")", ",", ";"];

/// The tokens of `text` with their byte offsets; the last one is `End`.
pub(super) fn tokenize(text: &str) -> Result<Vec<(usize, Token)>, Refusal> {
    let mut tokens = Vec::new();
    let mut rest = after_blank(text, text)?;
    while let Some(first) = rest.chars().next() {
        let at = text.len() - rest.len();
        let (token, length) = match first {
            '\'' | '"' => quoted(rest, first, at).map(|(text, length)| (Token::Text(text), length))?,
            '`' => quoted(rest, first, at).map(|(name, length)| (Token::Name(name), length))?,
            '0'..='9' | '.' | '+' | '-' => number(rest, at)?,
            c if c.is_alphabetic() || c == '_' => word(rest),
            _ => symbol(rest, first, at)?,
        };
        tokens.push((at, token));
        rest = after_blank(&rest[length..], text)?;
    }
    tokens.push((text.len(), Token::End));
    Ok(tokens)
}

/// What follows on white space and comments: `-- …` to the end of the line, and `/* … */`.
fn after_blank<'a>(rest: &'a str, text: &str) -> Result<&'a str, Refusal> {
    let mut rest = rest.trim_start();
    loop {
        let end = if rest.starts_with("--") {
            Some(rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            rest.find("*/").map(|end| end + 2)
        } else {
            return Ok(rest);
        };
        let open = || Refusal::new(text.len() - rest.len(), "the comment that begins here does not end");
        rest = rest[end.ok_or_else(open)?..].trim_start();
    }
}

fn word(rest: &str) -> (Token, usize) {
    let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
    (Token::Word(rest[..length].to_owned()), length)
}

fn symbol(rest: &str, first: char, at: usize) -> Result<(Token, usize), Refusal> {
    match SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
        Some("<>") => Ok((Token::Symbol("!="), 2)),
        Some(symbol) => Ok((Token::Symbol(symbol), symbol.len())),
        None => Err(Refusal::new(at, format!("unexpected character {first:?}"))),
    }
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), Refusal> {
    let mut previous = ' ';
    let length = rest
        .find(|c: char| {
            let sign_allowed = matches!(previous, ' ' | 'e' | 'E');
            let ends = !(c.is_ascii_alphanumeric() || c == '.' || (sign_allowed && matches!(c, '+' | '-')));
            previous = c;
            ends
        })
        .unwrap_or(rest.len());
    let digits = &rest[..length];
    let token = match digits.parse::<i64>() {
        Ok(number) => Some(Token::Int(number)),
        // `f64` also parses "+inf" and "-nan", and rounds what is too large to infinity.
        Err(_) => digits.parse::<f64>().ok().filter(|number| number.is_finite()).map(Token::Double),
    };
    let token = token.ok_or_else(|| Refusal::new(at, format!("`{}` is not a number in range", shortened(digits))))?;
    Ok((token, length))
}

/// Reads up to the closing `quote`. The quote is written inside as itself doubled or after a backslash.
fn quoted(rest: &str, quote: char, at: usize) -> Result<(String, usize), Refusal> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((offset, c)) = chars.next() {
        if c == quote {
            if chars.next_if(|(_, next)| *next == quote).is_none() {
                return Ok((text, offset + quote.len_utf8()));
            }
            text.push(quote);
        } else if c == '\\' && quote != '`' {
            match chars.next() {
                Some((_, escaped)) => text.push(unescaped(escaped)),
                None => break,
            }
        } else {
            text.push(c);
        }
    }
    Err(Refusal::new(at, format!("the text that begins here has no closing {quote}")))
}

/// The escapes of `MySQL`, which Temporal's parser has too; an unknown one stands for itself.
fn unescaped(c: char) -> char {
    match c {
        '0' => '\0',
        'b' => '\u{8}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'Z' => '\u{1a}',
        other => other,
    }
}
