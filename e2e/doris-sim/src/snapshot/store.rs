//! Object stores outside of the cluster: what repositories lie in.

use std::collections::BTreeMap;

use crate::be::Stored;
use crate::world::World;

/// A tablet as it was saved.
pub(super) type SavedTablet = Stored;

/// A table as it was saved: its tablets by partition.
#[derive(Clone, Debug)]
pub(crate) struct SavedTable {
    pub name: String,
    pub copies: usize,
    pub location: String,
    pub partitions: Vec<(String, Vec<SavedTablet>)>,
}

/// A snapshot in a repository.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    pub label: String,
    pub timestamp: String,
    pub tables: Vec<SavedTable>,
}

/// A store: a location with everything below it.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// Bytes that each backend sends or gets in a second.
    pub speed: u64,
    /// Whether it answers at all.
    pub answers: bool,
    /// Snapshots by the location of their repository.
    pub snapshots: BTreeMap<String, Vec<Saved>>,
}

/// All stores by location.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stores(BTreeMap<String, Store>);

impl Stores {
    /// The store that a location lies in.
    pub fn of(&self, location: &str) -> Option<&Store> {
        self.0.iter().find(|(place, _)| location.starts_with(place.as_str())).map(|(_, store)| store)
    }

    pub fn of_mut(&mut self, location: &str) -> Option<&mut Store> {
        self.0.iter_mut().find(|(place, _)| location.starts_with(place.as_str())).map(|(_, store)| store)
    }
}

impl Store {
    /// A snapshot by its label and time.
    pub fn snapshot(&self, location: &str, label: &str, timestamp: &str) -> Option<&Saved> {
        self.snapshots.get(location)?.iter().find(|saved| saved.label == label && saved.timestamp == timestamp)
    }

    /// Snapshots of a repository.
    pub fn listed(&self, location: &str) -> &[Saved] {
        self.snapshots.get(location).map_or(&[], Vec::as_slice)
    }
}

impl World {
    /// An object store at a location such as `s3://bucket`, to and from which each backend moves so many bytes a second.
    pub fn add_object_store(&self, location: &str, bytes_per_second: u64) {
        let store = Store { speed: bytes_per_second.max(1), answers: true, snapshots: BTreeMap::new() };
        self.state().stores.0.insert(location.to_owned(), store);
    }

    /// Whether an object store answers: while it does not, nothing is moved to it or from it, and jobs go on trying.
    pub fn set_object_store_answers(&self, location: &str, answers: bool) {
        if let Some(store) = self.state().stores.of_mut(location) {
            store.answers = answers;
        }
    }
}
