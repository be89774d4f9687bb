//! Disks that outlive the processes which use them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

/// Why a volume refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VolumeError {
    /// The file or directory is not there.
    #[error("No such file or directory: {0}")]
    NotFound(String),
    /// There is no room left.
    #[error("No space left on device")]
    Full,
    /// The disk is gone or broken.
    #[error("Input/output error")]
    Broken,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    files: BTreeMap<String, Vec<u8>>,
    directories: std::collections::BTreeSet<String>,
    /// Bytes that a file stands for beyond those of its content.
    weights: BTreeMap<String, u64>,
    weight: u64,
    capacity: Option<u64>,
    filler: u64,
    broken: bool,
}

impl Disk {
    fn used(&self) -> u64 {
        self.files.values().map(|content| content.len() as u64).sum::<u64>() + self.filler + self.weight
    }

    fn set_weight(&mut self, path: &str, weight: u64) {
        let old = if weight == 0 { self.weights.remove(path) } else { self.weights.insert(path.to_owned(), weight) };
        self.weight = self.weight - old.unwrap_or(0) + weight;
    }

    fn room_for(&self, more: u64) -> bool {
        self.capacity.is_none_or(|capacity| self.used() + more <= capacity)
    }
}

/// A disk in memory: a tree of files by path. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Volume(Arc<Mutex<Disk>>);

impl Volume {
    /// An empty disk without a limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk that takes this many bytes.
    pub fn with_capacity(bytes: u64) -> Self {
        let volume = Self::default();
        volume.set_capacity(Some(bytes));
        volume
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets or lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk().capacity = bytes;
    }

    /// The limit in bytes, if there is one.
    pub fn capacity(&self) -> Option<u64> {
        self.disk().capacity
    }

    /// Occupies this many bytes with something that no process can read, as a neighbour's data would.
    pub fn fill(&self, bytes: u64) {
        self.disk().filler = bytes;
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.disk().used()
    }

    /// Bytes free; `None` without a limit.
    pub fn free(&self) -> Option<u64> {
        let disk = self.disk();
        disk.capacity.map(|capacity| capacity.saturating_sub(disk.used()))
    }

    /// Makes every access fail from now on, or heals it.
    pub fn set_broken(&self, broken: bool) {
        self.disk().broken = broken;
    }

    /// Loses all content.
    pub fn clear(&self) {
        let mut disk = self.disk();
        disk.files.clear();
        disk.directories.clear();
        disk.weights.clear();
        disk.weight = 0;
    }

    /// A copy that shares nothing with this disk.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self(Arc::new(Mutex::new(self.disk().clone())))
    }

    /// Whether both are the same disk.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Content of a file.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, VolumeError> {
        let disk = self.disk();
        if disk.broken {
            return Err(VolumeError::Broken);
        }
        disk.files.get(&clean(path)).cloned().ok_or_else(|| VolumeError::NotFound(path.to_owned()))
    }

    /// Content of a text file, `None` if there is none.
    pub fn read_text(&self, path: &str) -> Option<String> {
        self.read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Replaces a file.
    pub fn write(&self, path: &str, content: impl Into<Vec<u8>>) -> Result<(), VolumeError> {
        let content = content.into();
        let mut disk = self.disk();
        if disk.broken {
            return Err(VolumeError::Broken);
        }
        let path = clean(path);
        let old = disk.files.get(&path).map_or(0, Vec::len);
        if !disk.room_for(content.len().saturating_sub(old) as u64) {
            return Err(VolumeError::Full);
        }
        disk.files.insert(path, content);
        Ok(())
    }

    /// Replaces a file by one that stands for more bytes than its content has, as a table's data would.
    pub fn write_weighted(&self, path: &str, content: impl Into<Vec<u8>>, weight: u64) -> Result<(), VolumeError> {
        let name = clean(path);
        let old = self.disk().weights.get(&name).copied().unwrap_or(0);
        if !self.disk().room_for(weight.saturating_sub(old)) {
            return Err(VolumeError::Full);
        }
        self.write(path, content)?;
        self.disk().set_weight(&name, weight);
        Ok(())
    }

    /// Bytes that the files of a directory stand for beyond their content.
    pub fn weight(&self, directory: &str) -> u64 {
        let inside = format!("{}/", clean(directory));
        self.disk().weights.iter().filter(|(path, _)| path.starts_with(&inside)).map(|(_, weight)| weight).sum()
    }

    /// Adds to the end of a file, which is made if it is not there.
    pub fn append(&self, path: &str, content: &[u8]) -> Result<(), VolumeError> {
        let mut disk = self.disk();
        if disk.broken {
            return Err(VolumeError::Broken);
        }
        if !disk.room_for(content.len() as u64) {
            return Err(VolumeError::Full);
        }
        disk.files.entry(clean(path)).or_default().extend_from_slice(content);
        Ok(())
    }

    /// Makes a directory that exists even while it is empty.
    pub fn make_directory(&self, path: &str) {
        self.disk().directories.insert(clean(path));
    }

    /// Whether there is such a file or directory. The root always is.
    pub fn exists(&self, path: &str) -> bool {
        let disk = self.disk();
        let path = clean(path);
        let inside = format!("{path}/");
        path.is_empty() || disk.files.contains_key(&path) || disk.directories.contains(&path) || any_below(&disk.files, &inside)
    }

    /// Removes a file, or a directory with all that is in it.
    pub fn remove(&self, path: &str) {
        let path = clean(path);
        let inside = format!("{path}/");
        let mut disk = self.disk();
        disk.files.retain(|file, _| *file != path && !file.starts_with(&inside));
        disk.directories.retain(|directory| *directory != path && !directory.starts_with(&inside));
        disk.weights.retain(|file, _| *file != path && !file.starts_with(&inside));
        disk.weight = disk.weights.values().sum();
    }

    /// Moves a file, or a directory with all that is in it.
    pub fn rename(&self, from: &str, to: &str) {
        let (from, to) = (clean(from), clean(to));
        let inside = format!("{from}/");
        let moved = |path: &String| match path.strip_prefix(&inside) {
            Some(rest) => format!("{to}/{rest}"),
            None if *path == from => to.clone(),
            None => path.clone(),
        };
        let mut disk = self.disk();
        disk.files = std::mem::take(&mut disk.files).into_iter().map(|(path, content)| (moved(&path), content)).collect();
        disk.directories = disk.directories.iter().map(moved).collect();
        disk.weights = disk.weights.iter().map(|(path, weight)| (moved(path), *weight)).collect();
    }

    /// Paths of all files below a directory (`""` for all), in order.
    pub fn files(&self, directory: &str) -> Vec<String> {
        let directory = clean(directory);
        let inside = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        self.disk().files.keys().filter(|path| path.starts_with(&inside)).cloned().collect()
    }
}

fn any_below(files: &BTreeMap<String, Vec<u8>>, inside: &str) -> bool {
    files.range(inside.to_owned()..).next().is_some_and(|(path, _)| path.starts_with(inside))
}

fn clean(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

/// A directory on a volume.
#[derive(Clone, Debug, Default)]
pub struct VolumeDir {
    /// The disk.
    pub volume: Volume,
    /// Path of the directory on it; `""` is its root.
    pub path: String,
}

impl VolumeDir {
    /// The root of a volume.
    pub fn root(volume: &Volume) -> Self {
        Self { volume: volume.clone(), path: String::new() }
    }

    /// A directory of a volume.
    pub fn new(volume: &Volume, path: impl Into<String>) -> Self {
        Self { volume: volume.clone(), path: path.into() }
    }

    /// Path of a file of this directory on the volume.
    pub fn join(&self, file: &str) -> String {
        format!("{}/{file}", self.path)
    }

    /// Content of a text file in it, `None` if there is none.
    pub fn read_text(&self, file: &str) -> Option<String> {
        self.volume.read_text(&self.join(file))
    }
}

#[cfg(test)]
mod tests {
    use super::{Volume, VolumeError};

    #[test]
    fn a_directory_moves_with_all_that_is_in_it() {
        let volume = Volume::new();
        assert_eq!(volume.write("/meta/bdb/1.jdb", "x"), Ok(()));
        volume.rename("meta/bdb", "meta/.stale/bdb");
        assert_eq!(volume.files(""), ["meta/.stale/bdb/1.jdb"]);
        assert!(!volume.exists("meta/bdb"));
    }

    #[test]
    fn a_full_volume_refuses_and_keeps_what_it_has() {
        let volume = Volume::with_capacity(4);
        assert_eq!(volume.append("a", b"1234"), Ok(()));
        assert_eq!(volume.append("a", b"5"), Err(VolumeError::Full));
        assert_eq!(volume.read("a"), Ok(b"1234".to_vec()));
        assert_eq!(volume.free(), Some(0));
    }

    #[test]
    fn a_file_may_stand_for_more_than_it_holds() {
        let volume = Volume::with_capacity(100);
        assert_eq!(volume.write_weighted("data/1", "x", 60), Ok(()));
        assert_eq!(volume.write_weighted("data/1", "x", 90), Ok(()));
        assert_eq!(volume.write_weighted("data/2", "x", 20), Err(VolumeError::Full));
        assert_eq!((volume.used(), volume.weight("data")), (91, 90));
        volume.rename("data", "old");
        volume.remove("old/1");
        assert_eq!((volume.used(), volume.weight("old")), (0, 0));
    }

    #[test]
    fn a_snapshot_shares_nothing() {
        let volume = Volume::new();
        assert_eq!(volume.write("a", "1"), Ok(()));
        let copy = volume.snapshot();
        volume.clear();
        assert_eq!(copy.read_text("a").as_deref(), Some("1"));
    }
}
