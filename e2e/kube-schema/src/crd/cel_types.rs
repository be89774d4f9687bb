//! Which fields a CEL expression selects: the server refuses a rule that selects a field which the schema does not declare.
use std::collections::BTreeMap;

use kube_cel::cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr, SelectExpr};
use serde_json::Value;

/// What is known about the type of an expression.
#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    /// Anything.
    Dynamic,
    /// A value of this schema; `true` for an object with metadata.
    Node(&'a Value, bool),
    /// Metadata, of which rules see the names alone.
    Metadata,
}

type Scope<'a> = BTreeMap<String, Kind<'a>>;

/// The first problem of an expression over a value of `schema`, as the compiler words it. `is_root` adds an object's own fields.
pub(super) fn problem(source: &str, expression: &IdedExpr, schema: &Value, is_root: bool, old_self: bool) -> Option<String> {
    let mut scope = Scope::new();
    scope.insert("self".to_owned(), Kind::Node(schema, is_root));
    if old_self {
        scope.insert("oldSelf".to_owned(), Kind::Node(schema, is_root));
    }
    let mut checker = Checker { found: None };
    checker.kind(&expression.expr, &scope);
    checker.found.map(|(text, needle)| place(source, &text, &needle))
}

/// An error with the line and the place in it.
fn place(source: &str, text: &str, needle: &str) -> String {
    let at = source.find(needle).unwrap_or(0);
    let before = source.get(..at).unwrap_or_default();
    let (row, column) = (before.matches('\n').count(), before.rsplit('\n').next().unwrap_or_default().chars().count());
    let line = source.lines().nth(row).unwrap_or(source);
    format!("ERROR: <input>:{}:{}: {text}\n | {line}\n | {}^", row + 1, column + 1, ".".repeat(column))
}

/// Names that a rule may use without declaring them: types and namespaces of functions.
const GLOBALS: &[&str] = &[
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "dyn",
    "optional",
    "math",
    "sets",
    "strings",
    "ip",
    "cidr",
    "format",
    "base64",
    "google",
    "semver",
    "quantity",
    "lists",
    "cel",
    "regex",
    "url",
];

struct Checker {
    found: Option<(String, String)>,
}

impl Checker {
    fn kind<'a>(&mut self, expression: &Expr, scope: &Scope<'a>) -> Kind<'a> {
        match expression {
            Expr::Ident(name) => self.identifier(name, scope),
            Expr::Select(select) => self.select(select, scope),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, scope),
            Expr::Call(call) => {
                let target = call.target.as_ref().map(|t| self.kind(&t.expr, scope));
                let args: Vec<Kind<'a>> = call.args.iter().map(|a| self.kind(&a.expr, scope)).collect();
                match (call.func_name.as_str(), target, args.as_slice()) {
                    ("_[_]", _, [of, ..]) => element(*of),
                    ("_?_:_", _, [_, yes, _]) => *yes,
                    _ => Kind::Dynamic,
                }
            }
            Expr::List(list) => {
                for item in &list.elements {
                    self.kind(&item.expr, scope);
                }
                Kind::Dynamic
            }
            Expr::Map(map) => {
                self.entries(map.entries.iter().map(|e| &e.expr), scope);
                Kind::Dynamic
            }
            Expr::Struct(value) => {
                self.entries(value.entries.iter().map(|e| &e.expr), scope);
                Kind::Dynamic
            }
            Expr::Literal(_) | Expr::Unspecified => Kind::Dynamic,
        }
    }

    fn entries<'e>(&mut self, entries: impl Iterator<Item = &'e EntryExpr>, scope: &Scope<'_>) {
        for entry in entries {
            match entry {
                EntryExpr::StructField(field) => self.kind(&field.value.expr, scope),
                EntryExpr::MapEntry(entry) => {
                    self.kind(&entry.key.expr, scope);
                    self.kind(&entry.value.expr, scope)
                }
            };
        }
    }

    fn identifier<'a>(&mut self, name: &str, scope: &Scope<'a>) -> Kind<'a> {
        if let Some(kind) = scope.get(name) {
            return *kind;
        }
        if !GLOBALS.contains(&name) && !name.starts_with('@') {
            self.note(format!("undeclared reference to '{name}' (in container '')"), name.to_owned());
        }
        Kind::Dynamic
    }

    fn select<'a>(&mut self, select: &SelectExpr, scope: &Scope<'a>) -> Kind<'a> {
        let of = self.kind(&select.operand.expr, scope);
        if let Ok(kind) = field(of, &select.field) {
            kind
        } else {
            self.note(format!("undefined field '{}'", select.field), format!(".{}", select.field));
            Kind::Dynamic
        }
    }

    fn comprehension<'a>(&mut self, comprehension: &ComprehensionExpr, scope: &Scope<'a>) -> Kind<'a> {
        let over = self.kind(&comprehension.iter_range.expr, scope);
        let mut inner = scope.clone();
        let first = match over {
            Kind::Node(schema, _) if schema.get("items").is_some() && comprehension.iter_var2.is_none() => element(over),
            _ => Kind::Dynamic,
        };
        inner.insert(comprehension.iter_var.clone(), first);
        if let Some(second) = &comprehension.iter_var2 {
            inner.insert(second.clone(), element(over));
        }
        inner.insert(comprehension.accu_var.clone(), Kind::Dynamic);
        self.kind(&comprehension.accu_init.expr, scope);
        for part in [&comprehension.loop_cond, &comprehension.loop_step, &comprehension.result] {
            self.kind(&part.expr, &inner);
        }
        Kind::Dynamic
    }

    fn note(&mut self, text: String, needle: String) {
        self.found.get_or_insert((text, needle));
    }
}

/// The type of a list's elements or a map's values.
fn element(of: Kind<'_>) -> Kind<'_> {
    match of {
        Kind::Node(schema, _) => {
            let below = schema.get("items").or_else(|| schema.get("additionalProperties")).filter(|s| s.is_object());
            below.map_or(Kind::Dynamic, |s| Kind::Node(s, is_embedded(s)))
        }
        _ => Kind::Dynamic,
    }
}

fn is_embedded(schema: &Value) -> bool {
    schema.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true))
}

/// The type of a field, or an error if there is none of that name.
fn field<'a>(of: Kind<'a>, name: &str) -> Result<Kind<'a>, ()> {
    match of {
        Kind::Dynamic => Ok(Kind::Dynamic),
        Kind::Metadata => {
            if matches!(name, "name" | "generateName") {
                Ok(Kind::Dynamic)
            } else {
                Err(())
            }
        }
        Kind::Node(schema, is_object) => {
            if is_object {
                match name {
                    "metadata" => return Ok(Kind::Metadata),
                    "apiVersion" | "kind" => return Ok(Kind::Dynamic),
                    _ => {}
                }
            }
            if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                return Ok(Kind::Dynamic);
            }
            let declared = schema.get("properties").and_then(|p| p.get(unescaped(name)));
            let any = schema.get("additionalProperties").filter(|a| a.is_object());
            match declared.or(any) {
                Some(found) => Ok(Kind::Node(found, is_embedded(found))),
                None => Err(()),
            }
        }
    }
}

/// Field names that are no identifiers are spelt with escapes in rules.
fn unescaped(name: &str) -> String {
    let plain = name.replace("__underscores__", "__").replace("__dot__", ".").replace("__dash__", "-").replace("__slash__", "/");
    match plain.strip_prefix("__").and_then(|n| n.strip_suffix("__")) {
        Some(keyword) if !keyword.is_empty() => keyword.to_owned(),
        _ => plain,
    }
}
