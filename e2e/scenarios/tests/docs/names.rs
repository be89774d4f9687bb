//! Names that a person looks up: what the code can say is on the page about it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use doris_api::crd::{CURRENT_MINOR, crds};
use scenarios::delivery::root;
use scenarios::docs::{pages, spans};
use serde_json::Value;

const TROUBLES: &str = "docs/src/troubleshooting.md";
/// Files in which errors get their reasons.
const REASONS: [&str; 3] =
    ["crates/cluster-controller/src/error.rs", "crates/controller-kit/src/apply/error.rs", "crates/controller-kit/src/lease/operation.rs"];

fn page(path: &str) -> String {
    pages().into_iter().find(|(known, _)| known == path).map(|(_, text)| text).unwrap_or_default()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a source file")
}

/// The sources of all product crates.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join("crates")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path);
                found.push((path, text));
            }
        }
    }
    found
}

/// Texts in quotes of a line.
fn quoted(line: &str) -> Vec<&str> {
    line.split('"').skip(1).step_by(2).collect()
}

fn assert_named(names: &BTreeSet<String>, path: &str) {
    let text = page(path);
    let missing: Vec<&String> = names.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{path} does not name {missing:?}");
}

#[test]
fn every_reason_and_every_type_of_a_condition_is_explained() {
    let source = read(&root().join("crates/doris-api/src/conditions.rs"));
    let names: BTreeSet<String> = source.lines().filter(|line| line.contains("&str = ")).flat_map(quoted).map(str::to_owned).collect();
    assert!(names.len() > 55, "{names:?}");
    assert_named(&names, TROUBLES);
}

#[test]
fn every_reason_of_a_condition_is_told_by_something() {
    let source = read(&root().join("crates/doris-api/src/conditions.rs"));
    let reasons = source.split("pub mod reason {").nth(1).expect("reasons");
    let constants = reasons.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.split(':').next());
    let sources = sources();
    let is_used = |name: &str| sources.iter().any(|(_, text)| text.contains(&format!("reason::{name}")));
    assert_eq!(constants.filter(|name| !is_used(name)).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn every_reason_of_a_failure_is_explained() {
    let mut names = BTreeSet::new();
    for path in REASONS {
        let source = read(&root().join(path));
        let body = source.split("fn reason(&self)").nth(1).and_then(|rest| rest.split("fn category").next()).expect("reasons");
        names.extend(body.lines().filter(|line| line.contains("=> \"")).flat_map(quoted).map(str::to_owned));
    }
    assert!(names.len() > 10, "{names:?}");
    assert_named(&names, TROUBLES);
    // Whoever else has reasons of its own has to be listed here.
    let elsewhere = sources().into_iter().filter(|(path, text)| {
        text.contains("ReconcileError for") && text.contains("=> \"") && !REASONS.iter().any(|known| path.ends_with(known))
    });
    assert_eq!(elsewhere.map(|(path, _)| path).collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn every_event_is_explained() {
    let mut names = BTreeSet::new();
    let mut constants = BTreeSet::new();
    for (path, text) in sources() {
        for call in text.split("announce(Severity::").skip(1).chain(text.split(".event(Severity::").skip(1)) {
            let reason = call.split(',').nth(1).unwrap_or_default().trim();
            match reason {
                _ if reason.starts_with('"') => drop(names.insert(reason.trim_matches('"').to_owned())),
                _ if reason.contains("reason::") => drop(constants.insert(reason.rsplit("::").next().unwrap_or_default().to_owned())),
                // What stalls: each reason of a condition is explained anyway.
                _ if reason.ends_with(".reason") => {}
                constant => {
                    let declared = text.lines().find(|line| line.contains(&format!("const {constant}: &str")));
                    let Some(line) = declared else { panic!("{}: the reason {constant} of an Event is not understood", path.display()) };
                    names.extend(quoted(line).into_iter().map(str::to_owned));
                }
            }
        }
    }
    let conditions = read(&root().join("crates/doris-api/src/conditions.rs"));
    for constant in &constants {
        let line = conditions.lines().find(|line| line.contains(&format!("const {constant}: &str"))).expect("a reason");
        names.extend(quoted(line).into_iter().map(str::to_owned));
    }
    let text = page(TROUBLES);
    let events = text.split("\n## Events").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section about Events");
    let missing: Vec<&String> = names.iter().filter(|name| !events.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty() && names.len() > 5, "Events {missing:?} of {names:?} are not explained");
}

/// Names that metrics are registered by, before what their type and unit add.
fn registered() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in sources() {
        for call in text.split(".register(").skip(1).chain(text.split(".register_with_unit(").skip(1)) {
            names.extend(call.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()));
        }
    }
    names
}

#[test]
fn every_metric_is_explained_and_no_other_is_named() {
    let registered = registered();
    assert!(registered.len() >= 10, "{registered:?}");
    let suffixes = ["", "_total", "_seconds"];
    let told = page("docs/src/metrics.md");
    let is_told = |name: &str| suffixes.iter().any(|suffix| told.contains(&format!("| `doris_operator_{name}{suffix}` |")));
    let missing: Vec<&String> = registered.iter().filter(|name| !is_told(name)).collect();
    assert!(missing.is_empty(), "not in the table of metrics: {missing:?}");
    for (path, text) in pages() {
        for word in words(&text, "doris_operator_") {
            let name = word.trim_start_matches("doris_operator_");
            let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let is_known = suffixes.iter().any(|suffix| name.strip_suffix(suffix).is_some_and(|name| registered.contains(name)));
            assert!(is_known, "{path}: there is no metric {word}; there are {registered:?}");
        }
    }
}

/// What a running controller exposes is called what the page calls it.
pub fn assert_metrics_are_told(exposed: &str) {
    let typed = exposed.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names = typed.map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() });
    assert_named(&names.collect(), "docs/src/metrics.md");
}

/// Fields of a cluster's spec that sentences name without `spec.`.
const PARTS: [&str; 14] = [
    "auth",
    "be",
    "broker",
    "cn",
    "failover",
    "fe",
    "hadoop",
    "image",
    "kerberos",
    "networkPolicy",
    "podDisruptionBudget",
    "podSecurity",
    "scaleIn",
    "update",
];
/// What looks like a field and is none of ours: files of Doris, and fields of built-in kinds.
const NOT_OURS: [&str; 5] = ["be.conf", "fe.conf", "spec.claimRef", "spec.serviceAccount", "spec.serviceAccountName"];

#[test]
fn every_field_and_every_value_of_a_chart_that_a_sentence_names_exists() {
    let kinds: Vec<Value> = crds(CURRENT_MINOR).expect("definitions").iter().map(|crd| serde_json::to_value(crd).expect("JSON")).collect();
    let values = |path: &str| -> Value { serde_saphyr::from_str(&read(&root().join("helm/doris-operator").join(path))).expect("values") };
    let (global, own) = (values("values.yaml"), values("charts/cluster-controller/values.yaml"));
    let (mut seen, mut wrong) = (0, Vec::new());
    // The page of fields is made from the definitions.
    for (place, span) in spans().into_iter().filter(|(place, _)| !place.starts_with("docs/src/fields.md")) {
        let name: String =
            span.chars().take_while(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '[' | ']')).collect();
        let name = name.replace("[]", "");
        let Some((first, rest)) = name.split_once('.').filter(|(_, rest)| !rest.is_empty()) else { continue };
        let path: Vec<&str> = rest.split('.').collect();
        let is_there = match first {
            _ if NOT_OURS.contains(&name.as_str()) => continue,
            "spec" | "status" => kinds.iter().any(|kind| is_field(kind, &[&[first], path.as_slice()].concat())),
            part if PARTS.contains(&part) => is_field(&kinds[0], &[&["spec", first], path.as_slice()].concat()),
            "global" | "crds" | "userRoles" => is_value(&global[first], &path),
            "cluster-controller" => is_value(&own, &path),
            _ => continue,
        };
        seen += 1;
        if !is_there {
            wrong.push(format!("{place}: {span}"));
        }
    }
    assert!(seen > 100, "{seen}");
    assert_eq!(wrong, Vec::<String>::new());
}

/// Whether a definition has a field; what is below a map or an embedded object is the user's.
fn is_field(definition: &Value, path: &[&str]) -> bool {
    let mut at = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for name in path {
        if at["additionalProperties"].is_object() || at["x-kubernetes-preserve-unknown-fields"] == true {
            return true;
        }
        let fields = if at["items"].is_object() { &at["items"] } else { at };
        at = &fields["properties"][*name];
        if !at.is_object() {
            return false;
        }
    }
    true
}

fn is_value(values: &Value, path: &[&str]) -> bool {
    let mut at = values;
    path.iter().all(|name| {
        let is_there = at.get(*name).is_some();
        at = &at[*name];
        is_there
    })
}

/// Words of a text that begin so.
fn words(text: &str, begin: &str) -> BTreeSet<String> {
    let rest = text.match_indices(begin).map(|(at, _)| &text[at..]);
    rest.map(|rest| rest.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '_').collect()).collect()
}
