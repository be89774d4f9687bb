//! YAML in the documentation: whole objects and parts of specs are taken by the server, strictly read; values are rendered by both Helms.

use serde_json::{Map, Value};

use crate::blocks::{Block, Kind};
use crate::shell::World;

/// A cluster that parts of a spec are put into.
const LEAST: &str =
    "{version: \"2.1.7\", fe: {replicas: 3, storage: {size: 20Gi}}, be: {replicas: 3, storage: [{name: data, size: 100Gi}]}}";
const APPLY: &str = "\"$REAL_KUBECTL\" apply --server-side --force-conflicts --dry-run=server --validate=strict -f";

/// Tries a block; what is wrong with it, if anything.
pub async fn try_block(world: &World, number: usize, block: &Block) -> Result<String, String> {
    let file = format!("block-{number}.yaml");
    let lines = match block.kind {
        Kind::Objects => {
            world.write(&file, &block.text);
            format!("{APPLY} {file}")
        }
        Kind::Spec => {
            world.write(&file, &cluster(&block.text)?.to_string());
            format!("{APPLY} {file}")
        }
        Kind::ClusterValues | Kind::OperatorValues => {
            if !world.has_helm() {
                return Ok("no Helm here".to_owned());
            }
            world.write(&file, &block.text);
            let (chart, more) =
                if block.kind == Kind::ClusterValues { ("doris-cluster", "") } else { ("doris-operator", " --set crds.enabled=false") };
            // A ServiceMonitor is another operator's kind.
            let tried = if block.kind == Kind::ClusterValues { format!("{APPLY} rendered-{file}") } else { "true".to_owned() };
            format!(
                "for helm in \"$HELM3\" \"$HELM4\"; do \"$helm\" template demo helm/{chart} --values {file}{more} >rendered-{file}; {tried}; done"
            )
        }
        _ => return Ok(String::new()),
    };
    world.run(&lines).await
}

/// A cluster with a part of a spec in the place of what the least one has.
fn cluster(part: &str) -> Result<Value, String> {
    let read = |text: &str| serde_saphyr::from_str::<Map<String, Value>>(text).map_err(|error| error.to_string());
    let mut spec = read(LEAST)?;
    spec.extend(read(part)?);
    Ok(serde_json::json!({
        "apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisCluster", "metadata": {"name": "of-a-page", "namespace": "default"}, "spec": spec,
    }))
}

#[test]
fn a_part_of_a_spec_takes_the_place_of_what_is_there() {
    let whole = cluster("be: {replicas: 5, storage: []}\nsuspend: true").expect("a cluster");
    assert_eq!(whole["spec"]["be"]["replicas"], 5);
    assert_eq!((&whole["spec"]["suspend"], &whole["spec"]["version"]), (&Value::Bool(true), &Value::from("2.1.7")));
    assert!(cluster("- a list").is_err());
}
