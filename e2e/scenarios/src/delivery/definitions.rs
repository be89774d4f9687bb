//! Definitions of other projects' kinds, as these publish them: for objects that are made for their controllers.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// What is read of which module of `e2e/real/definitions`.
const FILES: [(&str, &[&str]); 5] = [
    ("github.com/argoproj/argo-cd/v3", &["manifests/crds/application-crd.yaml", "manifests/crds/appproject-crd.yaml"]),
    ("github.com/fluxcd/helm-controller", &["config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml"]),
    ("github.com/fluxcd/kustomize-controller", &["config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"]),
    ("github.com/fluxcd/source-controller", &["config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml"]),
    ("github.com/prometheus-operator/prometheus-operator", &["example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"]),
];

/// The files, downloaded by Go where they are not there yet: some 30 MB.
///
/// # Errors
/// Why they can't be had, in Go's words.
pub fn foreign_definitions() -> Result<Vec<PathBuf>, String> {
    let folder = super::root().join("e2e/real/definitions");
    let call = Command::new("go").current_dir(folder).env("GOWORK", "off").args(["mod", "download", "-json"]).output();
    let output = call.map_err(|error| format!("go mod download: {error}"))?;
    let complained = String::from_utf8_lossy(&output.stderr);
    let modules: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect();
    let modules = modules.map_err(|error| format!("go mod download: {error}: {complained}"))?;
    let mut files = Vec::new();
    for (path, names) in FILES {
        let module = modules.iter().find(|module| module["Path"] == path);
        let module = module.ok_or_else(|| format!("go mod download knows no {path}: {complained}"))?;
        let folder = module["Dir"].as_str().ok_or_else(|| format!("go mod download: {path}: {}", module["Error"]))?;
        files.extend(names.iter().map(|name| PathBuf::from(folder).join(name)));
    }
    Ok(files)
}
