//! What a backend has on its disks.

use std::collections::BTreeSet;

use super::Be;
use crate::catalog::Disk;
use crate::spec::{Medium, StorageRoot};

/// A tablet on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub version: u64,
    pub rows: u64,
    pub bytes: u64,
}

impl Stored {
    /// A tablet that was just made.
    pub const EMPTY: Self = Self { version: 1, rows: 0, bytes: 0 };

    fn text(self) -> String {
        format!("{} {} {}", self.version, self.rows, self.bytes)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ').map(|part| part.parse().ok());
        Some(Self { version: parts.next()??, rows: parts.next()??, bytes: parts.next()?? })
    }
}

impl Be {
    /// Tablets on its disks.
    pub fn tablets(&self) -> Vec<u64> {
        let files = self.storage.iter().flat_map(|root| root.dir.volume.files(&root.dir.join("data")));
        files.filter_map(|path| path.rsplit_once('/')?.1.parse().ok()).collect()
    }

    /// A tablet's state, if it is here and readable.
    pub fn stored(&self, tablet: u64) -> Option<Stored> {
        self.storage.iter().find_map(|root| Stored::parse(&root.dir.read_text(&format!("data/{tablet}"))?))
    }

    /// Writes a tablet where it lies already, else on the disk with the most room; whether there was one.
    pub fn keep(&self, tablet: u64, stored: Stored) -> bool {
        let file = format!("data/{tablet}");
        let Some(root) = self.storage.iter().find(|root| root.dir.read_text(&file).is_some()).or_else(|| self.roomiest()) else {
            return false;
        };
        root.dir.volume.write_weighted(&root.dir.join(&file), stored.text(), stored.bytes).is_ok()
    }

    fn roomiest(&self) -> Option<&StorageRoot> {
        self.storage.iter().max_by_key(|root| limit(root).saturating_sub(root.dir.volume.used()))
    }

    /// Makes what lies here of a tablet unreadable; whether there was something.
    pub fn spoil(&self, tablet: u64) -> bool {
        let file = format!("data/{tablet}");
        let root = self.storage.iter().find(|root| root.dir.read_text(&file).is_some());
        root.is_some_and(|root| root.dir.volume.write(&root.dir.join(&file), "?").is_ok())
    }

    pub fn delete_tablet(&self, tablet: u64) {
        for root in &self.storage {
            root.dir.volume.remove(&root.dir.join(&format!("data/{tablet}")));
        }
    }

    /// Writes a load's part of a tablet, not visible yet; whether there was room.
    pub fn stage(&self, txn: u64, tablet: u64, rows: u64, bytes: u64) -> bool {
        let home = format!("data/{tablet}");
        let Some(root) = self.storage.iter().find(|root| root.dir.read_text(&home).is_some()) else { return false };
        // A disk this full takes no more writes.
        if (root.dir.volume.used() + bytes).saturating_mul(100)
            > limit(root).saturating_mul(self.number("storage_flood_stage_usage_percent"))
        {
            return false;
        }
        let part = Stored { version: txn, rows, bytes };
        root.dir.volume.write_weighted(&root.dir.join(&format!("txn/{txn}/{tablet}")), part.text(), bytes).is_ok()
    }

    /// Makes a staged part visible as this version; whether the tablet now has it.
    pub fn publish(&self, txn: u64, tablet: u64, version: u64) -> bool {
        let Some(now) = self.stored(tablet) else { return false };
        if now.version >= version {
            return true;
        }
        let file = format!("txn/{txn}/{tablet}");
        let part = self.storage.iter().find_map(|root| Some((root, Stored::parse(&root.dir.read_text(&file)?)?)));
        let Some((root, part)) = part.filter(|_| now.version + 1 == version) else { return false };
        root.dir.volume.remove(&root.dir.join(&file));
        self.keep(tablet, Stored { version, rows: now.rows + part.rows, bytes: now.bytes + part.bytes })
    }

    /// Transactions that parts lie here of.
    pub fn staged(&self) -> BTreeSet<u64> {
        let files = self.storage.iter().flat_map(|root| root.dir.volume.files(&root.dir.join("txn")));
        files.filter_map(|path| path.rsplit('/').nth(1)?.parse().ok()).collect()
    }

    pub fn discard(&self, txn: u64) {
        for root in &self.storage {
            root.dir.volume.remove(&root.dir.join(&format!("txn/{txn}")));
        }
    }

    /// Write-ahead logs of loads that were acknowledged before they were committed: label and content.
    pub fn logs(&self) -> Vec<(String, String)> {
        let read = |root: &StorageRoot| {
            let files = root.dir.volume.files(&root.dir.join("wal"));
            files
                .into_iter()
                .filter_map(|path| Some((path.rsplit_once('/')?.1.to_owned(), root.dir.volume.read_text(&path)?)))
                .collect::<Vec<_>>()
        };
        self.storage.iter().flat_map(read).collect()
    }

    pub fn write_log(&self, label: &str, content: &str) -> bool {
        self.roomiest().is_some_and(|root| root.dir.volume.write(&root.dir.join(&format!("wal/{label}")), content).is_ok())
    }

    pub fn remove_log(&self, label: &str) {
        for root in &self.storage {
            root.dir.volume.remove(&root.dir.join(&format!("wal/{label}")));
        }
    }

    pub(super) fn disks(&self) -> Vec<Disk> {
        let disk = |(index, root): (usize, &StorageRoot)| {
            let total = limit(root);
            Disk {
                path: root.path.clone(),
                hash: 7700 + index as u64,
                ssd: root.medium == Medium::Ssd,
                online: root.dir.volume.read(&root.dir.join("cluster_id")).is_ok(),
                data_used: root.dir.volume.weight(&root.dir.join("data")),
                available: total.saturating_sub(root.dir.volume.used()),
                total,
                trash: 0,
            }
        };
        self.storage.iter().enumerate().map(disk).collect()
    }
}

/// Bytes that a root may hold.
fn limit(root: &StorageRoot) -> u64 {
    root.dir.volume.capacity().map_or(root.capacity, |capacity| capacity.min(root.capacity))
}
