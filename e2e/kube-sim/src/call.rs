//! Who asks for a write and under which options.

use std::sync::Arc;

use jiff::Timestamp;

use crate::access::User;
use crate::registry::Resource;

/// What happens to fields that a type does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are refused.
    Strict,
    /// They are dropped with a warning.
    Warn,
    /// They are dropped.
    Ignore,
}

/// One request, as the operations see it.
#[derive(Debug)]
pub struct Call {
    /// Who asks.
    pub user: User,
    /// Field manager.
    pub manager: String,
    /// Nothing is stored.
    pub dry_run: bool,
    /// Unknown fields.
    pub validation: FieldValidation,
    /// Time of the request.
    pub now: Timestamp,
    /// Warnings for the answer.
    pub warnings: Vec<String>,
}

impl Call {
    /// A call of a built-in controller.
    pub fn of_controller(name: &str, now: Timestamp) -> Self {
        Self {
            user: User::controller(name),
            manager: "kube-controller-manager".to_owned(),
            dry_run: false,
            validation: FieldValidation::Ignore,
            now,
            warnings: Vec::new(),
        }
    }
}

/// Which object a call is about.
#[derive(Clone, Debug)]
pub struct Target {
    /// The resource, in the version of the request.
    pub resource: Arc<Resource>,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name, empty for collections.
    pub name: String,
    /// Subresource, or empty.
    pub subresource: String,
}
