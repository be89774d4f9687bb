//! Objects that are no business of ours, to see that they cost nothing.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, PostParams};
use kube::{Client, core::ObjectMeta};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Their namespace.
const NAMESPACE: &str = "unrelated";
/// Requests at a time.
const AT_ONCE: usize = 16;
/// Bytes in each.
const SIZE: usize = 1024;

/// Makes so many ConfigMaps and Secrets, half of each, with a kilobyte in each.
pub async fn create(client: &Client, count: usize) -> Result<(), kube::Error> {
    let namespace = Namespace { metadata: named(NAMESPACE.to_owned()), ..Namespace::default() };
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    let text = "x".repeat(SIZE);
    let map = |index: usize| ConfigMap {
        metadata: named(format!("map-{index}")),
        data: Some([("text".to_owned(), text.clone())].into()),
        ..ConfigMap::default()
    };
    let secret = |index: usize| Secret {
        metadata: named(format!("secret-{index}")),
        string_data: Some([("text".to_owned(), text.clone())].into()),
        ..Secret::default()
    };
    create_all(client, (0..count / 2).map(map)).await?;
    create_all(client, (0..count - count / 2).map(secret)).await
}

fn named(name: String) -> ObjectMeta {
    ObjectMeta { name: Some(name), ..ObjectMeta::default() }
}

async fn create_all<K>(client: &Client, objects: impl Iterator<Item = K>) -> Result<(), kube::Error>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), NAMESPACE);
    let created = stream::iter(objects).map(|object| {
        let api = api.clone();
        async move { api.create(&PostParams::default(), &object).await.map(drop) }
    });
    created.buffer_unordered(AT_ONCE).try_collect().await
}
