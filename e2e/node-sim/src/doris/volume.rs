//! What the script sees and writes on a member's disks.

use doris_api::member::{FE_META_DIR, Inspection, MARKER_FILE, Marker, env};
use doris_sim::VolumeDir;

use super::Doris;
use crate::engine::{Launch, Mount};
use crate::gate::VolumeView;

/// The directory behind a mount point, or `None` if the path is on the container's own file system.
pub(super) fn at(engine: &Doris, launch: &Launch, path: &str) -> Option<(VolumeDir, Mount)> {
    let path = path.trim_end_matches('/');
    let mount = launch.mounts.iter().find(|mount| mount.path == path)?;
    let own = || format!("{}/{path}", launch.pod.metadata.uid.clone().unwrap_or_default());
    let volume = engine.volume(&mount.volume.clone().unwrap_or_else(own));
    Some((VolumeDir::new(&volume, mount.sub_path.trim_matches('/')), mount.clone()))
}

/// A frontend's metadata directory.
pub(super) fn frontend(engine: &Doris, launch: &Launch) -> Option<VolumeDir> {
    at(engine, launch, FE_META_DIR).map(|(dir, _)| dir)
}

/// Value of a key in a file of lines `key=value`.
fn value(dir: &VolumeDir, file: &str, key: &str) -> String {
    let text = dir.read_text(file).unwrap_or_default();
    let mut values = text.lines().filter_map(|line| line.split_once('='));
    values.rfind(|(found, _)| found.trim() == key).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// The marker of a directory.
pub(super) fn marker(dir: &VolumeDir) -> Option<Marker> {
    dir.read_text(MARKER_FILE).map(|text| Marker::parse(&text))
}

/// What stands on a mounted metadata directory.
pub(super) fn inspect(dir: &VolumeDir) -> VolumeView {
    let marker = marker(dir);
    let cluster_id = value(dir, "image/VERSION", "clusterId");
    let journal = dir.volume.files(&dir.join("bdb"));
    let known = marker.clone().unwrap_or_default();
    let seen = Inspection {
        mounted: true,
        role: !value(dir, "image/ROLE", "role").is_empty(),
        version: !cluster_id.is_empty(),
        bdb: journal.iter().any(|path| path.rsplit_once('.').is_some_and(|(_, ending)| ending == "jdb")),
        cluster_id,
        incarnation: known.incarnation,
        identity: known.identity,
        epoch: known.epoch,
        blank_roots: Vec::new(),
    };
    VolumeView { seen, blank: journal.is_empty() && dir.volume.files(&dir.join("image")).is_empty(), marker }
}

/// What stands on a backend's storage roots, as the script tells it.
pub(super) fn inspect_backend(engine: &Doris, launch: &Launch) -> String {
    let roots = launch.env.get(env::STORAGE_ROOTS).map(String::as_str).unwrap_or_default().split(';');
    let (mut mounted, mut told) = (true, String::new());
    for root in roots {
        match at(engine, launch, root) {
            None => mounted = false,
            Some((dir, _)) if dir.read_text("cluster_id").is_none_or(|text| text.is_empty()) => {
                told.push_str("blank=");
                told.push_str(root);
                told.push('\n');
            }
            Some(_) => {}
        }
    }
    format!("{told}mounted={mounted}\n")
}

/// Moves metadata away, image first.
pub(super) fn move_aside(dir: &VolumeDir, seconds: i64) {
    for part in ["image", "bdb"] {
        if dir.volume.exists(&dir.join(part)) {
            dir.volume.rename(&dir.join(part), &dir.join(&format!(".stale-{seconds}/{part}")));
        }
    }
}

/// Writes the marker; `false` when the disk refuses.
pub(super) fn write_marker(dir: &VolumeDir, marker: &Marker) -> bool {
    dir.volume.write(&dir.join(MARKER_FILE), marker.to_string()).is_ok()
}
