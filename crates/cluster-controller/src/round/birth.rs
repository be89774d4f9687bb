//! The identity at the beginning of a round: as remembered, as read, rebuilt or new.

use doris_api::conditions::reason;
use doris_api::{Component, Process, labels, names, ports};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use super::Round;
use crate::act::accounts::UserPasswords;
use crate::act::identity::{self, Stored, fqdn_suffix};
use crate::error::Error;
use crate::identity::{Accounts, Identity, KnownFrontend, Phase};
use crate::plan::birth::{Birth, ClaimFacts, means_fresh_start, members_with_volumes, without_identity};

impl Round<'_> {
    /// The identity, read again only if the cache shows another version. `None`: see the findings.
    pub(super) async fn identity(&mut self, given: &UserPasswords) -> Result<Option<Stored>, Error> {
        let name = names::identity(&self.key.name);
        let cached = self.ctx.caches.secrets.get(self.key, &name);
        if let Some(stored) = self.memory.identity.open()
            && !stored.is_outdated(cached.as_deref())
        {
            return Ok(self.checked(stored));
        }
        let stored = match identity::get(self.ctx, self.key).await? {
            Some(stored) => self.renewed(stored, given).await?,
            None => match self.born(given).await? {
                Some(stored) => stored,
                None => return Ok(None),
            },
        };
        self.keep(stored.clone());
        Ok(self.checked(stored))
    }

    /// Members are registered by name: names that differ from those of the founding fit no member.
    fn checked(&mut self, stored: Stored) -> Option<Stored> {
        let (now, then) = (fqdn_suffix(self.cluster, self.key), &stored.identity.fqdn_suffix);
        if stored.identity.cluster_id().is_some() && *then != now {
            self.stall(
                reason::ADDRESS_CHANGED,
                format!(
                    "the members of this cluster are registered under {then}, and the spec now makes their names end in {now}: \
                     nothing is started under names that Doris does not know. Set spec.clusterDomain back"
                ),
            );
            return None;
        }
        self.has_its_ports(&stored.identity).then_some(stored)
    }

    /// Members are registered with a port, too: on another one they would be strangers.
    fn has_its_ports(&mut self, identity: &Identity) -> bool {
        let ports = [(Component::Fe, &ports::FE_EDIT_LOG), (Component::Be, &ports::BE_HEARTBEAT)];
        for (component, port) in ports {
            let now = self.cluster.spec.port(component, port);
            if let Some(then) =
                identity.ports.get(component.name()).filter(|then| **then != now && self.cluster.spec.member(component).is_some())
            {
                self.stall(
                    reason::ADDRESS_CHANGED,
                    format!(
                        "the {component} members of this cluster are registered with port {then}, and the spec now has {now}: nothing is started \
                         under addresses that Doris does not know. Set {component}.config.{} back to {then}",
                        port.key
                    ),
                );
                return false;
            }
        }
        true
    }

    /// An identity that was kept while all volumes were deleted: a fresh start is meant.
    async fn renewed(&mut self, stored: Stored, given: &UserPasswords) -> Result<Stored, Error> {
        if stored.identity.cluster_id().is_none() || !self.ctx.caches.sets.of(self.key).is_empty() {
            return Ok(stored);
        }
        let (Some(made), Some(cluster)) = (stored.made_at(), self.cluster.creation_timestamp().map(|time| time.0)) else {
            return Ok(stored);
        };
        if cluster <= made {
            return Ok(stored);
        }
        let claims = self.live_claims().await?;
        if !means_fresh_start(&stored.identity, made, cluster, &claims, 0) {
            return Ok(stored);
        }
        let fresh = self.new_identity(given, self.ctx.new_id(), Phase::Unfounded);
        identity::replace(self.ctx, self.key, &stored, &fresh).await
    }

    async fn born(&mut self, given: &UserPasswords) -> Result<Option<Stored>, Error> {
        let claims = self.live_claims().await?;
        let fresh = match without_identity(&claims) {
            Birth::New => self.new_identity(given, self.ctx.new_id(), Phase::Unfounded),
            Birth::Rebuilt { id, cluster_id } => match self.memory.identity.open().filter(|stored| stored.identity.id == id) {
                // This process leads and wrote or read it last; nothing of it is lost.
                Some(stored) => {
                    tracing::warn!(cluster = self.key.name, "the identity Secret was deleted; it is made again as it was");
                    stored.identity
                }
                None => self.rebuilt(given, id, cluster_id, &claims),
            },
            Birth::Halt(message) => {
                self.stall(reason::WRONG_VOLUME, message);
                return Ok(None);
            }
        };
        identity::create(self.ctx, self.key, &fresh).await.map(Some)
    }

    /// An identity from what the volumes say. The passwords that Doris has are not known any more, but for
    /// those that the user gives.
    fn rebuilt(&self, given: &UserPasswords, id: String, cluster_id: String, claims: &[ClaimFacts]) -> Identity {
        tracing::warn!(cluster = self.key.name, "the identity Secret is lost; it is rebuilt from what the volumes say");
        // What the volumes do not say, the status of a cluster that was not recreated does.
        let copy = self.cluster.status.as_ref().and_then(|status| status.identity.as_ref()).filter(|copy| copy.id == id);
        let of_copy = copy.and_then(|copy| copy.cluster_id.clone()).unwrap_or_default();
        let cluster_id = if cluster_id.is_empty() { of_copy } else { cluster_id };
        let epoch = copy.and_then(|copy| u64::try_from(copy.epoch).ok()).unwrap_or_default();
        let mut identity = Identity { epoch, ..self.new_identity(given, id, Phase::Founded { cluster_id }) };
        // Whichever password root lets us in by is put on record then.
        identity.accounts.root_applied = None;
        let hosts = |component: Component| {
            let set = self.ctx.caches.sets.get(self.key, &names::set(&self.key.name, component));
            let members = members_with_volumes(claims, component, set.map(|set| set.replicas));
            members.into_iter().map(move |ordinal| self.host(component, ordinal))
        };
        // Names and ids are filled in as soon as Doris tells them.
        let follower = |host| (host, KnownFrontend { name: String::new(), role: "FOLLOWER".to_owned() });
        identity.frontends = hosts(Component::Fe).map(follower).collect();
        identity.backends = hosts(Component::Be).map(|host| (host, String::new())).collect();
        for (component, ordinal, name) in claims.iter().filter_map(|claim| claim.left.clone()) {
            if component.process() == Process::Fe {
                identity.note_left(&self.host(component, ordinal), &name);
            }
        }
        identity
    }

    fn new_identity(&self, given: &UserPasswords, id: String, phase: Phase) -> Identity {
        let root_generated = self.ctx.new_password();
        // The founding frontend takes root's password with its first entry; it is on record before.
        let root_applied = given.root.clone().unwrap_or_else(|| root_generated.clone());
        Identity {
            id,
            phase,
            fqdn_suffix: fqdn_suffix(self.cluster, self.key),
            accounts: Accounts {
                operator: self.ctx.new_password(),
                // It is new already.
                operator_rotation: self.rotation_asked(),
                root_generated,
                root_applied: Some(root_applied),
                admin_generated: self.ctx.new_password(),
                ..Accounts::default()
            },
            ..Identity::default()
        }
    }

    /// Claims of this cluster's name from the server: a stale cache must not make a second founding.
    async fn live_claims(&self) -> Result<Vec<ClaimFacts>, Error> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.ctx.client.clone(), &self.key.namespace);
        let selector = ListParams::default().labels(&format!("{}={}", labels::CLUSTER, self.key.name));
        let list = claims.list(&selector).await.map_err(|source| Error::Read { what: "the volume claims", source })?;
        let facts = |claim: PersistentVolumeClaim| ClaimFacts {
            name: claim.name_any(),
            identity: claim.annotations().get(labels::IDENTITY).cloned(),
            cluster_id: claim.annotations().get(labels::CLUSTER_ID).cloned(),
            member: member_of(&claim),
            left: who_left(&claim),
        };
        Ok(list.items.into_iter().map(facts).collect())
    }
}

/// Whose volume a claim is.
fn member_of(claim: &PersistentVolumeClaim) -> Option<(Component, u32)> {
    let has_left = [labels::DROPPED, labels::DISCARDED].into_iter().any(|label| claim.labels().contains_key(label));
    if has_left { None } else { place_of(claim) }
}

/// Whose volume a kept claim was, and as whom Doris had that member.
fn who_left(claim: &PersistentVolumeClaim) -> Option<(Component, u32, String)> {
    let name = claim.labels().get(labels::DROPPED)?;
    place_of(claim).map(|(component, ordinal)| (component, ordinal, name.clone()))
}

fn place_of(claim: &PersistentVolumeClaim) -> Option<(Component, u32)> {
    let component = Component::from_name(claim.labels().get(labels::COMPONENT)?)?;
    let name = claim.name_any();
    let (_, ordinal) = name.rsplit_once('-')?;
    Some((component, ordinal.parse().ok()?))
}
