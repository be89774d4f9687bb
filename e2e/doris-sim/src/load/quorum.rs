//! How many replicas a load needs.

use std::collections::BTreeMap;

use super::LoadError;
use crate::catalog::{Partition, Table, Tablet};
use crate::fe::Fe;

/// Backends that a load writes to, with the tablets on each.
pub(super) type Targets = BTreeMap<u64, Vec<u64>>;

/// Replicas of each tablet that have to take a load.
pub(super) fn required(fe: &Fe, table: &Table, partition: &Partition) -> usize {
    let majority = partition.copies / 2 + 1;
    if !fe.version.from_line(2, 1) {
        return majority;
    }
    let configured = fe.settings.get("min_load_replica_num").parse().ok();
    let least = table.min_load.or(configured).filter(|least| *least > 0);
    least.map_or(majority, |least| least.min(majority))
}

/// Whom the master has a load write to; refused where too few replicas live or a disk is as good as full.
pub(super) fn targets(fe: &Fe, table: &Table) -> Result<Targets, LoadError> {
    let flood = fe.settings.number("storage_flood_stage_usage_percent");
    let mut targets = Targets::new();
    for (partition, tablet) in table.tablets() {
        let living = living(fe, tablet);
        let required = required(fe, table, partition);
        if living.len() < required {
            let word = if fe.version.from_line(2, 1) { "load required" } else { "quorum" };
            let list: Vec<_> = living.iter().map(u64::to_string).collect();
            return Err(LoadError::Failed(format!(
                "errCode = 3, detailMessage = tablet {} alive replica num {} < {word} replica num {required}, alive backends: [{}]",
                tablet.id,
                living.len(),
                list.join(",")
            )));
        }
        for backend in living {
            let full = fe.catalog.backends.get(&backend).and_then(|row| {
                let over = |total: u64, available: u64| total.saturating_sub(available).saturating_mul(100) >= total.saturating_mul(flood);
                row.disks.iter().find(|disk| disk.total > 0 && over(disk.total, disk.available))
            });
            if let Some(disk) = full {
                let text = format!("disk {} on backend {backend} exceed limit usage, path hash: {}", disk.path, disk.hash);
                return Err(LoadError::Failed(format!("errCode = 2, detailMessage = {text}")));
            }
            targets.entry(backend).or_default().push(tablet.id);
        }
    }
    Ok(targets)
}

fn living(fe: &Fe, tablet: &Tablet) -> Vec<u64> {
    let alive = |id: &u64| fe.catalog.backends.get(id).is_some_and(|backend| backend.alive);
    tablet.replicas.iter().filter(|replica| !replica.bad).map(|replica| replica.backend).filter(alive).collect()
}
