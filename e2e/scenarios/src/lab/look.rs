//! What scenarios look at: the model of Doris and the objects on the server, not the controller's words.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doris_sim::{Answer, Founding, FrontendFacts, MemberFacts, MemberKind, RegisteredMember, Volume};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::{Api, Resource};
use serde_json::Value;

use super::{CONTROLLER_ADDRESS, Lab};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// A row as a client gets it: values by column name.
pub type Row = std::collections::BTreeMap<String, String>;

impl Lab {
    /// A kind in the namespace that scenarios use.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Every process of a cluster's frontends, backends and compute nodes there ever was.
    pub fn processes(&self, cluster: &str) -> Vec<MemberFacts> {
        let prefix = format!("{cluster}-");
        self.world.members().into_iter().filter(|member| member.fqdn().starts_with(&prefix)).collect()
    }

    /// Every process of a cluster's frontends there ever was.
    pub fn frontends(&self, cluster: &str) -> Vec<FrontendFacts> {
        self.processes(cluster).into_iter().filter_map(|member| member.frontend().cloned()).collect()
    }

    /// The frontends that would say now that they are the master.
    pub fn masters(&self, cluster: &str) -> Vec<FrontendFacts> {
        self.frontends(cluster).into_iter().filter(|frontend| frontend.says_master).collect()
    }

    /// Pod name of the only master.
    pub fn master_pod(&self, cluster: &str) -> Option<String> {
        let masters = self.masters(cluster);
        let [master] = masters.as_slice() else { return None };
        master.start.fqdn.split('.').next().map(str::to_owned)
    }

    /// Cluster ids that were ever made, finished or not.
    pub fn founded_ids(&self, cluster: &str) -> BTreeSet<u32> {
        self.frontends(cluster)
            .iter()
            .filter(|frontend| frontend.founded == Some(Founding::Cluster))
            .map(|frontend| frontend.cluster_id)
            .collect()
    }

    /// Members of a kind as the only master has them registered, by pod name.
    ///
    /// # Panics
    /// When there is not exactly one master.
    pub fn registered(&self, cluster: &str, kind: MemberKind) -> Vec<(String, RegisteredMember)> {
        let masters = self.masters(cluster);
        assert_eq!(masters.len(), 1, "masters of {cluster}: {masters:#?}");
        let rows = masters.into_iter().flat_map(|master| master.registered).filter(|row| row.kind == kind);
        let mut rows: Vec<_> = rows.map(|row| (row.host.split('.').next().unwrap_or_default().to_owned(), row)).collect();
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        rows
    }

    /// Pod names of the registered members of a kind.
    ///
    /// # Panics
    /// When one of them is not alive, or there is not exactly one master.
    pub fn alive(&self, cluster: &str, kind: MemberKind) -> Vec<String> {
        let rows = self.registered(cluster, kind);
        assert!(rows.iter().all(|(_, row)| row.alive), "{rows:#?}");
        rows.into_iter().map(|(pod, _)| pod).collect()
    }

    /// Writes of controllers while nothing happens for a while.
    pub async fn idle(&self, span: Duration) -> Vec<String> {
        let before = self.writes().len();
        tokio::time::sleep(span).await;
        self.writes().split_off(before)
    }

    /// Waits until something holds.
    ///
    /// # Panics
    /// With the last answer when it does not in time.
    pub async fn eventually<F>(&self, what: &str, within: Duration, mut holds: impl FnMut() -> F)
    where
        F: Future<Output = Result<(), String>>,
    {
        let end = tokio::time::Instant::now() + within;
        loop {
            let Err(why) = holds().await else { return };
            let log = self.faults.log();
            assert!(tokio::time::Instant::now() < end, "{what}: not within {within:?}: {why}\nsteps:\n{}", log.join("\n"));
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The disk behind a claim.
    pub async fn disk(&self, claim: &str) -> Option<Volume> {
        let claim = self.api::<PersistentVolumeClaim>().get_opt(claim).await.ok().flatten()?;
        Some(self.engine.volume(&claim.spec?.volume_name?))
    }

    /// A value of a Secret.
    pub async fn secret(&self, name: &str, key: &str) -> Option<String> {
        let secret = self.api::<Secret>().get_opt(name).await.ok().flatten()?;
        String::from_utf8(secret.data?.get(key)?.0.clone()).ok()
    }

    /// Rows of a statement run at a frontend as root, with the password that the identity has on record.
    pub async fn sql(&self, cluster: &str, pod: &str, statement: &str) -> Result<Vec<Row>, String> {
        let password = self.secret(&doris_api::names::identity(cluster), "root.applied").await.ok_or("no password is on record")?;
        let address = self.nodes.address("default", pod).ok_or("the pod does not run")?;
        let connecting = self.world.connect(CONTROLLER_ADDRESS, address.into(), 9030, "root", &password);
        let mut session = connecting.await.map_err(|error| error.to_string())?;
        match session.query(statement).await.map_err(|error| error.to_string())? {
            Answer::Ok { .. } => Ok(Vec::new()),
            Answer::Rows(rows) => {
                let names: Vec<String> = rows.columns.iter().map(|column| column.name.clone()).collect();
                let row =
                    |values: Vec<Option<String>>| names.iter().cloned().zip(values.into_iter().map(Option::unwrap_or_default)).collect();
                Ok(rows.rows.into_iter().map(row).collect())
            }
        }
    }
}

/// Condition of a cluster's status: status, reason and message.
pub fn condition(cluster: &doris_api::DorisCluster, type_: &str) -> Option<(String, String, String)> {
    let status = cluster.status.as_ref()?;
    let found = status.conditions.iter().find(|condition| condition.type_ == type_)?;
    Some((found.status.clone(), found.reason.clone(), found.message.clone()))
}

/// Whether a text appears anywhere in a value, as it is or in base64.
pub fn mentions(value: &Value, text: &str) -> bool {
    let all = value.to_string();
    all.contains(text) || all.contains(&STANDARD.encode(text))
}
