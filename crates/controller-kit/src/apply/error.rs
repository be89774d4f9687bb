//! What an apply can fail of.

use kube::core::Status;

use crate::leadership::NotLeader;
use crate::report::{Category, ReconcileError, Retry};

/// A write that was not done.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// We may not write (any more).
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// The object changed, went or was made anew meanwhile: look again.
    #[error("the object changed meanwhile: {message}")]
    Race {
        /// The server's words.
        message: String,
    },
    /// Another manager has other values.
    #[error("fields belong to {}: {message}", .managers.join(", "))]
    Conflict {
        /// Who.
        managers: Vec<String>,
        /// The server's words.
        message: String,
    },
    /// Another of our controllers wrote what is ours to write: a bug of ours.
    #[error("{manager} wrote fields that are not its own: {message}")]
    Breach {
        /// Which controller.
        manager: String,
        /// The server's words.
        message: String,
    },
    /// The server refuses the object as it is.
    #[error("the server refuses the object: {message}")]
    Invalid {
        /// The server's words.
        message: String,
    },
    /// The namespace is being deleted; nothing can be made in it any more.
    #[error("the namespace is being deleted")]
    Terminating,
    /// We lack a right.
    #[error("not allowed: {message}")]
    Forbidden {
        /// The server's words.
        message: String,
    },
    /// The document makes no sense: a bug of ours.
    #[error("a document that the server cannot read: {message}")]
    Defect {
        /// The server's words.
        message: String,
    },
    /// Anything else.
    #[error(transparent)]
    Api(kube::Error),
}

impl ApplyError {
    /// The foreign managers to take fields back from, or the error that this is.
    pub(super) fn into_foreign_managers(self, siblings: &[&str]) -> Result<Vec<String>, Self> {
        let Self::Conflict { managers, message } = self else { return Err(self) };
        match managers.iter().find(|manager| siblings.contains(&manager.as_str())) {
            Some(manager) => Err(Self::Breach { manager: manager.clone(), message }),
            None => Ok(managers),
        }
    }
}

impl From<kube::Error> for ApplyError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => classify(status),
            other => Self::Api(other),
        }
    }
}

/// By code, reason and cause, since texts differ between versions; by text only where there is nothing else.
fn classify(status: Box<Status>) -> ApplyError {
    let message = status.message.clone();
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let has_cause = |reason: &str| causes.iter().any(|cause| cause.reason == reason);
    match status.code {
        409 if has_cause("FieldManagerConflict") => {
            let mut managers: Vec<String> = causes.iter().filter_map(|cause| quoted(&cause.message)).collect();
            managers.dedup();
            ApplyError::Conflict { managers, message }
        }
        404 | 409 => ApplyError::Race { message },
        403 if has_cause("NamespaceTerminating") => ApplyError::Terminating,
        403 => ApplyError::Forbidden { message },
        // The uid in the body is another object's: it was made anew.
        422 if causes.iter().any(|cause| cause.field == "metadata.uid") => ApplyError::Race { message },
        400 | 422 => ApplyError::Invalid { message },
        500 if message.contains("failed to create typed patch object") => ApplyError::Defect { message },
        _ => ApplyError::Api(kube::Error::Api(status)),
    }
}

/// The name in `conflict with "name" with subresource ...`.
fn quoted(message: &str) -> Option<String> {
    message.split('"').nth(1).map(str::to_owned)
}

impl ReconcileError for ApplyError {
    fn reason(&self) -> &'static str {
        match self {
            Self::NotLeader(_) => "NotLeader",
            Self::Race { .. } => "ObjectChanged",
            Self::Conflict { .. } => "FieldConflict",
            Self::Breach { .. } => "ContractBreach",
            Self::Invalid { .. } => "ObjectRefused",
            Self::Terminating => "NamespaceTerminating",
            Self::Forbidden { .. } => "Forbidden",
            Self::Defect { .. } => "Defect",
            Self::Api(_) => "ApiServerError",
        }
    }

    fn category(&self) -> Category {
        match self {
            Self::NotLeader(_) | Self::Race { .. } | Self::Terminating => Category::Race,
            Self::Conflict { .. } | Self::Forbidden { .. } | Self::Invalid { .. } => Category::User,
            Self::Breach { .. } | Self::Defect { .. } => Category::Defect,
            Self::Api(_) => Category::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Breach { .. } | Self::Defect { .. } | Self::Terminating => Retry::OnChange,
            // A renewal that is late is made up for, or the process ends.
            Self::NotLeader(_) | Self::Race { .. } => Retry::Short,
            // Policies, quotas and rights change without an event on our object.
            Self::Invalid { .. } | Self::Forbidden { .. } | Self::Conflict { .. } | Self::Api(_) => Retry::Backoff,
        }
    }
}
