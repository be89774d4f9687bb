//! Rules about volumes.

use super::rule::{Nodes, QUANTITY, Rule, Table};
use super::text;
use crate::cluster::{Disk, MetadataStorage};
use crate::component::Component;
use crate::names::OWN_VOLUME_PREFIX;

const POSITIVE: &str =
    "string(self.size).matches('^[0-9]+([.][0-9]+)?([KMGTPE]i|[numkMGTPE]?)$') && string(self.size).matches('^[0-9.]*[1-9]')";
const CLASS_KEPT: &str = "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)";
// An old value that is no quantity, stored before there was a rule, must not make this one fail.
const NOT_SMALLER: &str = "!isQuantity(string(self.size)) || !isQuantity(string(oldSelf.size)) || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0";

/// `spec.fe.storage`.
pub(super) static METADATA: Table<MetadataStorage> = Table {
    places: &["spec.fe.storage"],
    rules: || {
        vec![
            Rule::state(".size", "{at}.size must be a size above zero, such as 20Gi", POSITIVE, |storage: &MetadataStorage| {
                text::is_positive(&storage.size)
            }),
            Rule::change(
                ".size",
                "{at}.size can't become smaller: Kubernetes shrinks no volume",
                NOT_SMALLER,
                |new: &MetadataStorage, old| text::not_smaller(&new.size, &old.size),
            )
            .only_from(QUANTITY),
            Rule::change(
                ".storageClassName",
                "{at}.storageClassName can't change: the volumes exist already",
                CLASS_KEPT,
                |new: &MetadataStorage, old| new.storage_class_name == old.storage_class_name,
            ),
        ]
    },
    nodes: |cluster| vec![("spec.fe.storage".to_owned(), &cluster.spec.fe.storage)],
};

/// Disks of backends and compute nodes.
pub(super) static DISKS: Table<Disk> = Table {
    places: &["spec.be.storage[]", "spec.cn.storage[]"],
    rules: || {
        vec![
            Rule::state(
                ".name",
                "{at}: the name of a disk must be lower-case letters, digits and hyphens, and start and end with a letter or digit",
                "self.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                |disk: &Disk| text::is_label(&disk.name),
            ),
            Rule::state(
                ".name",
                "{at}: names of disks that start with operator- belong to the operator",
                "!self.name.startsWith('operator-')",
                |disk: &Disk| !disk.name.starts_with(OWN_VOLUME_PREFIX),
            ),
            Rule::state(".size", "{at}: the size of a disk must be above zero, such as 100Gi", POSITIVE, |disk: &Disk| {
                text::is_positive(&disk.size)
            }),
            Rule::change(".size", "{at}: a disk can't become smaller: Kubernetes shrinks no volume", NOT_SMALLER, |new: &Disk, old| {
                text::not_smaller(&new.size, &old.size)
            })
            .only_from(QUANTITY),
            Rule::change(
                ".storageClassName",
                "{at}: the storageClassName of a disk can't change: the volumes exist already",
                CLASS_KEPT,
                |new: &Disk, old| new.storage_class_name == old.storage_class_name,
            ),
            Rule::change(
                ".medium",
                "{at}: the medium of a disk can't change: Doris keeps it with the data",
                "self.medium == oldSelf.medium",
                |new: &Disk, old| new.medium == old.medium,
            ),
        ]
    },
    nodes: disks,
};

fn disks(cluster: &crate::DorisCluster) -> Nodes<'_, Disk> {
    let of = |component: Component| {
        cluster.spec.disks(component).iter().map(move |disk| (format!("spec.{component}.storage[{}]", disk.name), disk))
    };
    of(Component::Be).chain(of(Component::Cn)).collect()
}
