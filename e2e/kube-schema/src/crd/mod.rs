//! Custom resources: their definitions and what these demand of an object.
mod bounds;
mod cel;
mod cel_types;
mod cel_values;
mod cost;
mod definition;
mod openapi;
mod scale;
mod structural;
mod validate;

pub use bounds::Checks;
pub use cel::Rules;
pub use cost::cost_warnings;
pub use definition::{Column, CustomKind, Definition, ScalePaths, Version, default_definition, established_status};
pub(crate) use openapi::validate_object;
pub use validate::validate_definition;
