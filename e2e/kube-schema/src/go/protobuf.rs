//! Kubernetes' protobuf encoding, as typed clients such as kubectl send it.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Field, TYPES, Type, map_types};
use crate::Gvk;

/// A body that is not the encoding of an object of a known type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProtobuf {
    /// The body ends too early, or a length or number makes no sense.
    #[error("proto: {0}")]
    Malformed(&'static str),
    /// It is no envelope of a Kubernetes object.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoEnvelope,
    /// A type without a known encoding.
    #[error("no kind {kind:?} is registered for version {version:?}")]
    Unknown {
        /// `apiVersion` of the envelope.
        version: String,
        /// Kind in the envelope.
        kind: String,
    },
}

const MAGIC: &[u8] = b"k8s\0";

/// The JSON form of an object in its envelope. Fields at their zero value are left out where JSON leaves them out.
pub fn decode(body: &[u8]) -> Result<Value, BadProtobuf> {
    let envelope = body.strip_prefix(MAGIC).ok_or(BadProtobuf::NoEnvelope)?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &b""[..]);
    for entry in entries(envelope)? {
        match entry {
            (1, Wire::Bytes(type_meta)) => {
                for part in entries(type_meta)? {
                    match part {
                        (1, Wire::Bytes(text)) => version = utf8(text)?,
                        (2, Wire::Bytes(text)) => kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let Some(Type::Struct(fields)) = TYPES.get(go_type(&version, &kind).as_str()) else {
        return Err(BadProtobuf::Unknown { version, kind });
    };
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), version.into());
    object.insert("kind".to_owned(), kind.into());
    message(fields, raw, &mut object)?;
    Ok(Value::Object(object))
}

/// The Go type of a kind: packages are named after the first part of their group.
fn go_type(version: &str, kind: &str) -> String {
    if kind == "DeleteOptions" {
        return "meta/v1.DeleteOptions".to_owned();
    }
    let gvk = Gvk::parse(version, kind);
    let package = gvk.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
    format!("{package}/{}.{kind}", gvk.version)
}

/// A field's value on the wire.
enum Wire<'a> {
    Number(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

fn entries(mut bytes: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, BadProtobuf> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = u32::try_from(key >> 3).map_err(|_| BadProtobuf::Malformed("illegal tag"))?;
        let wire = match key & 7 {
            0 => Wire::Number(varint(&mut bytes)?),
            1 => Wire::Fixed(fixed::<8>(&mut bytes).map(u64::from_le_bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| BadProtobuf::Malformed("negative length found"))?;
                let (value, rest) = bytes.split_at_checked(length).ok_or(BadProtobuf::Malformed("unexpected EOF"))?;
                bytes = rest;
                Wire::Bytes(value)
            }
            5 => Wire::Fixed(fixed::<4>(&mut bytes).map(u32::from_le_bytes)?.into()),
            _ => return Err(BadProtobuf::Malformed("illegal wireType")),
        };
        found.push((number, wire));
    }
    Ok(found)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, BadProtobuf> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(BadProtobuf::Malformed("unexpected EOF"))?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Ok(number);
        }
    }
    Err(BadProtobuf::Malformed("integer overflow"))
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], BadProtobuf> {
    let (value, rest) = bytes.split_first_chunk::<N>().ok_or(BadProtobuf::Malformed("unexpected EOF"))?;
    *bytes = rest;
    Ok(*value)
}

fn utf8(bytes: &[u8]) -> Result<String, BadProtobuf> {
    String::from_utf8(bytes.to_vec()).map_err(|_| BadProtobuf::Malformed("string field contains invalid UTF-8"))
}

fn message(fields: &'static [Field], bytes: &[u8], into: &mut Map<String, Value>) -> Result<(), BadProtobuf> {
    for (number, wire) in entries(bytes)? {
        // What a newer client knows and this table does not is skipped.
        let Some(field) = fields.iter().find(|field| field.number == number) else { continue };
        if field.is_inline() {
            if let (Wire::Bytes(inner), Some(Type::Struct(fields))) = (&wire, TYPES.get(field.of.trim_start_matches('*'))) {
                message(fields, inner, into)?;
            }
            continue;
        }
        read_field(field, &wire, into)?;
    }
    Ok(())
}

fn read_field(field: &'static Field, wire: &Wire<'_>, into: &mut Map<String, Value>) -> Result<(), BadProtobuf> {
    let of = plain_collection(field.of);
    if let Some(element) = of.strip_prefix("[]") {
        let slot = into.entry(field.json).or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(list) = slot else { return Ok(()) };
        if let (Wire::Bytes(packed), true) = (wire, is_number(element)) {
            let mut packed = *packed;
            while !packed.is_empty() {
                list.push(value(element, &Wire::Number(varint(&mut packed)?))?);
            }
        } else {
            list.push(value(element, wire)?);
        }
        return Ok(());
    }
    if let Some((key, element)) = map_types(of) {
        let slot = into.entry(field.json).or_insert_with(|| Value::Object(Map::new()));
        if let (Wire::Bytes(entry), Value::Object(map)) = (wire, slot) {
            let (mut name, mut item) = (String::new(), value(element, &Wire::Bytes(b""))?);
            for (number, part) in entries(entry)? {
                match number {
                    1 => value(key, &part)?.as_str().unwrap_or_default().clone_into(&mut name),
                    2 => item = value(element, &part)?,
                    _ => {}
                }
            }
            map.insert(name, item);
        }
        return Ok(());
    }
    let read = value(of.trim_start_matches('*'), wire)?;
    if of.starts_with('*') || !is_zero(&read) {
        into.insert(field.json.to_owned(), read);
    }
    Ok(())
}

/// A name that stands for a map is encoded as that map; one that stands for a list is a message of its own.
fn plain_collection(of: &'static str) -> &'static str {
    match TYPES.get(of) {
        Some(Type::Alias(target)) if target.starts_with("map[") => target,
        _ => of,
    }
}

fn is_number(of: &'static str) -> bool {
    match TYPES.get(of) {
        Some(Type::Alias(target)) => is_number(target),
        _ => matches!(of, "int32" | "int64" | "bool"),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Array(_) => false,
    }
}

/// Types with an encoding of their own.
#[cfg(test)]
pub(super) fn is_special(of: &str) -> bool {
    matches!(
        of,
        "meta/v1.Time"
            | "meta/v1.MicroTime"
            | "meta/v1.Duration"
            | "api/resource.Quantity"
            | "util/intstr.IntOrString"
            | "runtime.RawExtension"
            | "meta/v1.FieldsV1"
    )
}

fn value(of: &'static str, wire: &Wire<'_>) -> Result<Value, BadProtobuf> {
    match TYPES.get(of) {
        Some(Type::Struct(fields)) => {
            let mut object = Map::new();
            if let Wire::Bytes(bytes) = wire {
                message(fields, bytes, &mut object)?;
            }
            return Ok(Value::Object(object));
        }
        Some(Type::Alias(target)) => {
            let (Some(element), Wire::Bytes(bytes)) = (target.strip_prefix("[]"), wire) else { return value(target, wire) };
            let items = entries(bytes)?.into_iter().filter(|(number, _)| *number == 1).map(|(_, item)| value(element, &item));
            return items.collect::<Result<Vec<_>, _>>().map(Value::Array);
        }
        None => {}
    }
    match (of, wire) {
        ("bool", Wire::Number(number)) => Ok(Value::Bool(*number != 0)),
        ("int32" | "int64", Wire::Number(number)) => Ok(number.cast_signed().into()),
        ("float64", Wire::Fixed(bits)) => Ok(f64::from_bits(*bits).into()),
        ("string", Wire::Bytes(bytes)) => utf8(bytes).map(Value::String),
        ("bytes", Wire::Bytes(bytes)) => Ok(STANDARD.encode(bytes).into()),
        (_, Wire::Bytes(bytes)) => special(of, bytes),
        _ => Err(BadProtobuf::Malformed("wrong wireType")),
    }
}

fn special(of: &str, bytes: &[u8]) -> Result<Value, BadProtobuf> {
    let parts = entries(bytes)?;
    let number = |wanted: u32| {
        let found = parts.iter().find_map(|(number, wire)| match wire {
            Wire::Number(value) if *number == wanted => Some(value.cast_signed()),
            _ => None,
        });
        found.unwrap_or(0)
    };
    let text = |wanted: u32| {
        let found = parts.iter().find_map(|(number, wire)| match wire {
            Wire::Bytes(value) if *number == wanted => Some(*value),
            _ => None,
        });
        found.unwrap_or_default()
    };
    match of {
        "api/resource.Quantity" => utf8(text(1)).map(Value::String),
        "util/intstr.IntOrString" if number(1) == 1 => utf8(text(3)).map(Value::String),
        "util/intstr.IntOrString" => Ok(number(2).into()),
        // The encoding of no time at all is empty.
        "meta/v1.Time" | "meta/v1.MicroTime" if bytes.is_empty() => Ok(Value::Null),
        "meta/v1.Time" => time(number(1), 0, "%Y-%m-%dT%H:%M:%SZ"),
        "meta/v1.MicroTime" => time(number(1), number(2), "%Y-%m-%dT%H:%M:%S%.6fZ"),
        "meta/v1.Duration" => Ok(format!("{}ns", number(1)).into()),
        "runtime.RawExtension" | "meta/v1.FieldsV1" if text(1).is_empty() => Ok(Value::Null),
        "runtime.RawExtension" | "meta/v1.FieldsV1" => {
            serde_json::from_slice(text(1)).map_err(|_| BadProtobuf::Malformed("an embedded object is not JSON"))
        }
        _ => Err(BadProtobuf::Malformed("wrong wireType")),
    }
}

fn time(seconds: i64, nanos: i64, format: &str) -> Result<Value, BadProtobuf> {
    let time = jiff::Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0));
    time.map(|time| time.strftime(format).to_string().into()).map_err(|_| BadProtobuf::Malformed("a time is out of range"))
}

#[cfg(test)]
mod tests;
