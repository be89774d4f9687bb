//! What the script sees and writes on a member's disks.

use std::collections::BTreeSet;

use doris_api::member::{BUILD_FILE, COPY_PREFIX, FE_META_DIR, GATE_DIR, Inspection, MARKER_FILE, Marker, env};
use doris_api::names::GATE_UPGRADE_FROM;
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
        copy: copies(dir).into_iter().next().unwrap_or_default(),
        copy_note: String::new(),
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

/// Versions whose metadata is kept in a copy.
fn copies(dir: &VolumeDir) -> BTreeSet<String> {
    let inside = format!("{}/{COPY_PREFIX}", dir.path.trim_matches('/'));
    let files = dir.volume.files(&dir.path);
    let version = |path: &String| Some(path.strip_prefix(inside.trim_start_matches('/'))?.split('/').next()?.to_owned());
    files.iter().filter_map(version).collect()
}

/// What a frontend's journal wants free.
const RESERVE: u64 = 1 << 30;

/// Whether a build is of a newer line than the last one, or that cannot be told.
fn is_newer_line(last: &str, next: &str) -> bool {
    let line = |text: &str| text.parse::<doris_api::DorisVersion>().ok().map(|version| version.line());
    matches!((line(last), line(next)), (None, _) | (_, None)) || line(next) > line(last)
}

/// What the inspection of a frontend does and tells: before another build starts on complete metadata, it is copied.
/// The copy of the version that an upgrade under way left is kept beside it.
pub(super) fn inspect_frontend(dir: &VolumeDir, launch: &Launch) -> Inspection {
    let from = launch.files.read(&format!("{GATE_DIR}/{GATE_UPGRADE_FROM}")).unwrap_or_default();
    let from = from.lines().next().unwrap_or_default();
    let told = || {
        let seen = inspect(dir).seen;
        let copy = copies(dir).into_iter().find(|copy| copy == from).unwrap_or(seen.copy);
        Inspection { copy, ..seen }
    };
    let seen = told();
    let image = launch.env.get(env::IMAGE).map(String::as_str).unwrap_or_default();
    if image.is_empty() || !seen.is_complete() || value(dir, BUILD_FILE, "image") == image {
        return seen;
    }
    let last = value(dir, BUILD_FILE, "version");
    // An upgrade that is turned to another release of its line, or back, has its copy already.
    if copies(dir).contains(from) && last != from && !is_newer_line(&last, launch.env.get(env::VERSION).map_or("", String::as_str)) {
        return seen;
    }
    let last = if last.is_empty() { "unknown" } else { &last };
    let parts: Vec<String> = ["image", "bdb"].iter().flat_map(|part| dir.volume.files(&dir.join(part))).collect();
    let contents: Vec<(String, Vec<u8>)> =
        parts.into_iter().filter_map(|path| Some((path.clone(), dir.volume.read(&path).ok()?))).collect();
    let size = contents.iter().map(|(_, content)| content.len() as u64).sum::<u64>();
    for old in copies(dir).into_iter().filter(|old| old != from || old == last) {
        dir.volume.remove(&dir.join(&format!("{COPY_PREFIX}{old}")));
    }
    let own = dir.path.trim_matches('/');
    let kept = |path: &str| dir.join(&format!("{COPY_PREFIX}{last}/{}", path.trim_start_matches(own).trim_start_matches('/')));
    let has_room = dir.volume.free().is_none_or(|free| free >= size + RESERVE);
    let made = has_room && contents.into_iter().all(|(path, content)| dir.volume.write(&kept(&path), content).is_ok());
    if !made {
        dir.volume.remove(&dir.join(&format!("{COPY_PREFIX}{last}")));
    }
    let note = if made { "made" } else { "not made: no room" };
    Inspection { copy_note: note.to_owned(), ..told() }
}

/// What the next start compares its own image with.
pub(super) fn write_build(dir: &VolumeDir, launch: &Launch) {
    let variable = |name: &str| launch.env.get(name).cloned().unwrap_or_default();
    let (image, version) = (variable(env::IMAGE), variable(env::VERSION));
    if !image.is_empty() {
        // A full volume keeps no frontend from starting.
        drop(dir.volume.write(&dir.join(BUILD_FILE), format!("image={image}\nversion={version}\n")));
    }
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
