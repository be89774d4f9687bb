//! What changes: one field of the spec, or something beside it that the spec refers to.

use fastrand::Rng;
use serde_json::{Value, json};

use super::fields;
use super::{What, reference};

/// Keys with values that they can have: component, key, values.
const KEYS: [(&str, &str, [&str; 2]); 12] = [
    ("fe", "disable_balance", ["true", "false"]),
    ("fe", "catalog_trash_expire_second", ["3600", "7200"]),
    ("fe", "max_running_txn_num_per_db", ["500", "2000"]),
    ("fe", "prefer_compute_node_for_external_table", ["false", "true"]),
    ("fe", "qe_max_connection", ["2048", "4096"]),
    ("fe", "JAVA_OPTS", ["-Xmx2g", "-Xmx3g"]),
    ("be", "max_tablet_version_num", ["3000", "4000"]),
    ("be", "disable_auto_compaction", ["true", "false"]),
    ("be", "mem_limit", ["70%", "80%"]),
    ("cn", "streaming_load_max_mb", ["20480", "40960"]),
    ("cn", "doris_scanner_thread_pool_thread_num", ["16", "24"]),
    ("be", "streaming_load_max_mb", ["20480", "40960"]),
];

/// Versions of each line, and what comes next.
const LINES: [[&str; 2]; 4] = [["2.0.14", "2.0.15"], ["2.1.7", "2.1.8"], ["3.0.3", "3.0.4"], ["4.0.1", "4.0.2"]];

/// One thing that changes.
pub(super) fn change(rng: &mut Rng, spec: &Value) -> What {
    match rng.u8(..64) {
        0..=13 => What::Spec(key(rng, spec)),
        14..=24 => {
            let component = member(rng, spec);
            let patches = fields::of_member(component, spec["version"].as_str().unwrap_or_default());
            What::Spec(json!({component: patches[rng.usize(..patches.len())]}))
        }
        25..=31 => {
            let patches = fields::of_cluster();
            What::Spec(patches[rng.usize(..patches.len())].clone())
        }
        32..=39 => What::Spec(members(rng, spec)),
        40..=43 => What::Spec(volumes(rng, spec)),
        44..=48 => What::Spec(to_version(version(rng, spec), spec)),
        49..=52 => What::Spec(json!({"suspend": spec["suspend"] != json!(true)})),
        53..=54 => What::Spec(accounts(rng)),
        55 => What::Password(if rng.bool() { "root" } else { "admin" }, format!("Walk-Word-{}", rng.u32(100..1000))),
        56..=58 => annotation(rng, spec),
        59..=60 => {
            let patches = fields::refused(spec);
            What::Refused(patches[rng.usize(..patches.len())].clone())
        }
        61..=62 => What::Recreate,
        _ => What::Spec(image(rng, spec)),
    }
}

fn member<'a>(rng: &mut Rng, spec: &Value) -> &'a str {
    let there: Vec<&str> = ["fe", "be", "cn", "broker"].into_iter().filter(|component| spec.get(*component).is_some()).collect();
    there[rng.usize(..there.len())]
}

/// A key of the configuration is set, or taken out.
pub(super) fn key(rng: &mut Rng, spec: &Value) -> Value {
    let there: Vec<_> = KEYS.iter().filter(|(component, ..)| spec.get(*component).is_some()).collect();
    let (component, key, values) = there[rng.usize(..there.len())];
    let is_set = spec[*component]["config"].get(*key).is_some();
    let value = if is_set && rng.bool() { Value::Null } else { json!(values[rng.usize(..2)]) };
    json!({*component: {"config": {*key: value}}})
}

/// More members, or fewer.
fn members(rng: &mut Rng, spec: &Value) -> Value {
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let (observers, backends) = (number(&spec["fe"]["observers"]), number(&spec["be"]["replicas"]));
    match rng.u8(..12) {
        0 => json!({"fe": {"observers": (observers + 1).min(2)}}),
        1 => json!({"fe": {"observers": if rng.bool() { json!(0) } else { Value::Null }}}),
        2..=3 => json!({"fe": {"replicas": 3}}),
        4 => json!({"fe": {"replicas": 1}}),
        5..=6 => json!({"be": {"replicas": (backends + 1).min(3)}}),
        7 => json!({"be": {"replicas": (backends - 1).max(1)}}),
        8 => json!({"broker": {"replicas": rng.i32(0..=1), "name": "hdfs_broker"}}),
        9 => json!({"broker": null}),
        10 => json!({"cn": {"replicas": rng.i32(0..=2)}}),
        _ => json!({"cn": null}),
    }
}

/// Larger volumes, or a further disk.
fn volumes(rng: &mut Rng, spec: &Value) -> Value {
    const SIZES: [&str; 3] = ["100Gi", "150Gi", "200Gi"];
    let larger = |size: &Value| {
        let next = SIZES.iter().position(|known| size == known).map_or(0, |at| (at + 1).min(SIZES.len() - 1));
        json!(SIZES[next])
    };
    match rng.u8(..4) {
        0 => json!({"fe": {"storage": {"size": if spec["fe"]["storage"]["size"] == "20Gi" { "30Gi" } else { "40Gi" }}}}),
        1 if spec["be"]["storage"].as_array().is_some_and(|disks| disks.len() < 2) => {
            let mut disks = spec["be"]["storage"].clone();
            if let Some(disks) = disks.as_array_mut() {
                disks.push(json!({"name": "more", "size": "100Gi"}));
            }
            json!({"be": {"storage": disks}})
        }
        2 if spec.get("cn").is_some() => {
            let size = if spec["cn"]["storage"].is_null() { json!("100Gi") } else { larger(&spec["cn"]["storage"][0]["size"]) };
            json!({"cn": {"storage": [{"name": "cache", "size": size}]}})
        }
        _ => {
            let mut disks = spec["be"]["storage"].clone();
            let disk = rng.usize(..disks.as_array().map_or(1, Vec::len));
            disks[disk]["size"] = larger(&disks[disk]["size"]);
            json!({"be": {"storage": disks}})
        }
    }
}

/// Often a patch release or the next line, sometimes back, sometimes further than there is a way.
fn version(rng: &mut Rng, spec: &Value) -> &'static str {
    let present = spec["version"].as_str().unwrap_or_default();
    let line = LINES.iter().position(|line| line.contains(&present)).unwrap_or(1);
    let wanted = match rng.u8(..16) {
        0..=4 => line,
        5..=10 => line + 1,
        11..=13 => line.saturating_sub(1),
        14 => line + 2,
        _ => 0,
    };
    let releases = LINES[wanted.min(LINES.len() - 1)];
    releases[rng.usize(..2)]
}

/// Another version, by the repository's own images.
fn to_version(version: &str, spec: &Value) -> Value {
    let mut patch = json!({"version": version, "fe": {"image": null}, "be": {"image": null}});
    for component in ["cn", "broker"].into_iter().filter(|component| spec.get(*component).is_some()) {
        patch[component] = json!({"image": null});
    }
    patch
}

/// An image of the present version from elsewhere, for one component; or that of the repository again.
fn image(rng: &mut Rng, spec: &Value) -> Value {
    let component = ["fe", "be"][rng.usize(..2)];
    let image = format!("mirror.example.org/doris:{component}-{}", spec["version"].as_str().unwrap_or_default());
    let is_set = spec[component].get("image").is_some();
    json!({component: {"image": if is_set { Value::Null } else { json!(image) }}})
}

fn accounts(rng: &mut Rng) -> Value {
    let user = ["rootPassword", "adminPassword"][rng.usize(..2)];
    let key = if user == "rootPassword" { "root" } else { "admin" };
    json!({"auth": {user: if rng.u8(..3) > 0 { reference(key) } else { Value::Null }}})
}

/// Requests in annotations; they may stay for ever.
fn annotation(rng: &mut Rng, spec: &Value) -> What {
    let value = rng.u8(..3).to_string();
    let component = member(rng, spec);
    match rng.u8(..6) {
        0 => What::Annotate(doris_api::labels::RESTART.to_owned(), value),
        1..=2 => What::Annotate(format!("{}{component}", doris_api::labels::RESTART_PREFIX), value),
        3..=4 => What::Annotate(doris_api::labels::ROTATE_OPERATOR_PASSWORD.to_owned(), value),
        _ => What::Annotate(format!("{}FeQuorum", doris_api::labels::OVERRIDE_PREFIX), super::OVERRIDE_UNTIL.to_owned()),
    }
}
