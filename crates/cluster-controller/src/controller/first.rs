//! Whom a process that begins looks at first.
//!
//! Of a thousand clusters all but a few are as they should be, and yet each is to be looked at once. Who needs something must not wait
//! until that is done.

use std::collections::BTreeSet;

use doris_api::{DorisCluster, names};

use super::is_well;
use crate::build::{self, IdentityFacts};
use crate::cache::ClusterKey;
use crate::context::Context;

/// Whether the caches alone show that a cluster needs something: it is not Ready at its present spec, an operation is under way, or an
/// object that it always has is not there. What was only changed shows in its round.
pub(super) fn is_in_need(ctx: &Context, cluster: &DorisCluster, key: &ClusterKey) -> bool {
    let is_under_work = cluster.status.as_ref().is_some_and(|status| status.operation.is_some());
    !is_well(cluster) || is_under_work || lacks_something(ctx, cluster, key)
}

fn lacks_something(ctx: &Context, cluster: &DorisCluster, key: &ClusterKey) -> bool {
    // The round says what is wrong with it.
    let Ok(context) = build::Context::new(cluster, IdentityFacts::default(), ctx.kubernetes_minor) else { return true };
    let wanted = build::inventory(&context, &BTreeSet::new(), BTreeSet::new());
    let caches = &ctx.caches;
    let has_secret = caches.secrets.get(key, &names::identity(&key.name)).is_some();
    !has_secret
        || !wanted.sets.iter().all(|name| caches.sets.get(key, name).is_some())
        || !wanted.services.iter().all(|name| caches.services.get(key, name).is_some())
        || !wanted.budgets.iter().all(|name| caches.budgets.get(key, name).is_some())
        || !wanted.policies.iter().all(|name| caches.policies.get(key, name).is_some())
        || !wanted.config_maps.iter().all(|name| caches.config_maps.get(key, name).is_some())
}
