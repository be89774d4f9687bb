//! Where the buckets of colocate groups belong.

use crate::catalog::{Backend, Group, Op, TabletHealth, places_of};
use crate::fe::Fe;
use crate::process::ProcessId;
use crate::state::State;

/// Moves buckets off backends that leave or stay away, and tells which groups are stable.
pub(super) fn arrange(state: &State, id: ProcessId, moves: bool) -> Vec<Op> {
    let Some(fe) = state.fe(id) else { return Vec::new() };
    let now = state.clock.now_ms();
    let change = |(name, group): (&String, &Group)| {
        let elsewhere = if moves { relocate(fe, group, now) } else { None };
        let mut new = elsewhere.unwrap_or_else(|| group.clone());
        new.stable = new.buckets == group.buckets && is_in_place(fe, name);
        (new != *group).then(|| Op::Colocate { name: name.clone(), group: new })
    };
    fe.catalog.groups.iter().filter_map(change).collect()
}

fn is_in_place(fe: &Fe, name: &str) -> bool {
    let tables = fe.catalog.databases.values().flat_map(|database| database.tables.values());
    let places = tables.filter(|table| table.group.as_deref() == Some(name)).flat_map(places_of);
    let bad = |health| matches!(health, TabletHealth::ColocateMismatch | TabletHealth::Unrecoverable);
    places.into_iter().all(|place| !bad(place.health(&fe.catalog)))
}

/// The group without the backends that it has to leave, if it has to and can.
fn relocate(fe: &Fe, group: &Group, now: i64) -> Option<Group> {
    let delay = i64::try_from(fe.settings.number("colocate_group_relocate_delay_second")).unwrap_or(i64::MAX).saturating_mul(1000);
    let gone = |id: u64| {
        let Some(backend) = fe.catalog.backends.get(&id) else { return true };
        let beat = fe.backends_seen.get(&id).map_or(backend.beat_ms, |seen| seen.beat_ms.max(backend.beat_ms));
        backend.decommissioned || (!backend.alive && now.saturating_sub(beat) > delay)
    };
    let mut new = group.clone();
    for bucket in 0..new.buckets.len() {
        while let Some(at) = new.buckets[bucket].iter().position(|id| gone(*id)) {
            let used = |id: u64| new.buckets.iter().flatten().filter(|held| **held == id).count();
            let fits = |b: &&Backend| b.takes_replicas() && b.location() == group.location && !new.buckets[bucket].contains(&b.id);
            let target = fe.catalog.backends.values().filter(fits).min_by_key(|b| (used(b.id), b.id)).map(|b| b.id)?;
            new.buckets[bucket][at] = target;
        }
    }
    (new.buckets != group.buckets).then_some(new)
}
