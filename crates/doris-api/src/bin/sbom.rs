//! Makes a program's bill of materials (`CycloneDX` 1.5) of what `cargo metadata` prints: the packages that it is built from, and no others.
//!
//! `cargo metadata --locked --format-version 1 | sbom cluster-controller`. The same input gives the same text: no time, no random number.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

fn main() -> anyhow::Result<()> {
    let program = std::env::args().nth(1).context("usage: cargo metadata --format-version 1 | sbom PACKAGE")?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("reading what cargo metadata prints")?;
    let metadata: Value = serde_json::from_str(&text).context("this is not what cargo metadata prints")?;
    println!("{:#}", bill(&metadata, &program)?);
    Ok(())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn bill(metadata: &Value, program: &str) -> anyhow::Result<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (text(&package, "id").to_owned(), package)).collect();
    let root = packages.values().find(|package| text(package, "name") == program).with_context(|| format!("no package {program}"))?;
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        // A dependency of tests or of the build only is not in the program.
        let is_linked = |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let linked = list(&node["deps"]).into_iter().filter(is_linked).map(|dependency| text(&dependency, "pkg").to_owned());
        needs.insert(text(&node, "id").to_owned(), linked.collect());
    }
    ensure!(!needs.is_empty(), "cargo metadata was run with --no-deps");
    let mut used = BTreeSet::new();
    let mut open = vec![text(root, "id").to_owned()];
    while let Some(id) = open.pop() {
        if used.insert(id.clone()) {
            open.extend(needs.get(&id).into_iter().flatten().cloned());
        }
    }
    let reference = |package: &Value| format!("pkg:cargo/{}@{}", text(package, "name"), text(package, "version"));
    let component = |kind: &str, package: &Value| {
        let mut component = json!({
            "type": kind,
            "bom-ref": reference(package),
            "purl": reference(package),
            "name": text(package, "name"),
            "version": text(package, "version"),
        });
        if let Some(license) = package["license"].as_str() {
            component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
        }
        component
    };
    let used: Vec<&Value> = used.iter().filter_map(|id| packages.get(id)).collect();
    let others = used.iter().filter(|package| package["id"] != root["id"]);
    let components: BTreeMap<String, Value> = others.map(|package| (reference(package), component("library", package))).collect();
    let dependencies: BTreeMap<String, Value> = used
        .iter()
        .map(|package| {
            let needed = needs.get(text(package, "id")).into_iter().flatten().filter_map(|id| packages.get(id)).map(reference);
            let needed: BTreeSet<String> = needed.collect();
            (reference(package), json!({"ref": reference(package), "dependsOn": needed}))
        })
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component("application", root)},
        "components": components.into_values().collect::<Vec<_>>(),
        "dependencies": dependencies.into_values().collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::bill;

    #[test]
    fn a_bill_holds_what_is_linked_and_nothing_else() {
        let package = |name: &str| json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0"});
        let packages = ["app", "lib", "deep", "only-in-tests", "stranger"].map(package);
        let needs = |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "packages": packages,
            "resolve": {"nodes": [
                {"id": "app", "deps": [needs("lib", Value::Null), needs("only-in-tests", "dev".into())]},
                {"id": "lib", "deps": [needs("deep", Value::Null)]},
                {"id": "deep", "deps": []},
                {"id": "only-in-tests", "deps": []},
                {"id": "stranger", "deps": []},
            ]},
        });
        let bill = bill(&metadata, "app").expect("a bill");
        let names: Vec<&str> = bill["components"].as_array().expect("components").iter().filter_map(|part| part["name"].as_str()).collect();
        assert_eq!((bill["metadata"]["component"]["name"].as_str(), names), (Some("app"), vec!["deep", "lib"]));
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["dependencies"][0], json!({"ref": "pkg:cargo/app@1.0.0", "dependsOn": ["pkg:cargo/lib@1.0.0"]}));
    }

    #[test]
    fn an_unknown_program_is_named() {
        let refused = bill(&json!({"packages": []}), "nobody").expect_err("there is none");
        assert!(refused.to_string().contains("nobody"), "{refused}");
    }
}
