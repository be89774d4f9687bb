//! Reads what the safety rules look at. Everything comes from the master's own session; the parts
//! that a step does not need are left out.

mod cluster;
mod frontends;
mod tablets;

use std::collections::BTreeMap;

use doris_api::rules::SafetyRule;
use doris_safety::{Observed, Step, applicable, away};

pub use cluster::{backends, colocate_groups, jobs, switches};
pub use frontends::{Found, FrontendPod, frontends};
pub use tablets::{Catalog, health, tablets};

use crate::error::Error;
use crate::rows::NodeRole;
use crate::session::Session;

/// What the rules of one step look at in Doris, read for it. Frontends, Lease, cache, metadata and the
/// baseline come from elsewhere and are left empty.
///
/// A catalog that was read some minutes ago may be given where the step destroys nothing; without one
/// it is read. The roles are the last known ones, by host, for backends that are dead.
pub async fn for_step(
    session: &mut Session,
    step: &Step,
    catalog: Option<&Catalog>,
    known: &BTreeMap<String, NodeRole>,
) -> Result<Observed, Error> {
    use SafetyRule as R;
    let rules = applicable(step);
    let wants = |some: &[SafetyRule]| some.iter().any(|rule| rules.contains(rule));
    let mut observed = Observed::default();
    if wants(&[R::KeepReplica, R::ServeReplica, R::LoadQuorum, R::DecommissionFeasible, R::BackupIdle]) {
        observed.backends = Some(backends(session, known, wants(&[R::DecommissionFeasible])).await?);
    }
    if wants(&[R::TabletHealth, R::DecommissionFeasible]) {
        observed.switches = Some(switches(session).await?);
    }
    if wants(&[R::DecommissionFeasible]) {
        observed.colocate_groups = Some(colocate_groups(session).await?);
    }
    if wants(&[R::BackupIdle]) {
        session.use_utc().await?;
        let databases = session.databases().await?;
        observed.jobs = Some(jobs(session, &databases).await?);
    }
    let needs_tablets = needs_tablets(step);
    if needs_tablets || wants(&[R::TabletHealth]) {
        let health = health(session).await?;
        if needs_tablets {
            let away = away(observed.backends.as_deref().unwrap_or_default(), step);
            let fresh = if catalog.is_none() { Some(Catalog::read(session).await?) } else { None };
            if let Some(catalog) = catalog.or(fresh.as_ref()) {
                observed.tablets = Some(tablets(session, catalog, &health, away).await?);
            }
        }
        observed.health = Some(health);
    }
    Ok(observed)
}

/// Whether a step can take a replica away. Compute nodes and pods have to be empty, which their rows tell.
fn needs_tablets(step: &Step) -> bool {
    matches!(
        step,
        Step::RestartBackends { .. } | Step::DecommissionBackends { .. } | Step::DropBackend { .. } | Step::DeleteBackendClaim { .. }
    )
}
