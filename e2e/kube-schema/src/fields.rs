//! Sets of fields as server-side apply keeps them (`fieldsV1`), and the typed comparisons it is built from.
mod compare;
mod merge;
mod path;
mod set;
mod typed;

pub use compare::{Comparison, compare};
pub use merge::{merge, remove};
pub use path::{Element, print_path};
pub use set::Set;
pub use typed::{check, field_set};
