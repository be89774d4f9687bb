//! Counting what is sent to the API server, whoever sends it.

use std::sync::Arc;

use http::{Method, Request, header};
use kube::Client;
use kube::client::Body;

use crate::metrics::Metrics;

/// Subresources of a namespace itself: everything else behind its name is a resource in it.
const OF_NAMESPACES: [&str; 2] = ["status", "finalize"];

/// The same client, with every request counted that may change an object. Count each process' client
/// once, where it is made: appliers, Leases and Events that get it are counted by that.
pub fn counted(client: Client, metrics: Arc<Metrics>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let counting = tower::service_fn(move |request: Request<Body>| {
        if let Some((resource, verb)) = write_of(&request) {
            metrics.wrote(&resource, verb);
        }
        let client = client.clone();
        async move { client.send(request).await }
    });
    Client::new(counting, namespace)
}

/// Resource and verb of a request, if it may change something.
fn write_of<B>(request: &Request<B>) -> Option<(String, &'static str)> {
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|pair| pair.starts_with("dryRun=")) {
        return None;
    }
    let (resource, is_named) = resource_of(request.uri().path())?;
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let verb = match *request.method() {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH if kind.starts_with("application/apply-patch") => "apply",
        Method::PATCH => "patch",
        Method::DELETE if is_named => "delete",
        Method::DELETE => "deletecollection",
        _ => return None,
    };
    Some((resource, verb))
}

/// The resource in a path, with its subresource, and whether one object is named.
fn resource_of(path: &str) -> Option<(String, bool)> {
    let mut parts = path.trim_matches('/').split('/');
    let version_parts = match parts.next()? {
        "api" => 1,
        "apis" => 2,
        _ => return None,
    };
    let rest: Vec<&str> = parts.skip(version_parts).collect();
    let rest = match rest.as_slice() {
        ["namespaces", _, resource, ..] if !OF_NAMESPACES.contains(resource) => rest.get(2..)?,
        rest => rest,
    };
    let resource = rest.first()?;
    let subresource = rest.get(2).map(|subresource| format!("/{subresource}")).unwrap_or_default();
    Some((format!("{resource}{subresource}"), rest.len() > 1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
    use serde_json::json;

    use super::{counted, write_of};
    use crate::fake::Fake;
    use crate::metrics::Metrics;

    #[test]
    fn a_request_is_named_by_what_it_does_to_which_resource() {
        let cases = [
            ("POST", "/api/v1/namespaces/n/pods", "", Some("pods create")),
            ("POST", "/api/v1/namespaces/n/pods/p/eviction", "", Some("pods/eviction create")),
            ("PUT", "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", "", Some("leases update")),
            ("PATCH", "/apis/doris-operator.dev/v1beta1/namespaces/n/dorisclusters/d/status", "apply", Some("dorisclusters/status apply")),
            ("PATCH", "/apis/events.k8s.io/v1/namespaces/n/events/e", "merge", Some("events patch")),
            ("PATCH", "/apis/apps/v1/namespaces/n/statefulsets/s?dryRun=All&force=true", "apply", None),
            ("DELETE", "/apis/apps/v1/namespaces/n/statefulsets/s", "", Some("statefulsets delete")),
            ("DELETE", "/api/v1/namespaces/n/configmaps", "", Some("configmaps deletecollection")),
            ("PATCH", "/api/v1/namespaces/n", "merge", Some("namespaces patch")),
            ("PUT", "/api/v1/namespaces/n/finalize", "", Some("namespaces/finalize update")),
            ("PATCH", "/api/v1/nodes/n/status", "merge", Some("nodes/status patch")),
            ("GET", "/api/v1/namespaces/n/pods", "", None),
            ("GET", "/version", "", None),
        ];
        for (method, uri, patch, expected) in cases {
            let kind = if patch.is_empty() { "application/json".to_owned() } else { format!("application/{patch}-patch+yaml") };
            let request = Request::builder().method(method).uri(uri).header("content-type", kind).body(()).expect("a request");
            let found = write_of(&request).map(|(resource, verb)| format!("{resource} {verb}"));
            assert_eq!(found.as_deref(), expected, "{method} {uri}");
        }
    }

    #[tokio::test]
    async fn writes_are_counted_and_reads_are_not() {
        let metrics = Arc::new(Metrics::new("t"));
        let object = json!({"metadata": {"name": "c", "namespace": "ns"}});
        let fake = Fake::new(move |asked| {
            let is_list = asked.method == "GET";
            (200, if is_list { json!({"metadata": {}, "items": []}) } else { object.clone() })
        });
        let api: Api<ConfigMap> = Api::default_namespaced(counted(fake.client(), metrics.clone()));
        api.list(&ListParams::default()).await.expect("a list");
        for _ in 0..2 {
            api.patch("c", &PatchParams::apply("m"), &Patch::Apply(json!({}))).await.expect("applied");
        }
        api.delete("c", &DeleteParams::default()).await.expect("deleted");
        assert!(fake.asked().iter().all(|asked| asked.path.starts_with("/api/v1/namespaces/ns/")), "the default namespace stays");
        let text = metrics.render().expect("text");
        let counted: Vec<&str> = text.lines().filter(|line| line.starts_with("t_writes_total{")).collect();
        assert_eq!(counted.len(), 2, "{text}");
        for line in [r#"t_writes_total{resource="configmaps",verb="apply"} 2"#, r#"t_writes_total{resource="configmaps",verb="delete"} 1"#]
        {
            assert!(counted.contains(&line), "{line} is not in\n{text}");
        }
    }
}
