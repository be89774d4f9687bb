//! One schema type for built-in types and for the structural schemas of custom resources.
mod builtin;
mod openapi;

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

pub use builtin::builtin;
pub(crate) use builtin::object_meta;
pub use openapi::from_openapi;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// An integer or a string.
    IntOrString,
    /// A quantity: a string or a number.
    Quantity,
    /// Anything.
    #[default]
    Any,
}

/// How the elements of a list are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ListType {
    /// The list is one value.
    #[default]
    Atomic,
    /// Elements are scalars, each there once.
    Set,
    /// Elements are objects told apart by these fields.
    Map(Vec<String>),
}

/// A type: what the server knows about a value.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // Independent flags, each named as in OpenAPI.
pub struct Schema {
    /// What the value is.
    pub kind: Type,
    /// `int32`, `date-time`, `byte`, …; empty if none.
    pub format: String,
    /// Whether null is a value.
    pub nullable: bool,
    /// Declared fields of an object.
    pub properties: Arc<IndexMap<String, Arc<Schema>>>,
    /// Schema of the values of a map.
    pub values: Option<Arc<Schema>>,
    /// Schema of the elements of a list.
    pub items: Option<Arc<Schema>>,
    /// Fields that have to be there.
    pub required: Arc<Vec<String>>,
    /// Value of an absent field.
    pub default: Option<Value>,
    /// How elements of a list are told apart.
    pub list: ListType,
    /// Whether an object is one value for server-side apply.
    pub atomic: bool,
    /// Key of elements for strategic merge patches.
    pub merge_key: Option<String>,
    /// Whether strategic merge patches merge this list.
    pub merge: bool,
    /// Whether strategic merge patches drop the keys that are not in `$retainKeys`.
    pub retain_keys: bool,
    /// Allowed values; empty if any is.
    pub allowed: Vec<Value>,
    /// Whether undeclared fields are kept.
    pub preserve_unknown: bool,
    /// Whether the object is itself an object with `apiVersion`, `kind` and `metadata`.
    pub embedded: bool,
    /// Bounds, patterns and alternatives of a custom resource's schema.
    pub checks: Option<Arc<crate::crd::Checks>>,
}

impl Schema {
    /// A declared field.
    pub fn property(&self, name: &str) -> Option<&Arc<Schema>> {
        self.properties.get(name)
    }

    /// The schema of a field or of a map's value.
    pub fn field(&self, name: &str) -> Option<&Arc<Schema>> {
        self.properties.get(name).or(self.values.as_ref())
    }

    /// Whether an absent value of this type prints as `{}` in typed objects: a struct that is not a pointer.
    pub(crate) fn is_inline_struct(&self) -> bool {
        self.kind == Type::Object && self.default.as_ref().and_then(Value::as_object).is_some_and(serde_json::Map::is_empty)
    }

    /// Whether any field is taken as it is.
    pub(crate) fn is_open(&self) -> bool {
        self.kind == Type::Any || self.preserve_unknown
    }
}
