//! Page tokens: the sort values of the last hit. Clients must treat them as opaque, and may send anything back.

use rusqlite::types::Value;

const VERSION: u8 = 1;
const INTEGER: u8 = 0;
const REAL: u8 = 1;

/// The token for a page that begins after `position`.
pub(super) fn encode(position: &[Value]) -> Vec<u8> {
    let mut token = vec![VERSION];
    for value in position {
        match value {
            Value::Real(number) => {
                token.push(REAL);
                token.extend(number.to_be_bytes());
            }
            Value::Integer(number) => {
                token.push(INTEGER);
                token.extend(number.to_be_bytes());
            }
            // Sort columns are numbers that are never NULL.
            Value::Null | Value::Text(_) | Value::Blob(_) => {}
        }
    }
    token
}

/// The position in `token`, if it has `width` values.
pub(super) fn decode(token: &[u8], width: usize) -> Option<Vec<Value>> {
    let (version, values) = token.split_first()?;
    if *version != VERSION || values.len() != width * 9 {
        return None;
    }
    values.chunks_exact(9).map(value).collect()
}

fn value(chunk: &[u8]) -> Option<Value> {
    let (kind, bytes) = chunk.split_first()?;
    let bytes = bytes.try_into().ok()?;
    match *kind {
        INTEGER => Some(Value::Integer(i64::from_be_bytes(bytes))),
        REAL => Some(f64::from_be_bytes(bytes)).filter(|number| !number.is_nan()).map(Value::Real),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_and_foreign_ones_are_refused() {
        let position = vec![Value::Integer(i64::MAX), Value::Real(-1.5), Value::Integer(7)];
        let token = encode(&position);
        assert_eq!(decode(&token, 3), Some(position));
        assert_eq!(decode(&token, 2), None);
        assert_eq!(decode(&token[..token.len() - 1], 3), None);
        assert_eq!(decode(b"not a token of ours, but long", 3), None);
        assert_eq!(decode(&[], 0), None);
    }
}
