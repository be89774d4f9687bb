//! JSON as values of the Common Expression Language.
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube_cel::KubeCelExt;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, Program, Value as Cel};
use serde_json::Value;

use crate::schema::{Schema, Type};

/// Reads texts whose format gives them a type of their own.
struct Typed {
    context: Context<'static>,
    timestamp: Option<Program>,
    duration: Option<Program>,
}

thread_local! {
    static TYPED: Typed = Typed {
        context: Context::default().with_all(),
        timestamp: Program::compile("timestamp(text)").ok(),
        duration: Program::compile("duration(text)").ok(),
    };
}

type Programs = Mutex<HashMap<String, Result<Arc<Program>, String>>>;

/// Compiled expressions by their text: a definition is read again and again in many runs, and compiling is what costs.
static PROGRAMS: LazyLock<Programs> = LazyLock::new(Programs::default);

/// Compiles an expression, once.
pub(super) fn compile(source: &str) -> Result<Arc<Program>, String> {
    let mut programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = programs.get(source) {
        return known.clone();
    }
    let compiled = Program::compile(source).map(Arc::new).map_err(|errors| errors.to_string().trim_end().to_owned());
    programs.insert(source.to_owned(), compiled.clone());
    compiled
}

/// Runs `f` with a context that has the server's functions.
pub(super) fn with_functions<T>(f: impl FnOnce(&Context<'_>) -> T) -> T {
    TYPED.with(|typed| f(&typed.context))
}

/// A value as rules see it.
pub(super) fn convert(schema: Option<&Schema>, value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(b) => Cel::Bool(*b),
        Value::Number(n) => match n.as_i64() {
            Some(i) if schema.is_none_or(|s| s.kind != Type::Number) => Cel::Int(i),
            _ => Cel::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => convert_text(schema, text),
        Value::Array(list) => {
            let items = schema.and_then(|s| s.items.as_deref());
            Cel::List(Arc::new(list.iter().map(|item| convert(items, item)).collect()))
        }
        Value::Object(map) => {
            let fields = map.iter().map(|(name, child)| {
                let declared = schema.is_some_and(|s| s.property(name).is_some());
                let key = if declared { escape(name) } else { name.clone() };
                let child_schema = schema.and_then(|s| s.field(name)).map(AsRef::as_ref);
                (Key::String(Arc::new(key)), convert(child_schema, child))
            });
            Cel::Map(Map { map: Arc::new(fields.collect::<HashMap<_, _>>()) })
        }
    }
}

fn convert_text(schema: Option<&Schema>, text: &str) -> Cel {
    let plain = || Cel::String(Arc::new(text.to_owned()));
    let read = |program: fn(&Typed) -> Option<&Program>| {
        TYPED.with(|typed| {
            let mut scope = typed.context.new_inner_scope();
            scope.add_variable_from_value("text", plain());
            program(typed).and_then(|p| p.execute(&scope).ok())
        })
    };
    match schema.map_or("", |s| s.format.as_str()) {
        "date-time" => read(|t| t.timestamp.as_ref()).unwrap_or_else(plain),
        "duration" => read(|t| t.duration.as_ref()).unwrap_or_else(plain),
        "byte" => STANDARD.decode(text).map_or_else(|_| plain(), |bytes| Cel::Bytes(Arc::new(bytes))),
        _ => plain(),
    }
}

const KEYWORDS: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The name by which rules select a field.
fn escape(name: &str) -> String {
    if KEYWORDS.contains(&name) {
        return format!("__{name}__");
    }
    if !name.contains("__") && !name.contains(['.', '-', '/']) {
        return name.to_owned();
    }
    name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_identifiers_are_escaped() {
        for (name, wanted) in [
            ("a-b", "a__dash__b"),
            ("my_field", "my_field"),
            ("a__b", "a__underscores__b"),
            ("if", "__if__"),
            ("x.y/z", "x__dot__y__slash__z"),
        ] {
            assert_eq!(escape(name), wanted);
        }
    }
}
