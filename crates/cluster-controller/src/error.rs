//! What a reconcile can fail of. One type drives Event, condition, metric label and retry delay.

use controller_kit::apply::ApplyError;
use controller_kit::leadership::NotLeader;
use controller_kit::lease::LeaseError;
use controller_kit::report::{Category, ReconcileError, Retry};

use crate::identity::IdentityError;

/// An error of one reconcile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object of ours was not written.
    #[error("{object}: {source}")]
    Apply {
        /// Kind and name.
        object: String,
        /// Why.
        source: ApplyError,
    },
    /// The API server could not be read.
    #[error("reading {what}: {source}")]
    Read {
        /// What was read.
        what: &'static str,
        /// Why not.
        source: kube::Error,
    },
    /// The identity Secret is not one.
    #[error("{secret}: {source}; restore it from a copy, nothing is done before")]
    Identity {
        /// Name of the Secret.
        secret: String,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// Doris could not be asked or told.
    #[error("{what}: {source}")]
    Doris {
        /// What was asked or told.
        what: &'static str,
        /// Why not.
        source: doris_client::Error,
    },
    /// The spec makes an object that cannot be built.
    #[error("{0}")]
    Build(String),
    /// The operation Lease is not ours.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// This process may not write any more.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
}

impl ReconcileError for Error {
    fn reason(&self) -> &'static str {
        match self {
            Self::Apply { source, .. } => source.reason(),
            Self::Read { .. } => "ApiServerError",
            Self::Identity { .. } => "IdentityUnreadable",
            Self::Doris { .. } => "DorisError",
            Self::Build(_) => "SpecInvalid",
            Self::Lease(source) => source.reason(),
            Self::NotLeader(_) => "NotLeader",
        }
    }

    fn category(&self) -> Category {
        match self {
            Self::Apply { source, .. } => source.category(),
            Self::Read { .. } | Self::Doris { .. } => Category::Environment,
            Self::Lease(source) => source.category(),
            Self::Identity { .. } | Self::Build(_) => Category::User,
            Self::NotLeader(_) => Category::Race,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Apply { source, .. } => source.retry(),
            Self::Read { .. } | Self::Identity { .. } => Retry::Backoff,
            // Doris answers again within seconds or is looked at by the next round anyhow; a late renewal of the
            // Lease is made up for, or the process ends.
            Self::Doris { .. } | Self::NotLeader(_) => Retry::Short,
            Self::Lease(source) => source.retry(),
            Self::Build(_) => Retry::OnChange,
        }
    }
}

impl Error {
    /// Only a person can mend it.
    pub fn needs_a_person(&self) -> bool {
        self.category() == Category::User
    }
}

#[cfg(test)]
mod tests {
    use controller_kit::leadership::NotLeader;
    use controller_kit::report::{ReconcileError as _, Retry};

    use super::Error;

    #[test]
    fn what_was_not_written_for_a_late_renewal_of_the_lease_is_tried_again_soon() {
        let applied = Error::Apply { object: "Service x".to_owned(), source: NotLeader.into() };
        assert_eq!([applied.retry(), Error::NotLeader(NotLeader).retry()], [Retry::Short; 2]);
    }
}
