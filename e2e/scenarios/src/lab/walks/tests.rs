use std::collections::BTreeSet;

use doris_api::DorisCluster;
use kube::CustomResourceExt as _;
use serde_json::Value;

use super::{Walk, What};

#[test]
fn a_seed_is_one_walk_and_seeds_are_many() {
    assert_eq!(Walk::of(7), Walk::of(7));
    let walks: BTreeSet<String> = (0..50).map(|seed| format!("{:?}", Walk::of(seed).events)).collect();
    assert!(walks.len() > 45, "{}", walks.len());
}

/// Fields of the spec, and of what is in it one step further.
fn fields(schema: &Value) -> BTreeSet<String> {
    let properties = |schema: &Value| schema["properties"].as_object().cloned().unwrap_or_default();
    let below = |name: &str, schema: &Value| -> Vec<String> {
        let inner: Vec<String> = properties(schema).keys().map(|field| format!("{name}.{field}")).collect();
        if inner.is_empty() { vec![name.to_owned()] } else { inner }
    };
    properties(schema).iter().flat_map(|(name, schema)| below(name, schema)).collect()
}

/// Fields that a patch touches, in the same words.
fn touched(patch: &Value) -> BTreeSet<String> {
    let below = |name: &String, value: &Value| match value.as_object() {
        Some(inner) if !inner.is_empty() => inner.keys().map(|field| format!("{name}.{field}")).collect(),
        _ => vec![name.clone()],
    };
    patch.as_object().into_iter().flatten().flat_map(|(name, value)| below(name, value)).collect()
}

#[test]
fn every_field_of_the_spec_is_changed_by_some_walk() {
    let crd = serde_json::to_value(DorisCluster::crd()).expect("the definition is JSON");
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut changed: BTreeSet<String> = (0..4000)
        .flat_map(|seed| Walk::of(seed).events)
        .flat_map(|event| match event.what {
            What::Spec(patch) | What::Refused(patch) => touched(&patch),
            _ => BTreeSet::new(),
        })
        .collect();
    // Drawn where the component is there, which for some of them is rare.
    for component in ["fe", "be", "cn", "broker"] {
        changed
            .extend(super::fields::of_member(component, "2.1.7").iter().flat_map(|patch| touched(&serde_json::json!({component: patch}))));
    }
    let left: Vec<String> = fields(spec).into_iter().filter(|field| !changed.contains(field)).collect();
    assert_eq!(left, [] as [String; 0], "fields that no walk changes");
}
