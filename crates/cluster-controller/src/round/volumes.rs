//! Telling of volumes that came back without what they held: which, and what a person can do.

use doris_api::conditions::reason;
use doris_api::{Component, names};

use super::Round;
use crate::identity::Identity;
use crate::plan::volumes::{Metadata, frontends};
use crate::view::MemberPod;

impl Round<'_> {
    /// Members that wait in their gates because of their volumes.
    pub(super) fn tell_of_volumes(&mut self) {
        let Some(identity) = self.facts.identity.clone().filter(|identity| identity.cluster_id().is_some()) else { return };
        self.tell_of_empty_backends(&identity);
        if self.facts.master.is_none() {
            self.tell_of_lost_frontends(&identity);
        }
    }

    /// A backend whose volume is known to have held data does not start on an empty one.
    fn tell_of_empty_backends(&mut self, identity: &Identity) {
        let mut told = Vec::new();
        for pod in self.facts.seen.of(Component::Be) {
            let is_new = |root: &&String| {
                let disk = root.rsplit('/').next().unwrap_or_default();
                identity.disks.get(&pod.fqdn).is_some_and(|used| !used.contains(disk))
            };
            let roots: Vec<&String> = pod.empty_roots().iter().filter(|root| !is_new(root)).collect();
            let is_alive = self.facts.seen.known.get(&pod.fqdn).is_some_and(|known| known.alive);
            if roots.is_empty() || is_alive || !identity.backends.contains_key(&pod.fqdn) {
                continue;
            }
            let volumes = roots.iter().filter_map(|root| root.rsplit('/').next());
            let claims: Vec<String> = volumes.map(|volume| names::claim(&self.key.name, Component::Be, volume, pod.ordinal)).collect();
            told.push(format!(
                "{name} held data, and the volume of {claims} came back empty: it waits in its start gate, because under its old id it would \
                 report its tablets as gone. Bring the old volume back and delete the pod; or, once every tablet has healthy replicas on other \
                 backends (SHOW PROC \"/cluster_health/tablet_health\"), let it start empty: kubectl -n {namespace} annotate pod {name} \
                 doris-operator.dev/ticket=blank-ok:{uid}",
                name = pod.name,
                claims = listed("claim", &claims),
                namespace = self.key.namespace,
                uid = pod.uid,
            ));
        }
        for message in told {
            self.stall(reason::BLANK_VOLUME, message);
        }
    }

    /// Without a majority of frontends that have their metadata no master will ever be elected.
    fn tell_of_lost_frontends(&mut self, identity: &Identity) {
        let followers = self.facts.seen.of(Component::Fe);
        let named = |lost: &[&MemberPod]| {
            let pods: Vec<&str> = lost.iter().map(|pod| pod.name.as_str()).collect();
            let claims: Vec<String> =
                lost.iter().map(|pod| names::claim(&self.key.name, Component::Fe, names::FE_META_VOLUME, pod.ordinal)).collect();
            format!("{} ({})", pods.join(", "), listed("claim", &claims))
        };
        let message = match frontends(followers, identity.follower_count()) {
            Metadata::Enough => return,
            Metadata::NoneLeft(lost) => format!(
                "the metadata of every frontend is lost: the volumes of {} came back without it. They wait in their start gates, for an empty \
                 cluster beside the backends' data would have it deleted; the backends keep their data. Restore the volumes from a copy that \
                 has both image/ and bdb/ and delete the pods. To give the data up instead, delete the DorisCluster, its claims and Secret {}, \
                 and create it anew",
                named(&lost),
                names::identity(&self.key.name),
            ),
            Metadata::NoMajority { lost, needed } => format!(
                "the metadata of {} is lost, and the frontends that have theirs are fewer than the {needed} that elect a master. Restore the \
                 lost volumes from a copy that has both image/ and bdb/ and delete the pods",
                named(&lost),
            ),
        };
        self.stall(reason::FRONTEND_METADATA_LOST, message);
    }
}

fn listed(what: &str, names: &[String]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{what}{plural} {}", names.join(", "))
}
