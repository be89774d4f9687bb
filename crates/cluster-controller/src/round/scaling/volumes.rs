//! Volume claims, as a scale in sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use controller_kit::lease::Fence;
use doris_api::cluster::VolumePolicy;
use doris_api::rules::SafetyRule;
use doris_api::{Component, labels};
use doris_client::Session;
use doris_safety::{Refusal, Step as SafeStep};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;

use super::super::Round;
use super::carry::{Act, Done};
use crate::act::claims::{self, Note, note};
use crate::error::Error;
use crate::plan::scaling::Mark;

/// A member's claim.
#[derive(Clone, Debug)]
pub(in crate::round) struct ClaimView {
    pub name: String,
    pub uid: String,
    pub component: Component,
    pub ordinal: u32,
    pub mark: Option<Mark>,
}

impl ClaimView {
    /// The members' claims among these.
    pub fn all(claims: &BTreeMap<String, Arc<PersistentVolumeClaim>>) -> Vec<Self> {
        claims.values().filter_map(|claim| Self::of(claim)).collect()
    }

    fn of(claim: &PersistentVolumeClaim) -> Option<Self> {
        let labels = claim.labels();
        let name = claim.name_any();
        let (_, ordinal) = name.rsplit_once('-')?;
        let mark = match (labels.contains_key(labels::DISCARDED), labels.contains_key(labels::DROPPED)) {
            (true, _) => Some(Mark::Discarded),
            (false, true) => Some(Mark::Kept),
            (false, false) => None,
        };
        Some(Self {
            component: Component::from_name(labels.get(labels::COMPONENT)?)?,
            ordinal: ordinal.parse().ok()?,
            uid: claim.uid()?,
            name,
            mark,
        })
    }
}

impl Round<'_> {
    /// A volume whose member is asked for again is in use again.
    pub(super) async fn free_claims_in_use(&mut self) -> Result<(), Error> {
        let back = |claim: &&ClaimView| claim.mark.is_some() && claim.ordinal < self.wanted(claim.component);
        let used: Vec<ClaimView> = self.claims.iter().filter(back).cloned().collect();
        for claim in &used {
            note(self.ctx, self.key, &claim.name, &claim.uid, &Note::Nothing).await?;
        }
        if !used.is_empty() {
            self.see_pods();
        }
        Ok(())
    }

    /// Notes on the claims what becomes of them: what the policy says now holds for them from now on.
    pub(super) async fn mark_claims(&mut self, act: &Act<'_>, pods: &[String]) -> Result<(), Error> {
        let identity = &act.stored.identity;
        for leaver in act.leavers.iter().filter(|leaver| pods.contains(&leaver.pod)) {
            let of_backend = act.doris.backends.iter().find(|row| row.host == leaver.host).map(|row| row.id.to_string());
            let of_frontend = identity.frontends.get(&leaver.host).map(|known| known.name.clone());
            let known = of_frontend.or_else(|| identity.backends.get(&leaver.host).cloned()).or(of_backend);
            let member = known.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned());
            let note = match self.cluster.spec.scale_in.volumes {
                VolumePolicy::Retain => Note::Kept(member),
                VolumePolicy::Delete => Note::Discarded(member),
            };
            for claim in leaver.claims.iter().filter(|claim| claim.mark.is_none()) {
                claims::note(self.ctx, self.key, &claim.name, &claim.uid, &note).await?;
            }
        }
        self.see_pods();
        Ok(())
    }

    /// Deletes a claim, if what is on it is elsewhere: no tablet may be without a whole replica.
    pub(super) async fn discard(
        &mut self,
        session: &mut Session,
        act: &Act<'_>,
        [pod, claim, uid]: [&String; 3],
        fence: &Fence,
    ) -> Result<Done, Error> {
        let Some(leaver) = act.leavers.iter().find(|leaver| leaver.pod == *pod) else { return Ok(Ok(())) };
        let (host, name) = (leaver.host.clone(), claim.to_owned());
        let step = match leaver.component {
            Component::Fe | Component::FeObserver => SafeStep::DeleteFrontendClaim { host, claim: name },
            Component::Be | Component::Cn | Component::Broker => SafeStep::DeleteBackendClaim { host, claim: name },
        };
        if let Err(done) = self.permit(act.doris, session, &step, fence).await? {
            return Ok(done);
        }
        if leaver.component == Component::Be {
            let failed = |source| Error::Doris { what: "asking for the health of the tablets", source };
            let lost: u64 = session.tablet_health().await.map_err(failed)?.iter().map(|database| database.unrecoverable).sum();
            if lost > 0 {
                let sentence = format!(
                    "{lost} tablets have no complete replica, and what they lack may be on {claim}: it stays until they are whole, or until \
                     somebody deletes it"
                );
                return Ok(Err(Refusal {
                    blocked: vec![doris_safety::Blocked { rule: SafetyRule::KeepReplica, object: claim.to_owned(), sentence, hard: None }],
                }));
            }
        }
        self.ctx.operations.check_just_before_act(&self.key.namespace, &self.key.name, fence).await?;
        tracing::info!(cluster = self.key.name, claim, "the claim of a member that left is deleted");
        claims::delete(self.ctx, self.key, claim, uid).await?;
        Ok(Ok(()))
    }
}
