//! What is delivered, tried as its users do: rendered and installed by the real Helm 3 and 4 and by kubectl, on the real control plane,
//! where the pods of the installed Deployments run our own program with the token of their service account.

#![allow(clippy::missing_panics_doc, reason = "a stand for tests tells of a failure by panicking")]

mod definitions;
mod objects;
mod stand;
mod tool;

pub use definitions::foreign_definitions;
pub use objects::{Objects, difference};
pub use stand::{CONTROLLER_IMAGE, Stand};
pub use tool::{Command, Refused};

use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// The controllers that are delivered: the one list that chart, Kustomize, roles and images are held against.
pub fn controllers() -> Vec<String> {
    let chart = std::fs::read_to_string(root().join("helm/doris-operator/Chart.yaml")).expect("the chart");
    let chart: serde_json::Value = serde_saphyr::from_str(&chart).expect("YAML");
    let names = chart["dependencies"].as_array().into_iter().flatten().filter_map(|entry| entry["name"].as_str());
    names.map(str::to_owned).collect()
}
