//! Volumes: what is there against what the spec asks for.
//!
//! A StatefulSet's claim templates never change, and claims only grow. So a set is always built with
//! the templates that it has; what the spec asks for beyond them is the work of [`growth`] and [`disks`].

pub mod disks;
pub mod growth;

use doris_api::cluster::{Disk, Medium};
use doris_api::{Component, DorisClusterSpec};

use crate::build::{ClaimShape, bytes};

/// Components whose pods have claims, in the order in which their volumes grow.
pub const COMPONENTS: [Component; 4] = [Component::Fe, Component::FeObserver, Component::Be, Component::Cn];

/// The volumes of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Claim templates that its set has, or is made with.
    pub in_force: Vec<ClaimShape>,
    /// Disks that the spec has and its set has not.
    pub added: Vec<ClaimShape>,
    /// Templates that ask for less than the spec does.
    pub outgrown: Vec<String>,
    /// What the spec asks for and cannot be: a sentence each.
    pub refused: Vec<String>,
}

/// Compares what the spec asks for with the templates that are there; without any, the spec decides alone.
pub fn compare(component: Component, wanted: &[ClaimShape], there: Option<&[ClaimShape]>) -> Layout {
    let Some(there) = there else { return Layout { in_force: wanted.to_vec(), ..Layout::default() } };
    let mut layout = Layout::default();
    for old in there {
        let new = wanted.iter().find(|new| new.name == old.name);
        layout.in_force.push(new.map_or_else(|| old.clone(), |new| kept(component, old, new, &mut layout.refused)));
        match new {
            None => layout.refused.push(removed(component, &old.name)),
            Some(new) if bytes(&new.size) > bytes(&old.size) => layout.outgrown.push(old.name.clone()),
            Some(_) => {}
        }
    }
    layout.added = wanted.iter().filter(|new| !there.iter().any(|old| old.name == new.name)).cloned().collect();
    layout
}

/// The template as it stays; what the spec asks otherwise of it is refused.
fn kept(component: Component, old: &ClaimShape, new: &ClaimShape, refused: &mut Vec<String>) -> ClaimShape {
    let what = place(component, &old.name);
    if bytes(&new.size) < bytes(&old.size) {
        refused.push(format!(
            "{what} asks for {}, and its volumes have {}: Kubernetes shrinks no volume. Set the size back; to have smaller ones, scale out by \
             members that are to stay, or move the data to another cluster",
            new.size.0, old.size.0
        ));
    }
    // Whoever names no class takes the one that is there.
    if let Some(class) = new.class.as_ref().filter(|class| Some(*class) != old.class.as_ref()) {
        refused.push(format!(
            "{what} asks for storage class {class}, and its volumes were made of {}: the class of a volume never changes. Set storageClassName back",
            old.class.as_deref().unwrap_or("the default")
        ));
    }
    if let (Some(medium), Some(was)) = (new.medium, old.medium)
        && medium != was
    {
        refused.push(format!(
            "{what} asks for medium {}, and Doris keeps it as {}: the medium stands with the data. Set it back; for another medium add a disk of \
             another name",
            medium.name(),
            was.name()
        ));
    }
    // The same size in the user's own words.
    let size = if bytes(&new.size) == bytes(&old.size) { new.size.clone() } else { old.size.clone() };
    ClaimShape { size, ..old.clone() }
}

fn removed(component: Component, disk: &str) -> String {
    format!(
        "{} is not in the spec any more, and its volumes hold data: a disk is not taken away in place. Put it back; to be rid of it, add \
         {component} members of a cluster without it and remove those that have it",
        place(component, disk)
    )
}

/// Where a volume stands in the spec.
pub fn place(component: Component, name: &str) -> String {
    match component {
        Component::Fe | Component::FeObserver => "fe.storage".to_owned(),
        Component::Be | Component::Cn | Component::Broker => format!("disk {name} of {component}.storage"),
    }
}

/// Puts the disks that are in force into a spec: mounts and storage paths are built from it.
pub fn put_disks(spec: &mut DorisClusterSpec, component: Component, in_force: &[ClaimShape]) {
    let media: Vec<(String, Medium)> = spec.disks(component).iter().map(|disk| (disk.name.clone(), disk.medium)).collect();
    let medium_of = |shape: &ClaimShape| {
        let specified = media.iter().find(|(name, _)| *name == shape.name).map(|(_, medium)| *medium);
        shape.medium.or(specified).unwrap_or_default()
    };
    let disks = in_force.iter().map(|shape| Disk {
        name: shape.name.clone(),
        medium: medium_of(shape),
        size: shape.size.clone(),
        storage_class_name: shape.class.clone(),
    });
    let disks: Vec<Disk> = disks.collect();
    match component {
        Component::Be => spec.be.iter_mut().for_each(|be| be.storage.clone_from(&disks)),
        Component::Cn => spec.cn.iter_mut().for_each(|cn| cn.storage.clone_from(&disks)),
        Component::Fe | Component::FeObserver | Component::Broker => {}
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use doris_api::Component;
    use doris_api::cluster::Medium;
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    use super::{compare, put_disks};
    use crate::build::ClaimShape;
    use crate::build::fixtures::{cluster, small};

    fn disk(name: &str, size: &str) -> ClaimShape {
        ClaimShape { name: name.into(), size: Quantity(size.into()), class: None, medium: Some(Medium::SSD) }
    }

    #[test]
    fn without_a_set_the_spec_decides() {
        let wanted = [disk("data", "100Gi")];
        assert_eq!(compare(Component::Be, &wanted, None).in_force, wanted);
    }

    #[test]
    fn a_set_keeps_its_templates_and_what_is_asked_beyond_them_is_told_apart() {
        let there = [disk("a", "100Gi"), disk("b", "1Gi")];
        // The order of the spec is not that of the set.
        let layout = compare(Component::Be, &[disk("new", "5Gi"), disk("b", "1024Mi"), disk("a", "200Gi")], Some(&there));
        assert_eq!(layout.in_force, there);
        assert_eq!(layout.in_force[1].size.0, "1024Mi", "the user's own words for the same size");
        assert_eq!(layout.added, [disk("new", "5Gi")]);
        assert_eq!(layout.outgrown, ["a"]);
        assert_eq!(layout.refused, Vec::<String>::new());
    }

    #[test]
    fn what_no_volume_does_is_refused_with_the_field_and_stays_as_it_is() {
        let there = [disk("data", "100Gi")];
        let cases: [(ClaimShape, &str); 4] = [
            (disk("data", "50Gi"), "shrinks no volume"),
            (ClaimShape { class: Some("fast".into()), ..disk("data", "100Gi") }, "storage class fast"),
            (ClaimShape { medium: Some(Medium::HDD), ..disk("data", "100Gi") }, "medium HDD"),
            (disk("other", "100Gi"), "not in the spec any more"),
        ];
        for (wanted, words) in cases {
            let layout = compare(Component::Be, &[wanted], Some(&there));
            assert_eq!(layout.in_force, there, "{words}");
            assert!(layout.refused.len() == 1 && layout.refused[0].contains(words), "{:?}", layout.refused);
            assert!(layout.refused[0].starts_with("disk data of be.storage"), "{:?}", layout.refused);
        }
    }

    #[test]
    fn a_spec_takes_the_disks_in_force_with_their_media() {
        let mut spec = cluster(&small()).spec;
        let old = ClaimShape { medium: None, ..disk("data", "100Gi") };
        put_disks(&mut spec, Component::Be, &[disk("gone", "1Gi"), old]);
        let found: Vec<(&str, Medium)> = spec.disks(Component::Be).iter().map(|disk| (disk.name.as_str(), disk.medium)).collect();
        assert_eq!(found, [("gone", Medium::SSD), ("data", Medium::SSD)]);
    }
}
