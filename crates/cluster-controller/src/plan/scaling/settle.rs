//! What follows once members may lose their pods: volumes are marked, the identity forgets them, the
//! StatefulSet is lowered, volumes that nobody wants are deleted.

use std::collections::BTreeSet;

use doris_api::Component;

use super::scene::{Leaver, Mark, Scene};
use super::{Step, Turn};

/// The next of these steps, if one is due. In this order a crash between any two leaves nothing that
/// would bring a pod back that has to go, or take one that has to stay.
pub(super) fn step(scene: &Scene<'_>, turns: &[(Component, Turn)]) -> Option<Step> {
    let going: Vec<&Leaver> = turns.iter().flat_map(|(component, turn)| suffix(scene, *component, &turn.released)).collect();
    let unmarked = |leaver: &&&Leaver| leaver.slot && leaver.claims.iter().any(|claim| claim.mark.is_none());
    let pods: Vec<String> = going.iter().filter(unmarked).map(|leaver| leaver.pod.clone()).collect();
    if !pods.is_empty() {
        return Some(Step::Mark { pods });
    }
    let gone = scene.leavers.iter().filter(|leaver| leaver.row.is_none());
    let forgotten: BTreeSet<String> = going
        .iter()
        .copied()
        .chain(gone)
        .filter(|leaver| leaver.on_record || leaver.left_as.is_some())
        .map(|leaver| leaver.host.clone())
        .collect();
    if !forgotten.is_empty() {
        return Some(Step::Forget { hosts: forgotten.into_iter().collect() });
    }
    turns.iter().find_map(|(component, turn)| lower(scene, *component, turn)).or_else(|| discard(scene))
}

/// Members from the top down whose pods may all go.
fn suffix<'a>(scene: &'a Scene<'_>, component: Component, released: &BTreeSet<u32>) -> Vec<&'a Leaver> {
    let Some(to) = lowest(scene, component, released) else { return Vec::new() };
    scene.of(component).filter(|leaver| leaver.ordinal >= to && released.contains(&leaver.ordinal)).collect()
}

/// How few pods a set may have now, if that is fewer than it has.
fn lowest(scene: &Scene<'_>, component: Component, released: &BTreeSet<u32>) -> Option<u32> {
    let set = scene.sets.get(&component)?;
    let kept = scene.of(component).filter(|leaver| leaver.slot && !released.contains(&leaver.ordinal));
    let to = kept.map(|leaver| leaver.ordinal + 1).max().unwrap_or(0).max(set.wanted);
    // A set that the spec has not any more is deleted as a whole.
    (to < set.pods && (set.specified || to == 0)).then_some(to)
}

fn lower(scene: &Scene<'_>, component: Component, turn: &Turn) -> Option<Step> {
    lowest(scene, component, &turn.released).map(|to| Step::Lower { component, to })
}

/// One claim whose member is gone in every respect.
fn discard(scene: &Scene<'_>) -> Option<Step> {
    let gone = scene.leavers.iter().filter(|leaver| leaver.row.is_none() && leaver.has_no_pod());
    gone.flat_map(|leaver| leaver.claims.iter().map(move |claim| (leaver, claim)))
        .find(|(_, claim)| claim.mark == Some(Mark::Discarded))
        .map(|(leaver, claim)| Step::Discard { pod: leaver.pod.clone(), claim: claim.name.clone(), uid: claim.uid.clone() })
}
