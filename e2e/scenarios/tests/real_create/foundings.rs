//! How often a cluster was founded, by the model of Doris and not by the controller's word.

use doris_api::{Component, names};
use scenarios::real::Place;

/// Starts of frontends that made a cluster of their own.
pub fn foundings(place: &Place<'_>, cluster: &str) -> usize {
    let domain = names::members_domain(cluster, Component::Fe, &place.namespace, "cluster.local");
    let starts = place.stand.engine.world().fe_starts();
    starts.iter().filter(|start| start.fqdn.ends_with(&domain) && start.founds()).count()
}
