//! Protobuf messages as JSON, by the rules of protobuf's own mapping (ProtoJSON): what `temporal` prints and what SDKs replay.
//!
//! It reads a message's bytes beside the descriptions that the engine carries, so that every message of the API is covered. The
//! messages that Temporal's API takes from `google.protobuf` are times, durations and plain messages; the others need no rule here.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use serde_json::{Map, Value};

/// Deepest nesting that is followed, as prost itself has it.
const DEPTH: u8 = 100;

/// Bytes that are not such a message.
#[derive(Debug, thiserror::Error)]
#[error("a message cannot be shown as JSON: {0}")]
pub struct Malformed(String);

/// The messages and enumerations that are known, by their full names with a dot before them.
pub(crate) struct Schema {
    messages: HashMap<String, DescriptorProto>,
    enums: HashMap<String, HashMap<i32, String>>,
}

impl Schema {
    /// Reads the descriptions of Temporal's API.
    pub(crate) fn of_temporal() -> Result<Self, Malformed> {
        let set = FileDescriptorSet::decode(dixmgr_engine::wire::DESCRIPTORS).map_err(malformed)?;
        let mut schema = Self { messages: HashMap::new(), enums: HashMap::new() };
        for file in set.file {
            let scope = format!(".{}", file.package.unwrap_or_default());
            for message in file.message_type {
                schema.add(&scope, message);
            }
            for found in &file.enum_type {
                schema.add_enum(&scope, found);
            }
        }
        Ok(schema)
    }

    fn add(&mut self, scope: &str, mut message: DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        for nested in std::mem::take(&mut message.nested_type) {
            self.add(&name, nested);
        }
        for found in &message.enum_type {
            self.add_enum(&name, found);
        }
        self.messages.insert(name, message);
    }

    fn add_enum(&mut self, scope: &str, found: &EnumDescriptorProto) {
        let values = found.value.iter().map(|value| (value.number(), value.name().to_owned()));
        self.enums.insert(format!("{scope}.{}", found.name()), values.collect());
    }

    /// A message as JSON.
    pub(crate) fn json<M: Message + prost::Name>(&self, message: &M) -> Result<Value, Malformed> {
        self.message(&format!(".{}", M::full_name()), &message.encode_to_vec(), DEPTH)
    }

    fn message(&self, name: &str, bytes: &[u8], depth: u8) -> Result<Value, Malformed> {
        match name {
            ".google.protobuf.Timestamp" => return timestamp(bytes),
            ".google.protobuf.Duration" => return duration(bytes),
            _ => {}
        }
        let depth = depth.checked_sub(1).ok_or_else(|| Malformed("it is nested too deeply".to_owned()))?;
        let kind = self.messages.get(name).ok_or_else(|| Malformed(format!("{name} is not known")))?;
        let mut object = Map::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, wire) = decode_key(&mut rest).map_err(malformed)?;
            let raw = Raw::read(wire, &mut rest)?;
            // Fields of a later version of the API are left out.
            let field = kind.field.iter().find(|field| i64::from(field.number()) == i64::from(number));
            if let Some(field) = field {
                self.put(&mut object, field, &raw, depth)?;
            }
        }
        Ok(Value::Object(object))
    }

    fn put(
        &self,
        object: &mut Map<String, Value>,
        field: &FieldDescriptorProto,
        raw: &Raw<'_>,
        depth: u8,
    ) -> Result<(), Malformed> {
        let key = field.json_name.clone().unwrap_or_else(|| camel(field.name()));
        if field.label() != Label::Repeated {
            object.insert(key, self.value(field, raw, depth)?);
            return Ok(());
        }
        if self.is_map(field) {
            let Value::Object(mut entry) = self.value(field, raw, depth)? else { return Ok(()) };
            let name = entry.remove("key").unwrap_or_default();
            let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
            let entries = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(entries) = entries {
                entries.insert(name, entry.remove("value").unwrap_or_default());
            }
            return Ok(());
        }
        let items = object.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(items) = items else { return Ok(()) };
        match raw {
            Raw::Bytes(packed) if !matches!(field.r#type(), Type::String | Type::Bytes | Type::Message) => {
                let mut packed = *packed;
                while !packed.is_empty() {
                    let raw = Raw::read(packed_wire(field.r#type()), &mut packed)?;
                    items.push(self.value(field, &raw, depth)?);
                }
            }
            raw => items.push(self.value(field, raw, depth)?),
        }
        Ok(())
    }

    fn is_map(&self, field: &FieldDescriptorProto) -> bool {
        let entry = self.messages.get(field.type_name());
        entry.and_then(|entry| entry.options.as_ref()).is_some_and(prost_types::MessageOptions::map_entry)
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "protobuf's own reading of a varint"
    )]
    fn value(&self, field: &FieldDescriptorProto, raw: &Raw<'_>, depth: u8) -> Result<Value, Malformed> {
        Ok(match (field.r#type(), raw) {
            (Type::Message, Raw::Bytes(bytes)) => self.message(field.type_name(), bytes, depth)?,
            (Type::String, Raw::Bytes(bytes)) => String::from_utf8_lossy(bytes).into(),
            (Type::Bytes, Raw::Bytes(bytes)) => STANDARD.encode(bytes).into(),
            (Type::Bool, Raw::Number(number)) => (*number != 0).into(),
            (Type::Enum, Raw::Number(number)) => {
                let number = *number as i32;
                let name = self.enums.get(field.type_name()).and_then(|names| names.get(&number));
                name.map_or_else(|| number.into(), |name| name.as_str().into())
            }
            (Type::Int32 | Type::Sfixed32, Raw::Number(number)) => (*number as i32).into(),
            (Type::Uint32 | Type::Fixed32, Raw::Number(number)) => (*number as u32).into(),
            (Type::Int64 | Type::Sfixed64, Raw::Number(number)) => (*number as i64).to_string().into(),
            (Type::Uint64 | Type::Fixed64, Raw::Number(number)) => number.to_string().into(),
            (Type::Sint32, Raw::Number(number)) => (zigzag(*number) as i32).into(),
            (Type::Sint64, Raw::Number(number)) => zigzag(*number).to_string().into(),
            (Type::Float, Raw::Number(number)) => f32::from_bits(*number as u32).into(),
            (Type::Double, Raw::Number(number)) => f64::from_bits(*number).into(),
            _ => return Err(Malformed(format!("{} is not of its type", field.name()))),
        })
    }
}

/// One value as it stands on the wire.
enum Raw<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Raw<'a> {
    fn read(wire: WireType, rest: &mut &'a [u8]) -> Result<Self, Malformed> {
        Ok(match wire {
            WireType::Varint => Self::Number(decode_varint(rest).map_err(malformed)?),
            WireType::SixtyFourBit => Self::Number(u64::from_le_bytes(fixed(take(rest, 8)?))),
            WireType::ThirtyTwoBit => Self::Number(u64::from(u32::from_le_bytes(fixed(take(rest, 4)?)))),
            WireType::LengthDelimited => {
                let length = decode_varint(rest).map_err(malformed)?;
                Self::Bytes(take(rest, usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            WireType::StartGroup | WireType::EndGroup => return Err(Malformed("it has groups".to_owned())),
        })
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (taken, left) = rest.split_at_checked(length).ok_or_else(|| Malformed("it ends early".to_owned()))?;
    *rest = left;
    Ok(taken)
}

/// As many bytes as a number has; [`take`] has counted them.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

fn packed_wire(kind: Type) -> WireType {
    match kind {
        Type::Double | Type::Fixed64 | Type::Sfixed64 => WireType::SixtyFourBit,
        Type::Float | Type::Fixed32 | Type::Sfixed32 => WireType::ThirtyTwoBit,
        _ => WireType::Varint,
    }
}

#[allow(clippy::cast_possible_wrap, reason = "protobuf's own reading of a signed varint")]
fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn camel(name: &str) -> String {
    let mut text = String::new();
    let mut upper = false;
    for letter in name.chars() {
        if letter != '_' {
            text.push(if upper { letter.to_ascii_uppercase() } else { letter });
        }
        upper = letter == '_';
    }
    text
}

fn timestamp(bytes: &[u8]) -> Result<Value, Malformed> {
    let time = prost_types::Timestamp::decode(bytes).map_err(malformed)?;
    let time = jiff::Timestamp::new(time.seconds, time.nanos).map_err(malformed)?;
    let whole = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    Ok(format!("{whole}{}Z", fraction(time.subsec_nanosecond().unsigned_abs())).into())
}

fn duration(bytes: &[u8]) -> Result<Value, Malformed> {
    let length = prost_types::Duration::decode(bytes).map_err(malformed)?;
    let sign = if length.seconds < 0 || length.nanos < 0 { "-" } else { "" };
    let length = Duration::new(length.seconds.unsigned_abs(), length.nanos.unsigned_abs().min(999_999_999));
    Ok(format!("{sign}{}{}s", length.as_secs(), fraction(length.subsec_nanos())).into())
}

/// Nothing, or a dot and 3, 6 or 9 digits.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        nanos if nanos.is_multiple_of(1_000_000) => format!(".{:03}", nanos / 1_000_000),
        nanos if nanos.is_multiple_of(1_000) => format!(".{:06}", nanos / 1_000),
        nanos => format!(".{nanos:09}"),
    }
}

fn malformed(error: impl std::fmt::Display) -> Malformed {
    Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;
    use temporalio_common::protos::temporal::api::common::v1::{Payload, Payloads, RetryPolicy};

    use super::*;

    #[test]
    fn messages_are_written_by_the_rules_of_protobuf() {
        let schema = Schema::of_temporal().unwrap();
        let payload = Payload {
            metadata: [("encoding".to_owned(), b"x".to_vec())].into(),
            data: b"1".to_vec(),
            ..Payload::default()
        };
        let written = schema.json(&Payloads { payloads: vec![payload] }).unwrap();
        assert_eq!(written, json!({ "payloads": [{ "metadata": { "encoding": "eA==" }, "data": "MQ==" }] }));
        let interval = "1.5s".parse::<prost_types::Duration>().unwrap();
        assert_eq!(duration(&interval.encode_to_vec()).unwrap(), json!("1.500s"));
        let policy = RetryPolicy { backoff_coefficient: 2.0, maximum_attempts: -1, ..RetryPolicy::default() };
        assert_eq!(schema.json(&policy).unwrap(), json!({ "backoffCoefficient": 2.0, "maximumAttempts": -1 }));
    }

    #[test]
    fn broken_bytes_are_an_error_and_no_panic() {
        let schema = Schema::of_temporal().unwrap();
        for bytes in [&[0x0a, 0xff][..], &[0x0b], &[0x08], &[0x0a, 0x80, 0x80]] {
            assert!(schema.message(".temporal.api.common.v1.Payloads", bytes, DEPTH).is_err(), "{bytes:?}");
        }
        assert!(schema.message(".no.such.Message", b"", DEPTH).is_err());
    }
}
