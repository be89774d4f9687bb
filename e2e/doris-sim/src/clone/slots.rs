//! How much a backend takes part in at a time, and where there is room.

use std::collections::BTreeMap;

use crate::catalog::{Backend, Catalog};
use crate::fe::Fe;

/// Copies that a backend's disks take part in at the same time.
pub(super) fn of_disks(fe: &Fe, backend: &Backend) -> usize {
    let number = |ssd: bool| fe.settings.number(if ssd { "schedule_slot_num_per_ssd_path" } else { "schedule_slot_num_per_hdd_path" });
    let slots: u64 = backend.disks.iter().filter(|disk| disk.online).map(|disk| number(disk.ssd)).sum();
    usize::try_from(slots).unwrap_or(usize::MAX)
}

/// Copies that go to or come from a backend now.
pub(super) fn used(fe: &Fe, backend: u64) -> usize {
    fe.scheduler.running.values().filter(|copying| copying.source == backend || copying.destination == backend).count()
}

/// Copies that go to a backend now.
pub(super) fn incoming(fe: &Fe, backend: u64) -> usize {
    fe.scheduler.running.values().filter(|copying| copying.destination == backend).count()
}

/// Whether a destination can begin another copy: its disks allow it, and a worker is free.
pub(super) fn can_receive(fe: &Fe, backend: &Backend, workers: u64) -> bool {
    used(fe, backend.id) < of_disks(fe, backend) && (incoming(fe, backend.id) as u64) < workers.max(1)
}

/// Whether some disk stays below the high watermark with this much more on it.
pub(super) fn has_room(fe: &Fe, backend: &Backend, bytes: u64) -> bool {
    let limit = fe.settings.number("storage_high_watermark_usage_percent");
    backend.disks.iter().any(|disk| {
        let used = disk.total.saturating_sub(disk.available) + bytes;
        disk.online && used.saturating_mul(100) <= disk.total.saturating_mul(limit)
    })
}

/// Load of a backend in a balance: its share of replicas and of data, both against the mean.
pub(super) fn scores(catalog: &Catalog, backends: &[&Backend]) -> Vec<f64> {
    let count = |id: u64| catalog.live_replicas_on(id);
    let bytes = |id: u64| -> u64 {
        catalog.places().flat_map(|place| &place.tablet.replicas).filter(|replica| replica.backend == id).map(|replica| replica.bytes).sum()
    };
    let counts: Vec<f64> = backends.iter().map(|backend| float(count(backend.id) as u64)).collect();
    let sizes: Vec<f64> = backends.iter().map(|backend| float(bytes(backend.id))).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / float(values.len().max(1) as u64);
    let (mean_count, mean_size) = (mean(&counts).max(1e-9), mean(&sizes));
    let score = |(count, size): (&f64, &f64)| {
        let share = count / mean_count;
        if mean_size > 0.0 { f64::midpoint(share, size / mean_size) } else { share }
    };
    counts.iter().zip(&sizes).map(score).collect()
}

/// Loads of a tag's backends in millionths of the mean.
pub(super) fn loads(catalog: &Catalog, location: &str) -> BTreeMap<u64, i64> {
    let fit: Vec<&Backend> = catalog.backends.values().filter(|b| b.takes_replicas() && b.location() == location).collect();
    #[expect(clippy::cast_possible_truncation, reason = "a load is a small number")]
    let whole = |score: f64| (score * 1e6) as i64;
    fit.iter().zip(scores(catalog, &fit)).map(|(backend, score)| (backend.id, whole(score))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "shares need no exact numbers")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}
