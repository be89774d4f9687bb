//! What is committed below `deploy/`, and what of `docs/` is made from the types, fits them.

mod structure;

use std::fs;
use std::path::{Path, PathBuf};

use doris_api::crd::{CURRENT_MINOR, crds, doris_cluster, doris_initializer, to_yaml};
use doris_api::validation::{validate, validate_initializer};
use kube_cel::{Validator, apply_defaults};
use serde_json::Value;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

#[test]
fn the_committed_definitions_are_current() {
    for crd in crds(CURRENT_MINOR).expect("definitions") {
        let path = deploy(&format!("crds/doris-operator.dev_{}.yaml", crd.spec.names.plural));
        let wanted = format!("---\n{}", to_yaml(&crd).expect("YAML"));
        let is = fs::read_to_string(&path).unwrap_or_default();
        assert!(is == wanted, "run: cargo run --bin crds -- --into deploy/crds");
    }
}

#[test]
fn the_committed_chart_files_are_current() {
    let root = deploy("..");
    for (path, wanted) in doris_api::chart::files(&root).expect("files") {
        let is = fs::read_to_string(root.join(&path)).unwrap_or_default();
        assert!(is == wanted, "{} is not current; run: cargo run --bin chart-files", path.display());
    }
}

#[test]
fn the_committed_page_of_fields_is_current() {
    let is = fs::read_to_string(deploy("..").join(doris_api::fields::PAGE)).unwrap_or_default();
    assert!(is == doris_api::fields::page().expect("a page"), "run: cargo run --bin fields > {}", doris_api::fields::PAGE);
}

#[test]
fn every_example_is_valid() {
    let schema = |crd| serde_json::to_value(crd).expect("JSON")["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    let of_clusters = schema(doris_cluster(CURRENT_MINOR).expect("a definition"));
    let of_initializers = schema(doris_initializer(CURRENT_MINOR).expect("a definition"));
    let mut tried = Vec::new();
    let mut files: Vec<_> = fs::read_dir(deploy("examples")).expect("a directory").map(|file| file.expect("a file").path()).collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        for object in objects {
            let is_cluster = object["kind"] == "DorisCluster";
            if !is_cluster && object["kind"] != "DorisInitializer" {
                continue;
            }
            let schema = if is_cluster { &of_clusters } else { &of_initializers };
            let object = apply_defaults(schema, &object);
            assert_eq!(structure::errors(schema, &object), Vec::<String>::new(), "{file:?}");
            let refusals = Validator::new().validate(schema, &object, None).map_err(|errors| errors.to_string());
            assert_eq!(refusals, Ok(()), "{file:?}");
            if is_cluster {
                assert_eq!(validate(&serde_json::from_value(object).expect("a cluster")), Vec::new(), "{file:?}");
            } else {
                assert_eq!(validate_initializer(&serde_json::from_value(object).expect("an initializer")), Vec::new(), "{file:?}");
            }
            tried.push(file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned());
        }
    }
    assert_eq!(tried, ["basic.yaml", "compute-nodes.yaml", "full.yaml", "hadoop.yaml", "initializer.yaml", "multi-disk.yaml"]);
}

#[test]
fn the_full_example_has_every_field_with_its_description() {
    let text = fs::read_to_string(deploy("examples/full.yaml")).expect("text");
    let object: Value = serde_saphyr::from_str(&text).expect("YAML");
    let wanted = doris_api::example::full(&object["spec"]).expect("an example");
    assert!(text == wanted, "run: cargo run --bin full-example < deploy/examples/full.yaml, and keep what it prints");
    let crd = serde_json::to_value(doris_cluster(CURRENT_MINOR).expect("a definition")).expect("JSON");
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    for name in spec["properties"].as_object().expect("fields").keys() {
        assert!(object["spec"].get(name).is_some(), "{name} is missing");
    }
    for component in ["fe", "be", "cn", "broker"] {
        for name in spec["properties"][component]["properties"].as_object().expect("fields").keys() {
            // Fields that every component has are shown at one.
            let shown = object["spec"][component].get(name).or_else(|| object["spec"]["be"].get(name));
            assert!(shown.is_some(), "{component}.{name} is missing");
        }
    }
}
