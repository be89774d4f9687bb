//! What each namespace is given: the `ServiceAccount` `default` and the cluster's root certificate.

use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{CONFIG_MAP, NAMESPACE, SERVICE_ACCOUNT};
use crate::value::is_deleting;

/// Creates the `ServiceAccount` `default`.
pub(crate) struct ServiceAccounts;

/// Publishes `kube-root-ca.crt`.
pub(crate) struct RootCertificates;

const DEFAULT: &str = "default";
const ROOT: &str = "kube-root-ca.crt";

/// The namespace whose own object of this kind and name, or which itself, changed.
fn namespace_of(change: &Change, kind: crate::api::Kind, name: &str) -> Vec<Key> {
    let concerns = (change.is(NAMESPACE) && !change.deleted) || (change.is(kind) && change.name == name);
    let namespace = if change.is(NAMESPACE) { &change.name } else { &change.namespace };
    if concerns { vec![Key::new(NAMESPACE, "", namespace)] } else { Vec::new() }
}

fn create(context: &Context<'_>, object: Value) -> Result<Next, ApiError> {
    match context.api.create(context.manager, object) {
        Err(error) if error.reason != "AlreadyExists" && error.code != 404 => Err(error),
        _ => Ok(None),
    }
}

impl Controller for ServiceAccounts {
    fn name(&self) -> &'static str {
        "service-account-controller"
    }

    fn concerns(&mut self, _index: &Index, change: &Change, _old: Option<&Value>) -> Vec<Key> {
        namespace_of(change, SERVICE_ACCOUNT, DEFAULT)
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let is_live = context.index.at(key).is_some_and(|namespace| !is_deleting(namespace));
        if !is_live || context.index.get(SERVICE_ACCOUNT, &key.name, DEFAULT).is_some() {
            return Ok(None);
        }
        create(context, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": DEFAULT, "namespace": key.name}}))
    }
}

impl Controller for RootCertificates {
    fn name(&self) -> &'static str {
        "root-ca-cert-publisher"
    }

    fn concerns(&mut self, _index: &Index, change: &Change, _old: Option<&Value>) -> Vec<Key> {
        namespace_of(change, CONFIG_MAP, ROOT)
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        // Published by default since Kubernetes 1.20.
        if context.minor() < 20 || context.index.at(key).is_none_or(|namespace| is_deleting(namespace)) {
            return Ok(None);
        }
        let data = json!({"ca.crt": context.options.root_certificate});
        if let Some(present) = context.index.get(CONFIG_MAP, &key.name, ROOT) {
            if present.get("data") == Some(&data) {
                return Ok(None);
            }
            let mut repaired = (**present).clone();
            repaired["data"] = data;
            return context.api.update(context.manager, repaired).map(|_| None);
        }
        let why = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or \
                   kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
        let metadata = json!({"name": ROOT, "namespace": key.name, "annotations": {"kubernetes.io/description": why}});
        create(context, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))
    }
}
