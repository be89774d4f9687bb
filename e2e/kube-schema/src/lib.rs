//! The typed side of a Kubernetes API server as pure functions over JSON: schemas, defaults, validation, merge patches, server-side apply, CRD
//! schemas and CEL.
//!
//! Nothing here does I/O, reads a clock or keeps state between calls; a server built on it calls, for a write:
//!
//! 1. [`decode::decode`]: the body becomes a typed object (unknown fields, wrong types, quantities, pruning);
//! 2. for a PATCH [`patch::json_patch`], [`patch::merge_patch`] or [`patch::strategic_merge`] on the live object, then `decode` of the result,
//!    or [`apply::apply`] for server-side apply;
//! 3. [`prepare::for_create`] or [`prepare::for_update`]: what a request may not touch is reset, the generation is counted (an update is
//!    defaulted for that);
//! 4. [`defaults::apply`];
//! 5. [`validate::create`] or [`validate::update`], turned into a 422 by [`error::invalid`];
//! 6. [`apply::track_update`] for anything but an apply: who owns which field.
//!
//! A [`Kind`] is the handle for all of it: [`Kind::builtin`] for Kubernetes' own types, [`crd::Definition`] for custom resources.
pub mod apply;
pub mod crd;
pub mod decode;
pub mod defaults;
pub mod error;
pub mod fields;
pub mod go;
pub mod jsonpath;
mod kind;
pub mod patch;
pub mod prepare;
pub mod quantity;
pub mod schema;
pub mod validate;
pub(crate) mod value;

pub use error::{ApiError, FieldError};
pub use kind::{Gvk, Kind};
