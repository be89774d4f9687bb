//! Carrying a walk out, and judging what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use doris_api::{DorisCluster, labels};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::disturb::Disturbances;
use super::{KEYTABS, KRB5, MORE_FILES, PASSWORDS, Walk, What};
use crate::lab::oracles::end;
use crate::lab::oracles::logs::Logs;
use crate::lab::workloads::NAME;
use crate::lab::{CONTROLLER_ADDRESS, Controller, Lab, Settings, cluster, is_ready, merge};

/// Longest time from the last change to `Ready`. A roll of all members of a small cluster takes some minutes.
const WITHIN: Duration = Duration::from_mins(60);
/// Something that is named as being in the way for so long will not go by itself.
const PATIENCE: Duration = Duration::from_mins(4);
/// Until a change that has no generation of its own is seen.
const SEEN: Duration = Duration::from_secs(5);

/// Walks, and tells what was broken.
pub async fn run(walk: &Walk) -> Vec<String> {
    let (logs, guard) = Logs::capture();
    let lab = Lab::new(Settings { seed: walk.seed, ..Settings::default() }).await;
    let controller = lab.start_controller();
    let mut walker = Walker {
        lab: &lab,
        controller: &controller,
        spec: walk.start.clone(),
        annotations: BTreeMap::new(),
        passwords: BTreeMap::from([("root", "First-Root-1".to_owned()), ("admin", "First-Admin-1".to_owned())]),
        disturbances: Disturbances::default(),
        broken: Vec::new(),
    };
    Box::pin(walker.walk(walk)).await;
    let mut broken = walker.broken;
    broken.extend(lab.broken_rules());
    broken.extend(logs.judge(&lab.passwords()));
    if let Some(file) = std::env::var_os("LOG") {
        std::fs::write(file, logs.text()).expect("the log is written");
    }
    drop(guard);
    broken
}

struct Walker<'a> {
    lab: &'a Lab,
    controller: &'a Controller,
    spec: Value,
    annotations: BTreeMap<String, String>,
    passwords: BTreeMap<&'static str, String>,
    disturbances: Disturbances,
    broken: Vec<String>,
}

impl Walker<'_> {
    async fn walk(&mut self, walk: &Walk) {
        self.set_the_stage().await;
        let mut applied = self.apply().await;
        if walk.is_created_first {
            self.settle(applied).await;
            if walk.has_rows {
                // As many copies as there are backends; a cluster that takes none has none to lose.
                self.lab.load_rows(NAME, self.spec["be"]["replicas"].as_i64().unwrap_or(1)).await;
            }
        }
        for event in &walk.events {
            self.disturbances.wait_until(Instant::now() + event.after, self.lab, self.controller).await;
            match &event.what {
                What::Spec(patch) => {
                    merge(&mut self.spec, patch);
                    applied = self.apply().await;
                }
                What::Refused(patch) => self.is_refused(patch).await,
                What::Annotate(key, value) => {
                    self.annotations.insert(key.clone(), value.clone());
                    applied = self.apply().await;
                }
                What::Password(user, password) => {
                    self.passwords.insert(user, password.clone());
                    self.put_passwords().await;
                }
                What::Recreate => {
                    self.delete().await;
                    applied = self.apply().await;
                }
                What::Disturb(disturbance) => self.disturbances.begin(self.lab, self.controller, *disturbance).await,
            }
        }
        self.disturbances.end(self.lab, self.controller).await;
        self.settle(applied).await;
        self.lab.faults.clear();
        if self.broken.is_empty() {
            Box::pin(self.judge()).await;
        }
    }

    /// What a spec may refer to.
    async fn set_the_stage(&mut self) {
        self.put_passwords().await;
        let params = PatchParams::apply("git").force();
        for (name, data) in [(MORE_FILES, json!({"hdfs-site.xml": "<configuration/>"})), (KRB5, json!({"krb5.conf": "[libdefaults]"}))] {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
            self.lab.api::<ConfigMap>().patch(name, &params, &Patch::Apply(&object)).await.expect("the ConfigMap is written");
        }
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": KEYTABS}, "stringData": {"doris.keytab": "k"}});
        self.lab.api::<Secret>().patch(KEYTABS, &params, &Patch::Apply(&object)).await.expect("the Secret is written");
    }

    async fn put_passwords(&self) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": PASSWORDS, "labels": {labels::CLUSTER: NAME}},
            "stringData": self.passwords,
        });
        let params = PatchParams::apply("git").force();
        self.lab.api::<Secret>().patch(PASSWORDS, &params, &Patch::Apply(&secret)).await.expect("the Secret is written");
    }

    fn object(&self, spec: Value) -> DorisCluster {
        let mut object = cluster(NAME, spec);
        object.metadata.annotations = Some(self.annotations.clone());
        object
    }

    /// Generation of the spec as it is now.
    async fn apply(&mut self) -> i64 {
        match self.lab.apply(&self.object(self.spec.clone())).await {
            Ok(applied) => applied.metadata.generation.unwrap_or(0),
            Err(error) => {
                self.broken.push(format!("walk: {} is not accepted: {error}", self.spec));
                0
            }
        }
    }

    async fn is_refused(&mut self, patch: &Value) {
        let mut spec = self.spec.clone();
        merge(&mut spec, patch);
        if self.lab.apply(&self.object(spec)).await.is_ok() {
            self.broken.push(format!("walk: {patch} is accepted"));
        }
    }

    async fn delete(&self) {
        let clusters = self.lab.api::<DorisCluster>();
        clusters.delete(NAME, &DeleteParams::background()).await.expect("the cluster is there");
        while clusters.get_opt(NAME).await.is_ok_and(|found| found.is_some()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the cluster is ready with the spec of this generation. What is named as being in the way, and what the spec
    /// asks for is not to be had, is taken back as a person would.
    async fn settle(&mut self, mut wanted: i64) {
        tokio::time::sleep(SEEN).await;
        let end = Instant::now() + WITHIN;
        let mut blocked_since = None;
        loop {
            let seen = self.lab.cluster("default", NAME).await;
            let is_at = |cluster: &&DorisCluster| cluster.metadata.generation >= Some(wanted);
            if seen.as_ref().filter(is_at).is_some_and(is_ready) {
                return;
            }
            if Instant::now() >= end {
                let status = seen.and_then(|cluster| cluster.status);
                let summary = status.and_then(|status| status.summary).unwrap_or_default();
                self.broken.push(format!("desired: not ready within {WITHIN:?}: {summary}"));
                return;
            }
            match seen.as_ref().filter(is_at).and_then(remedy) {
                Some(patch) => {
                    let since = *blocked_since.get_or_insert(Instant::now());
                    if since.elapsed() >= PATIENCE {
                        merge(&mut self.spec, &patch);
                        wanted = self.apply().await;
                        blocked_since = None;
                    }
                }
                None => blocked_since = None,
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn judge(&mut self) {
        let lab = self.lab;
        self.broken.extend(end::quiet(lab, NAME).await);
        if let Some(cluster) = lab.cluster("default", NAME).await {
            self.broken.extend(end::truth(lab, &cluster));
            self.broken.extend(end::in_force(lab, &cluster).await);
            self.broken.extend(end::switches(lab, &cluster.spec));
        }
        if let Ok(end) = end::state(lab, NAME).await {
            self.broken.extend(end::left_tickets(&end));
        }
        self.broken.extend(self.logins());
        self.broken.extend(lab.rows_stay(NAME).await);
    }

    /// `desired`: passwords that the spec names are those of the accounts.
    fn logins(&self) -> Vec<String> {
        let auth = &self.spec["auth"];
        let named = [("root", "rootPassword"), ("admin", "adminPassword")].into_iter().filter(|(_, field)| auth[*field].is_object());
        let masters = self.lab.masters(NAME);
        let fits = |user: &str| {
            let login = |address| self.lab.world.would_log_in(CONTROLLER_ADDRESS, address, user, &self.passwords[user]);
            masters.iter().all(|master| login(master.start.ip) == Some(true))
        };
        let refused = named.filter(|(user, _)| !fits(user));
        refused.map(|(user, _)| format!("desired: {user} does not have the password of the Secret that the spec names")).collect()
    }
}

/// What a person takes back when the cluster says that it cannot be.
fn remedy(cluster: &DorisCluster) -> Option<Value> {
    let status = cluster.status.as_ref()?;
    let told: Vec<&str> = status.conditions.iter().map(|condition| condition.message.as_str()).collect();
    let says = |words: &str| told.iter().any(|message| message.contains(words));
    let leads_to = status.upgrade.as_ref().map(|upgrade| upgrade.to.clone());
    let running = leads_to.filter(|to| *to != cluster.spec.version).or_else(|| status.version.clone())?;
    let is_refused = ["no way from", "by way of", "no way back", "does not follow", "wrote the metadata", "no image of the metadata"];
    if running != cluster.spec.version && is_refused.into_iter().any(says) {
        return Some(json!({"version": running}));
    }
    if says("be.tags.location is") {
        return Some(json!({"be": {"tags": null}}));
    }
    if says("DecommissionFeasible") {
        let backends = status.be.as_ref().map_or(3, |be| be.registered);
        return Some(json!({"be": {"replicas": backends}}));
    }
    if says("one follower is to be left") || says("FeQuorum") {
        return Some(json!({"fe": {"replicas": 3}}));
    }
    None
}
