//! A namespace of a scenario's own, and a service account with our controller's role in it.

use std::time::Duration;

use doris_api::DorisCluster;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, Patch, PatchParams, PostParams, ValidationDirective};
use kube::{Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Error, RealController, RealStand};
use crate::demo::manifest;
use crate::demo::progress::{is_ready, why_not_ready};

/// Name of the controller's service account in each scenario's namespace.
pub const ACCOUNT: &str = "cluster-controller";
/// What the controller may do, as it is delivered.
const ROLE: &str = include_str!("../../../../deploy/rbac/cluster-controller/watched.yaml");
const ROLE_FILE: &str = "deploy/rbac/cluster-controller/watched.yaml";
/// Field manager of the user.
const USER: &str = "git";
/// Between two looks.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// Until a cluster has to be Ready. Generous: a machine that builds something beside it is slow, and nothing here is a measurement.
pub const PATIENCE: Duration = Duration::from_mins(6);

/// The `ClusterRole` of the delivered file.
fn role_objects() -> Result<impl Iterator<Item = kube::api::DynamicObject>, Error> {
    let is_role = |object: &kube::api::DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == "ClusterRole");
    Ok(manifest::read(ROLE_FILE, ROLE)?.into_iter().filter(is_role))
}

/// Applies the controller's role. Whom it is bound to says each scenario.
pub(super) async fn install_role(client: &Client) -> Result<(), Error> {
    for object in role_objects()? {
        manifest::apply(client, ROLE_FILE, &object).await?;
    }
    Ok(())
}

/// A scenario's namespace.
pub struct Place<'a> {
    /// The world around it.
    pub stand: &'a RealStand,
    /// Its name.
    pub namespace: String,
    /// The administrator's way to the API server.
    pub client: Client,
}

impl<'a> Place<'a> {
    /// Makes the namespace and the controller's account.
    pub async fn new(stand: &'a RealStand, scenario: &str) -> Result<Self, Error> {
        let namespace = scenario.replace('_', "-").chars().take(50).collect::<String>().trim_end_matches('-').to_owned();
        let client = stand.control_plane.client()?;
        let made: Namespace = object(json!({"metadata": {"name": namespace}}));
        Api::all(client.clone()).create(&PostParams::default(), &made).await.map_err(Error::refused("make a namespace"))?;
        let account: ServiceAccount = object(json!({"metadata": {"name": ACCOUNT}}));
        Api::namespaced(client.clone(), &namespace)
            .create(&PostParams::default(), &account)
            .await
            .map_err(Error::refused("make a service account"))?;
        for role in role_objects()? {
            let binding: RoleBinding = object(json!({
                "metadata": {"name": role.name_any()},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role.name_any()},
                "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
            }));
            Api::namespaced(client.clone(), &namespace)
                .create(&PostParams::default(), &binding)
                .await
                .map_err(Error::refused("bind the role"))?;
        }
        Ok(Self { stand, namespace, client })
    }

    /// A kind in the scenario's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A client configuration with the controller's own token.
    pub async fn controller_config(&self) -> Result<kube::Config, Error> {
        let accounts: Api<ServiceAccount> = self.api();
        let request: TokenRequest = object(json!({"metadata": {}, "spec": {"audiences": [], "expirationSeconds": 7200}}));
        let answer =
            accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await.map_err(Error::refused("ask for a token"))?;
        let token = answer.status.ok_or(Error::NoToken)?.token;
        let mut config = self.stand.control_plane.client_config();
        config.auth_info = kube::config::AuthInfo { token: Some(token.into()), ..kube::config::AuthInfo::default() };
        Ok(config)
    }

    /// Starts a controller that looks after this namespace alone.
    pub async fn start_controller(&self, instance: &str) -> Result<RealController, Error> {
        RealController::start(self.controller_config().await?, &self.namespace, instance, None)
    }

    /// Applies a cluster as a tool that takes it from Git does.
    pub async fn apply(&self, cluster: &DorisCluster) -> Result<DorisCluster, kube::Error> {
        let mut cluster = cluster.clone();
        cluster.metadata.namespace = Some(self.namespace.clone());
        let params = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply(USER) };
        self.api::<DorisCluster>().patch(&cluster.name_any(), &params.force(), &Patch::Apply(&cluster)).await
    }

    /// Waits until a condition on a cluster holds.
    ///
    /// # Panics
    /// With the cluster's own words when it does not hold in time.
    pub async fn until(&self, what: &str, name: &str, holds: impl Fn(&DorisCluster) -> bool) -> DorisCluster {
        let clusters: Api<DorisCluster> = self.api();
        let end = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < end {
            last = clusters.get_opt(name).await.unwrap_or(last);
            if let Some(cluster) = last.as_ref().filter(|cluster| holds(cluster)) {
                return cluster.clone();
            }
            sleep(PAUSE).await;
        }
        let why = last.as_ref().map_or_else(|| "there is no such cluster".to_owned(), why_not_ready);
        let status = last.and_then(|cluster| cluster.status);
        panic!("{}/{name} is not {what}: {why}\n{}", self.namespace, serde_json::to_string_pretty(&status).unwrap_or_default());
    }

    /// Waits until a cluster is ready at its present generation.
    ///
    /// # Panics
    /// With the cluster's own words when it is not in time.
    pub async fn until_ready(&self, name: &str) -> DorisCluster {
        self.until("Ready", name, is_ready).await
    }

    /// Waits until something holds.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn until_so(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds().await {
            assert!(Instant::now() < end, "{}: {what}: not within {PATIENCE:?}", self.namespace);
            sleep(PAUSE).await;
        }
    }
}

/// A typed object from the fields that a scenario writes down.
pub fn object<T: DeserializeOwned>(fields: Value) -> T {
    serde_json::from_value(fields).expect("the scenario's own object is one")
}
