//! Sizes of the `ReplicaSets` while one replaces the others.

use std::sync::Arc;

use serde_json::Value;

use crate::api::ApiError;
use crate::deployment::{Family, available, replicas, sets};
use crate::value::{annotation, text};

fn total(family: &Family<'_>) -> i64 {
    family.all().map(|set| replicas(set)).sum()
}

/// The size that the new `ReplicaSet` may have now.
pub(crate) fn new_size(family: &Family<'_>, present: i64) -> i64 {
    if text(&family.deployment, "/spec/strategy/type") == "Recreate" {
        return family.wanted();
    }
    let old: i64 = family.old.iter().map(|set| replicas(set)).sum();
    let most = family.wanted() + family.max_surge();
    let current = old + present;
    if current >= most {
        return present;
    }
    present + (most - current).min(family.wanted() - present).max(0)
}

/// One step of a rolling update. True when a size changed.
pub(crate) fn roll(family: &mut Family<'_>) -> Result<bool, ApiError> {
    let Some(new) = family.new.clone() else { return Ok(false) };
    let present = replicas(&new);
    let size = if present > family.wanted() { family.wanted() } else { new_size(family, present) };
    if size != present {
        family.new = Some(sets::scale(family, &new, size)?);
        return Ok(true);
    }
    shrink_old(family)
}

fn shrink_old(family: &mut Family<'_>) -> Result<bool, ApiError> {
    let old: i64 = family.old.iter().map(|set| replicas(set)).sum();
    if old == 0 {
        return Ok(false);
    }
    let Some(new) = family.new.clone() else { return Ok(false) };
    let least = family.wanted() - family.max_unavailable();
    let new_unavailable = replicas(&new) - available(&new);
    let mut room = total(family) - least - new_unavailable;
    if room <= 0 {
        return Ok(false);
    }
    // Unhealthy old pods first: their going costs nothing.
    let mut changed = false;
    for at in 0..family.old.len() {
        let set = Arc::clone(&family.old[at]);
        let unhealthy = (replicas(&set) - available(&set)).min(room);
        if unhealthy > 0 {
            family.old[at] = sets::scale(family, &set, replicas(&set) - unhealthy)?;
            room -= unhealthy;
            changed = true;
        }
    }
    let up: i64 = family.all().map(|set| available(set)).sum();
    let mut room = up - least;
    for at in 0..family.old.len() {
        let set = Arc::clone(&family.old[at]);
        let fewer = replicas(&set).min(room);
        if fewer > 0 {
            family.old[at] = sets::scale(family, &set, replicas(&set) - fewer)?;
            room -= fewer;
            changed = true;
        }
    }
    Ok(changed)
}

/// The Deployment was resized since its `ReplicaSets` were told its size.
pub(crate) fn is_scaling(family: &Family<'_>) -> bool {
    family.all().filter(|set| replicas(set) > 0).any(|set| {
        let told = annotation(set, "deployment.kubernetes.io/desired-replicas").and_then(|text| text.parse::<i64>().ok());
        told.is_some_and(|told| told != family.wanted())
    })
}

/// Resizes without replacing: one active `ReplicaSet` takes it all, several share in proportion.
pub(crate) fn scale_all(family: &mut Family<'_>) -> Result<(), ApiError> {
    let active: Vec<String> = family.all().filter(|set| replicas(set) > 0).map(|set| crate::value::name(set).to_owned()).collect();
    let newest = family.all().last().map(|set| crate::value::name(set).to_owned());
    if active.len() <= 1 {
        let Some(only) = active.into_iter().next().or(newest) else { return Ok(()) };
        return resize(family, |family, set| if crate::value::name(set) == only { family.wanted() } else { replicas(set) });
    }
    let is_saturated = family.new.as_ref().is_some_and(|new| replicas(new) == family.wanted() && available(new) == family.wanted());
    if is_saturated {
        let new = family.new.as_ref().map(|new| crate::value::name(new).to_owned());
        return resize(family, |_, set| if new.as_deref() == Some(crate::value::name(set)) { replicas(set) } else { 0 });
    }
    if text(&family.deployment, "/spec/strategy/type") == "Recreate" {
        return Ok(());
    }
    share(family)
}

fn resize(family: &mut Family<'_>, size: impl Fn(&Family<'_>, &Value) -> i64) -> Result<(), ApiError> {
    for at in 0..family.old.len() {
        let set = Arc::clone(&family.old[at]);
        family.old[at] = sets::scale(family, &set, size(family, &set))?;
    }
    if let Some(new) = family.new.clone() {
        family.new = Some(sets::scale(family, &new, size(family, &new))?);
    }
    Ok(())
}

/// Spreads the difference over the active `ReplicaSets` by their sizes; what rounding leaves goes to the largest.
fn share(family: &mut Family<'_>) -> Result<(), ApiError> {
    let present = total(family);
    let allowed = if family.wanted() > 0 { family.wanted() + family.max_surge() } else { 0 };
    let difference = allowed - present;
    let mut sizes: Vec<(String, i64)> =
        family.all().filter(|set| replicas(set) > 0).map(|set| (crate::value::name(set).to_owned(), replicas(set))).collect();
    sizes.sort_by_key(|(name, size)| (std::cmp::Reverse(*size), name.clone()));
    let mut left = difference;
    for (_, size) in &mut sizes {
        let part = (difference * *size) / present.max(1);
        let part = if difference > 0 { part.min(left) } else { part.max(left) };
        *size += part;
        left -= part;
    }
    if let Some((_, size)) = sizes.first_mut() {
        *size = (*size + left).max(0);
    }
    resize(family, |_, set| sizes.iter().find(|(name, _)| name == crate::value::name(set)).map_or_else(|| replicas(set), |(_, size)| *size))
}
