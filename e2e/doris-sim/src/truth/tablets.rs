//! Tablets as they lie on disks.

use std::collections::BTreeMap;

use super::{authority, clusters};
use crate::be::{Be, Stored};
use crate::catalog::{Catalog, Place};
use crate::state::{Body, State};
use crate::world::World;

/// A replica that a cluster's frontends know, as its disk has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaFacts {
    /// Backend by its number.
    pub backend: u64,
    /// Host; empty when the backend is not registered any more.
    pub host: String,
    /// Version on the disk; `None` when it is not there.
    pub version: Option<u64>,
    /// Rows on the disk.
    pub rows: u64,
    /// Whether the backend's process runs.
    pub running: bool,
    /// Whether the disk has everything that is visible.
    pub whole: bool,
}

impl ReplicaFacts {
    /// Whether a query could be answered from it now.
    pub fn readable(&self) -> bool {
        self.running && self.whole
    }
}

/// A tablet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TabletFacts {
    /// Cluster.
    pub cluster_id: u32,
    /// Database.
    pub database: String,
    /// Table.
    pub table: String,
    /// Tablet.
    pub tablet: u64,
    /// Copies that it should have.
    pub wanted: usize,
    /// Version that queries see.
    pub visible_version: u64,
    /// What the tablet checker says of it.
    pub verdict: &'static str,
    /// Replicas.
    pub replicas: Vec<ReplicaFacts>,
}

impl TabletFacts {
    /// Replicas that a query could be answered from now.
    pub fn readable(&self) -> usize {
        self.replicas.iter().filter(|replica| replica.readable()).count()
    }

    /// Replicas with everything that is visible, on running backends and on others.
    pub fn whole(&self) -> usize {
        self.replicas.iter().filter(|replica| replica.whole).count()
    }

    /// `database.table`.
    pub fn table_name(&self) -> String {
        format!("{}.{}", self.database, self.table)
    }
}

/// The newest backend process of each host: the owner of its disks.
pub(super) fn owners(state: &State) -> BTreeMap<&str, (bool, &Be)> {
    let backends = state.procs.values().filter_map(|proc| match &proc.body {
        Body::Be(be) => Some((be.fqdn.as_str(), (proc.is_running(), &**be))),
        _ => None,
    });
    backends.collect()
}

/// The facts of one tablet.
pub(super) fn facts(cluster_id: u32, catalog: &Catalog, place: &Place<'_>, owners: &BTreeMap<&str, (bool, &Be)>) -> TabletFacts {
    let visible = place.partition.visible;
    let replica = |backend: u64| {
        let host = catalog.backends.get(&backend).map_or("", |row| row.host.as_str());
        let owner = owners.get(host);
        let stored: Option<Stored> = owner.and_then(|(_, be)| be.stored(place.tablet.id));
        ReplicaFacts {
            backend,
            host: host.to_owned(),
            version: stored.map(|stored| stored.version),
            rows: stored.map_or(0, |stored| stored.rows),
            running: owner.is_some_and(|(running, _)| *running),
            whole: stored.is_some_and(|stored| stored.version >= visible),
        }
    };
    TabletFacts {
        cluster_id,
        database: catalog.owner(place.table.id).map(|database| database.name.clone()).unwrap_or_default(),
        table: place.table.name.clone(),
        tablet: place.tablet.id,
        wanted: place.partition.copies,
        visible_version: visible,
        verdict: place.health(catalog).name(),
        replicas: place.tablet.replicas.iter().map(|known| replica(known.backend)).collect(),
    }
}

impl World {
    /// Every tablet of every cluster, by the word of the frontend that knows most and by what lies on the disks.
    pub fn tablets(&self) -> Vec<TabletFacts> {
        let state = self.state();
        let owners = owners(&state);
        let mut all = Vec::new();
        for cluster in clusters(&state) {
            let Some((_, fe)) = authority(&state, cluster) else { continue };
            all.extend(fe.catalog.places().map(|place| facts(cluster, &fe.catalog, &place, &owners)));
        }
        all
    }

    /// What a host's disks hold of a tablet becomes unreadable, as by a broken sector. Its backend finds out at its next report.
    /// Tells whether there was something.
    pub fn spoil_tablet(&self, host: &str, tablet: u64) -> bool {
        let state = self.state();
        let owners = owners(&state);
        owners.get(host).is_some_and(|(_, be)| be.spoil(tablet))
    }

    /// Tablets that no query can read now.
    pub fn unreadable_tablets(&self) -> Vec<TabletFacts> {
        self.tablets().into_iter().filter(|tablet| tablet.readable() == 0).collect()
    }
}
