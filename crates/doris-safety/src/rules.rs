//! Each rule as a function of what is so and what is about to be done.

mod backends;
mod frontends;
mod operation;
mod replicas;
mod version;

use doris_api::rules::SafetyRule;

use crate::blocked::Blocked;
use crate::observed::Observed;
use crate::step::Step;

pub(crate) use replicas::{away, sole_server, unavailable};

/// What one rule has against a step; nothing if it allows it.
pub(crate) fn judge(rule: SafetyRule, observed: &Observed, step: &Step) -> Vec<Blocked> {
    match rule {
        SafetyRule::FeQuorum => frontends::quorum(observed, step),
        SafetyRule::MasterLast => frontends::master_last(observed, step),
        SafetyRule::KeepReplica => replicas::keep(observed, step),
        SafetyRule::ServeReplica => replicas::serve(observed, step),
        SafetyRule::LoadQuorum => replicas::load(observed, step),
        SafetyRule::TabletHealth => backends::tablet_health(observed, step),
        SafetyRule::OneAtATime => operation::one_at_a_time(observed, step),
        SafetyRule::DecommissionFeasible => backends::feasible(observed, step),
        SafetyRule::BackupIdle => operation::backup_idle(observed, step),
        SafetyRule::VersionPath => version::path(observed, step),
        SafetyRule::NoReturn => version::no_return(observed, step),
        SafetyRule::Fresh => operation::fresh(observed, step),
        // Kept by the pods' own start script, where it holds while every controller is down.
        SafetyRule::FoundOnce => Vec::new(),
    }
}
