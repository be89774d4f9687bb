//! Which backend reads what.

use std::collections::BTreeMap;

use super::{Data, Read};
use crate::answer::SqlError;
use crate::catalog::{Backend, Partition, Table, Tablet};
use crate::fe::Fe;

/// A tablet to read, and the version that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub tablet: u64,
    pub version: u64,
}

/// Scans by backend.
pub(super) type Plan = BTreeMap<u64, Vec<Scan>>;

/// Plans a query over the backends that the frontend believes in; `turn` spreads the choice.
pub(super) fn plan(fe: &Fe, read: &Read, turn: usize) -> Result<Plan, SqlError> {
    match read.source {
        Data::Table { database, table } => {
            let table = fe.catalog.table(database, table).ok_or_else(|| SqlError::detail("table does not exist"))?;
            scans(fe, table, turn)
        }
        Data::Nowhere => {
            let storing: Vec<_> = fe.catalog.backends.values().filter(|backend| backend.stores()).collect();
            let fit: Vec<_> = storing.iter().filter(|backend| fe.unfit(backend.id).is_none()).collect();
            let chosen = fit.get(turn % fit.len().max(1)).ok_or_else(|| none_available(fe, storing.iter().map(|b| b.id)))?;
            Ok(Plan::from([(chosen.id, Vec::new())]))
        }
        Data::External => external(fe),
    }
}

fn scans(fe: &Fe, table: &Table, turn: usize) -> Result<Plan, SqlError> {
    let mut plan = Plan::new();
    for (number, (partition, tablet)) in table.tablets().enumerate() {
        let backend = replica(fe, partition, tablet, turn + number)?;
        plan.entry(backend).or_default().push(Scan { tablet: tablet.id, version: partition.visible });
    }
    Ok(plan)
}

fn replica(fe: &Fe, partition: &Partition, tablet: &Tablet, turn: usize) -> Result<u64, SqlError> {
    let mut errors = Vec::new();
    let mut found = Vec::new();
    for replica in &tablet.replicas {
        let backend = replica.backend;
        if !fe.catalog.backends.get(&backend).is_some_and(|row| row.alive) {
            errors.push(format!("replica {}'s backend {backend} does not exist or not alive", replica.id));
        } else if replica.complete(partition.visible) {
            found.push(backend);
        } else {
            errors.push(format!("replica {}'s version {} is behind {}", replica.id, replica.version, partition.visible));
        }
    }
    if found.is_empty() {
        let text = format!("tablet {} has no queryable replicas. err: {}", tablet.id, errors.join(", "));
        return Err(SqlError::detail(text));
    }
    let fit: Vec<_> = found.iter().copied().filter(|id| fe.unfit(*id).is_none()).collect();
    fit.get(turn % fit.len().max(1)).copied().ok_or_else(|| none_available(fe, found.into_iter()))
}

/// Data elsewhere is read by compute nodes where they are preferred, else by the others alone.
fn external(fe: &Fe) -> Result<Plan, SqlError> {
    let fit = |backend: &&Backend| fe.unfit(backend.id).is_none() && !backend.load_disabled;
    let (compute, mixed): (Vec<_>, Vec<_>) = fe.catalog.backends.values().filter(fit).partition(|backend| !backend.stores());
    let least = usize::try_from(fe.settings.get("min_backend_num_for_external_table").parse::<i64>().unwrap_or(-1)).unwrap_or(0);
    let prefer = fe.settings.flag("prefer_compute_node_for_external_table");
    let chosen: Vec<_> = if prefer && !compute.is_empty() {
        let filling = least.saturating_sub(compute.len());
        compute.into_iter().chain(mixed.into_iter().take(filling)).collect()
    } else {
        mixed
    };
    if chosen.is_empty() {
        return Err(none_available(fe, fe.catalog.backends.keys().copied()));
    }
    Ok(chosen.into_iter().map(|backend| (backend.id, Vec::new())).collect())
}

fn none_available(fe: &Fe, ids: impl Iterator<Item = u64>) -> SqlError {
    let reasons: Vec<_> = ids.filter_map(|id| Some(format!("{id}: {}", fe.unfit(id)?))).collect();
    let list = if reasons.is_empty() { String::new() } else { format!("[{}]", reasons.join(", ")) };
    SqlError::detail(format!("There is no scanNode Backend available.{list}"))
}
