//! When a write is sent and when not.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::{Applier, ApplyError, StatusWrite};
use crate::clock::SystemClock;
use crate::fake::{Asked, Fake, refusal};
use crate::leadership::{Leadership, Ungated};

const US: &str = "doris-cluster-controller";

fn applier(fake: &Fake) -> Applier {
    Applier::new(fake.client(), US, &["doris-failover-watcher"], Arc::new(Ungated), Arc::new(SystemClock))
}

fn config_map(value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": "c-fe", "namespace": "ns"}, "data": {"k": value}})).expect("a ConfigMap")
}

/// Takes an apply as it is, adds what a server adds, and lets `admission` have its way.
fn server(admission: impl Fn(&mut Value) + Send + 'static) -> Fake {
    let mut version = 10;
    Fake::new(move |asked| {
        version += 1;
        let mut object = asked.body.clone();
        object["metadata"]["uid"] = json!("u1");
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        admission(&mut object);
        (200, object)
    })
}

#[tokio::test]
async fn the_same_is_sent_once() {
    let fake = server(|_| ());
    let applier = applier(&fake);
    let first = applier.apply(&config_map("v"), None).await.expect("applied");
    assert!(first.sent && first.overridden.is_empty());
    let second = applier.apply(&config_map("v"), Some(&first.object)).await.expect("applied");
    assert!(!second.sent);
    let changed = applier.apply(&config_map("w"), Some(&first.object)).await.expect("applied");
    assert!(changed.sent);
    let asked = fake.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].path, "/api/v1/namespaces/ns/configmaps/c-fe");
    for part in ["force=true", "fieldManager=doris-cluster-controller", "fieldValidation=Strict"] {
        assert!(asked[0].query.contains(part), "{}", asked[0].query);
    }
    assert_eq!(asked[0].body["metadata"].get("uid"), None, "an unknown object may be made");
    assert_eq!(asked[1].body["metadata"]["uid"], json!("u1"), "a known one may not be made anew");
}

#[tokio::test]
async fn an_override_by_admission_is_reported_and_causes_no_storm() {
    let fake = server(|object| object["data"]["k"] = json!("theirs"));
    let applier = applier(&fake);
    let mut cached = None;
    for round in 0..5 {
        let outcome = applier.apply(&config_map("ours"), cached.as_ref()).await.expect("applied");
        assert_eq!(outcome.overridden, [".data.k"], "round {round}");
        cached = Some(outcome.object);
    }
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn drift_is_repaired_and_a_deleted_object_comes_back() {
    let fake = server(|_| ());
    let applier = applier(&fake);
    let object = applier.apply(&config_map("v"), None).await.expect("applied").object;
    let mut edited = object.clone();
    edited.data.get_or_insert_default().insert("k".to_owned(), "by hand".to_owned());
    edited.metadata.resource_version = Some("99".to_owned());
    assert!(applier.apply(&config_map("v"), Some(&edited)).await.expect("applied").sent);
    assert!(applier.apply(&config_map("v"), None).await.expect("applied").sent);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_behind_is_waited_for_but_not_for_ever() {
    let fake = server(|_| ());
    let applier = applier(&fake);
    let old = applier.apply(&config_map("v"), None).await.expect("applied").object;
    applier.apply(&config_map("w"), Some(&old)).await.expect("applied");
    assert!(!applier.apply(&config_map("w"), Some(&old)).await.expect("applied").sent);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(applier.apply(&config_map("w"), Some(&old)).await.expect("applied").sent);
}

#[tokio::test]
async fn after_a_restart_the_servers_record_spares_the_write() {
    let record =
        json!([{"manager": US, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:k": {}}}}]);
    let live = |fields: Value, data: Value| -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"name": "c-fe", "namespace": "ns", "uid": "u1", "resourceVersion": "5", "managedFields": fields}, "data": data}))
            .expect("a ConfigMap")
    };
    let cases = [
        ("as it was", live(record.clone(), json!({"k": "v", "theirs": "x"})), false),
        ("edited", live(record.clone(), json!({"k": "w"})), true),
        (
            "we own more than we send",
            live(
                json!([{"manager": US, "operation": "Apply", "fieldsV1": {"f:data": {"f:k": {}, "f:old": {}}}}]),
                json!({"k": "v", "old": "1"}),
            ),
            true,
        ),
        (
            "somebody else's",
            live(json!([{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:data": {"f:k": {}}}}]), json!({"k": "v"})),
            true,
        ),
        ("nobody knows", live(Value::Null, json!({"k": "v"})), true),
    ];
    for (name, cached, expected) in cases {
        let fake = server(|_| ());
        let applied = applier(&fake).apply(&config_map("v"), Some(&cached)).await.expect("applied");
        assert_eq!((applied.sent, fake.asked().len()), (expected, usize::from(expected)), "{name}");
    }
}

#[tokio::test]
async fn who_is_gone_is_forgotten_and_no_namesake_is() {
    let owned_by = |name: &str| -> ConfigMap {
        let owner = json!([{"apiVersion": "v1", "kind": "Cluster", "name": name, "uid": "u", "controller": true}]);
        let object = json!({"metadata": {"name": format!("{name}-fe"), "namespace": "ns", "ownerReferences": owner}, "data": {"k": "v"}});
        serde_json::from_value(object).expect("a ConfigMap")
    };
    let fake = server(|_| ());
    let applier = applier(&fake);
    let (gone, other) = (owned_by("demo"), owned_by("demo-2"));
    let mut seen = Vec::new();
    for object in [&gone, &other] {
        seen.push(applier.apply(object, None).await.expect("applied").object);
    }
    applier.forget("Cluster", "ns", "demo");
    let is_remembered = |key: &str| applier.lock().contains_key(&super::name_hash(key));
    assert!(!is_remembered("ConfigMap ns/demo-fe"), "it went with its owner");
    assert!(is_remembered("ConfigMap ns/demo-2-fe"), "whose name merely begins so stays");
    assert!(!applier.apply(&other, Some(&seen[1])).await.expect("applied").sent);
}

#[tokio::test]
async fn nothing_is_sent_by_who_does_not_lead() {
    let fake = server(|_| ());
    let gate = Arc::new(Leadership::new(Arc::new(SystemClock)));
    let applier = Applier::new(fake.client(), US, &[], gate, Arc::new(SystemClock));
    assert!(matches!(applier.apply(&config_map("v"), None).await, Err(ApplyError::NotLeader(_))));
    assert!(fake.asked().is_empty());
}

fn set(status: &Value, managed: &Value) -> StatefulSet {
    let object = json!({"metadata": {"name": "s", "namespace": "ns", "uid": "u1", "resourceVersion": "7", "managedFields": managed},
        "status": status});
    serde_json::from_value(object).expect("a StatefulSet")
}

fn wanted() -> Value {
    json!({"replicas": 3, "conditions": [{"type": "Ready", "status": "True"}]})
}

fn record_of_wanted() -> Value {
    json!([{"manager": US, "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {"f:replicas": {},
        "f:conditions": {"k:{\"type\":\"Ready\"}": {".": {}, "f:type": {}, "f:status": {}}}}}}])
}

#[tokio::test]
async fn a_status_is_written_only_when_it_differs() {
    let with_theirs = json!({"replicas": 3, "readyReplicas": 1, "conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]});
    let cases = [
        ("there, beside others'", set(&with_theirs, &record_of_wanted()), StatusWrite::Unchanged),
        ("wiped by somebody", set(&json!({"replicas": 3}), &record_of_wanted()), StatusWrite::Written),
        ("there, but not ours yet", set(&with_theirs, &json!([{"manager": "kubectl", "operation": "Update"}])), StatusWrite::Written),
    ];
    for (name, object, expected) in cases {
        let fake = server(|_| ());
        assert_eq!(applier(&fake).apply_status(&object, &wanted()).await.expect("an outcome"), expected, "{name}");
        if let Some(asked) = fake.asked().first() {
            assert!(asked.path.ends_with("/status") && !asked.query.contains("force=true"), "{asked:?}");
            assert_eq!(asked.body["metadata"]["resourceVersion"], json!("7"), "{name}");
        }
    }
}

#[tokio::test]
async fn a_condition_that_is_left_out_is_withdrawn() {
    let fake = server(|_| ());
    let live = set(&wanted(), &record_of_wanted());
    let outcome = applier(&fake).apply_status(&live, &json!({"replicas": 3})).await.expect("an outcome");
    assert_eq!(outcome, StatusWrite::Written);
}

#[tokio::test]
async fn a_record_that_the_cache_does_not_keep_is_asked_for_once() {
    let pruned = |status: &Value| set(status, &Value::Null);
    let with_record = |record: Value| {
        Fake::new(move |asked: &Asked| {
            let live = json!({"metadata": {}, "items": [set(&wanted(), &record)]});
            (200, if asked.method == "GET" { live } else { asked.body.clone() })
        })
    };
    let ours = with_record(record_of_wanted());
    let applier_of_ours = applier(&ours);
    for _ in 0..2 {
        assert_eq!(applier_of_ours.apply_status(&pruned(&wanted()), &wanted()).await.expect("an outcome"), StatusWrite::Unchanged);
    }
    let asked: Vec<_> = ours.asked().into_iter().map(|asked| (asked.method, asked.query)).collect();
    assert_eq!(asked, [("GET".to_owned(), "&fieldSelector=metadata.name%3Ds".to_owned())]);

    let theirs = with_record(json!([{"manager": "kubectl", "operation": "Update"}]));
    assert_eq!(applier(&theirs).apply_status(&pruned(&wanted()), &wanted()).await.expect("an outcome"), StatusWrite::Written);
    let differs = with_record(record_of_wanted());
    assert_eq!(
        applier(&differs).apply_status(&pruned(&json!({"replicas": 1})), &wanted()).await.expect("an outcome"),
        StatusWrite::Written
    );
    assert_eq!(differs.asked().len(), 1, "what differs is written without a question");
}

#[tokio::test]
async fn a_status_that_was_decided_on_an_object_older_than_our_own_write_is_not_sent() {
    let fake = server(|_| ());
    let applier = applier(&fake);
    let cached = set(&Value::Null, &json!([{"manager": "kubectl", "operation": "Update"}]));
    assert_eq!(applier.apply_status(&cached, &wanted()).await.expect("an outcome"), StatusWrite::Written);
    assert_eq!(applier.apply_status(&cached, &json!({"replicas": 4})).await.expect("an outcome"), StatusWrite::Unchanged);
    assert_eq!(fake.asked().len(), 1, "the server would have refused it");
}

fn conflict_with(manager: &'static str) -> Fake {
    Fake::new(move |asked: &Asked| {
        if asked.query.contains("force=true") {
            return (200, asked.body.clone());
        }
        let message = format!("conflict with \"{manager}\" with subresource \"status\"");
        refusal(409, "Apply failed with 1 conflict", &[("FieldManagerConflict", &message, ".status.replicas")])
    })
}

#[tokio::test]
async fn a_strangers_status_is_taken_back_and_a_siblings_is_an_alarm() {
    let object = set(&json!({"replicas": 1}), &Value::Null);
    let stranger = conflict_with("kubectl-edit");
    let outcome = applier(&stranger).apply_status(&object, &wanted()).await.expect("taken back");
    assert_eq!(outcome, StatusWrite::TakenBack { from: vec!["kubectl-edit".to_owned()] });
    assert_eq!(stranger.asked().len(), 2);

    let sibling = conflict_with("doris-failover-watcher");
    let error = applier(&sibling).apply_status(&object, &wanted()).await.expect_err("a breach");
    assert!(matches!(&error, ApplyError::Breach { manager, .. } if manager == "doris-failover-watcher"), "{error}");
    assert_eq!(sibling.asked().len(), 1, "never forced");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    type Test = fn(&ApplyError) -> bool;
    let cases: [(&str, (u16, Value), Test); 7] = [
        ("changed", refusal(409, "the object has been modified", &[]), |e| matches!(e, ApplyError::Race { .. })),
        ("gone", refusal(404, "not found", &[]), |e| matches!(e, ApplyError::Race { .. })),
        ("made anew", refusal(422, "field is immutable", &[("FieldValueInvalid", "x", "metadata.uid")]), |e| {
            matches!(e, ApplyError::Race { .. })
        }),
        ("invalid", refusal(422, "spec", &[("FieldValueInvalid", "x", "spec.serviceName")]), |e| matches!(e, ApplyError::Invalid { .. })),
        ("terminating", refusal(403, "x", &[("NamespaceTerminating", "x", "metadata.namespace")]), |e| {
            matches!(e, ApplyError::Terminating)
        }),
        ("no right", refusal(403, "cannot patch", &[]), |e| matches!(e, ApplyError::Forbidden { .. })),
        ("nonsense", refusal(500, "failed to create typed patch object: duplicate", &[]), |e| matches!(e, ApplyError::Defect { .. })),
    ];
    for (name, answer, test) in cases {
        let fake = Fake::new(move |_| answer.clone());
        let error = applier(&fake).apply(&config_map("v"), None).await.expect_err("a refusal");
        assert!(test(&error), "{name}: {error:?}");
    }
}
