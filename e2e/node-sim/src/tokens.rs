//! Tokens of service accounts for the pods that mount them: bound to the pod, asked for again before they run out.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use crate::shared::{Shared, lock};

/// What a server takes for a projection that names no time.
const DEFAULT_SECONDS: i64 = 3600;
/// After a request that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// One token of one pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TokenKey {
    uid: String,
    audience: String,
    seconds: i64,
}

/// A token, and when to ask for the next one. Never printed.
pub(crate) struct Token {
    text: String,
    renew_at: Instant,
}

/// The tokens of all pods.
pub(crate) type Tokens = BTreeMap<TokenKey, Token>;

fn key(pod: &Pod, projection: &ServiceAccountTokenProjection) -> TokenKey {
    TokenKey {
        uid: pod.uid().unwrap_or_default(),
        audience: projection.audience.clone().unwrap_or_default(),
        seconds: projection.expiration_seconds.unwrap_or(DEFAULT_SECONDS),
    }
}

fn wanted(pod: &Pod) -> impl Iterator<Item = TokenKey> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let parts = volumes.flat_map(|volume| volume.projected.iter().flat_map(|source| source.sources.iter().flatten()));
    parts.filter_map(|part| part.service_account_token.as_ref().map(|projection| key(pod, projection)))
}

/// Asks for the tokens that a pod mounts and has not, or that are due. Tells when to look again.
pub(crate) async fn provide(shared: &Shared, pod: &Pod, now: Instant) -> Option<Instant> {
    let mut next: Option<Instant> = None;
    for key in wanted(pod) {
        let due = lock(&shared.tokens).get(&key).map(|token| token.renew_at);
        let at = match due {
            Some(at) if now < at => at,
            _ => match request(shared, pod, &key).await {
                Ok(text) => {
                    // A kubelet asks for the next one when four fifths of the time are over.
                    let renew_at = now + Duration::from_secs(key.seconds.unsigned_abs()) * 4 / 5;
                    lock(&shared.tokens).insert(key, Token { text, renew_at });
                    renew_at
                }
                Err(error) => {
                    tracing::warn!(%error, pod = pod.name_any(), "no token for the pod's service account yet");
                    now + PAUSE
                }
            },
        };
        next = Some(next.map_or(at, |next| next.min(at)));
    }
    next
}

async fn request(shared: &Shared, pod: &Pod, key: &TokenKey) -> Result<String, kube::Error> {
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".into());
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: Some(key.audience.clone()).filter(|audience| !audience.is_empty()).into_iter().collect(),
            expiration_seconds: Some(key.seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                name: Some(pod.name_any()),
                uid: Some(key.uid.clone()),
            }),
        },
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(shared.client.clone(), &pod.namespace().unwrap_or_default());
    let answer = accounts.create_token_request(&account, &PostParams::default(), &request).await?;
    Ok(answer.status.map(|status| status.token).unwrap_or_default())
}

/// The token of a projection, or why the kubelet has none.
pub(crate) fn find(shared: &Shared, pod: &Pod, projection: &ServiceAccountTokenProjection) -> Result<String, String> {
    lock(&shared.tokens).get(&key(pod, projection)).map(|token| token.text.clone()).ok_or_else(|| "failed to fetch token".to_owned())
}

/// Forgets the tokens of a pod that is gone.
pub(crate) fn forget(shared: &Shared, uid: &str) {
    lock(&shared.tokens).retain(|key, _| key.uid != uid);
}
