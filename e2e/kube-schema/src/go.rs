//! What can only be told from Kubernetes' own Go types: their protobuf encoding, and the form in which pod templates are hashed.
//!
//! `data/go-types.txt` lists the types of Kubernetes 1.36 in the order of their declaration: a line with the type's name, then one a field:
//! its protobuf number, its name in Go, its name in JSON (`-` if its fields are those of the type around it) and its type. Names of other
//! types stand on one line with what they stand for.
mod dump;
mod protobuf;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use dump::dump;
pub use protobuf::{BadProtobuf, decode};

static TYPES: LazyLock<HashMap<&'static str, Type>> = LazyLock::new(|| read(include_str!("../data/go-types.txt")));

/// A field of a struct.
struct Field {
    number: u32,
    name: &'static str,
    json: &'static str,
    of: &'static str,
}

impl Field {
    /// Whether the fields of its type stand among those of the type around it.
    fn is_inline(&self) -> bool {
        self.json == "-"
    }
}

/// A named type.
enum Type {
    Struct(Vec<Field>),
    Alias(&'static str),
}

fn read(text: &'static str) -> HashMap<&'static str, Type> {
    let mut types = HashMap::new();
    let mut open: Option<(&str, Vec<Field>)> = None;
    for line in text.lines() {
        if let Some(field) = line.strip_prefix(' ') {
            if let (Some((_, fields)), Some(field)) = (&mut open, read_field(field)) {
                fields.push(field);
            }
            continue;
        }
        if let Some((name, fields)) = open.take() {
            types.insert(name, Type::Struct(fields));
        }
        match line.split_once(" = ") {
            Some((name, target)) => drop(types.insert(name, Type::Alias(target))),
            None => open = Some((line, Vec::new())),
        }
    }
    if let Some((name, fields)) = open {
        types.insert(name, Type::Struct(fields));
    }
    types
}

fn read_field(line: &'static str) -> Option<Field> {
    let mut words = line.split(' ');
    Some(Field { number: words.next()?.parse().ok()?, name: words.next()?, json: words.next()?, of: words.next()? })
}

/// Key and value of a map type.
fn map_types(of: &'static str) -> Option<(&'static str, &'static str)> {
    of.strip_prefix("map[")?.split_once(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_named_is_known() {
        const OPAQUE: &[&str] = &["string", "bool", "int32", "int64", "float64", "bytes"];
        let mut missing = Vec::new();
        let targets = TYPES.values().flat_map(|known| match known {
            Type::Struct(fields) => fields.iter().map(|field| field.of).collect(),
            Type::Alias(target) => vec![*target],
        });
        for target in targets {
            let parts = map_types(target).map_or(vec![target], |(key, value)| vec![key, value]);
            for part in parts {
                let bare = part.trim_start_matches(['*', '[', ']']);
                if !OPAQUE.contains(&bare) && !TYPES.contains_key(bare) && !protobuf::is_special(bare) {
                    missing.push(bare);
                }
            }
        }
        assert_eq!(missing, Vec::<&str>::new());
    }
}
