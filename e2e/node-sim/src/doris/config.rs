//! Configuration files as the script assembles them, and what a start takes from the pod.

use std::collections::BTreeMap;

use doris_api::member::{CONFIG_DIR, exit};
use doris_sim::Medium;

use crate::engine::{Exit, Launch};

/// Keys that belong to the operator.
const REFUSED: [&str; 3] = ["cluster_id", "auth_token", "meta_dir"];

/// Keys and values of a configuration file; the last of equal keys wins.
pub(super) fn read(launch: &Launch, file: &str) -> BTreeMap<String, String> {
    let text = launch.files.read(&format!("{CONFIG_DIR}/{file}")).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

/// Why the configuration of a frontend is refused.
pub(super) fn refusal(conf: &BTreeMap<String, String>, keys: &[&str], file: &str) -> Option<Exit> {
    let key = keys.iter().find(|key| conf.contains_key(**key))?;
    Some(Exit { code: exit::CONFIG_REFUSED, message: format!("{file} sets {key}, which belongs to the operator\n") })
}

/// The keys refused in fe.conf and in be.conf.
pub(super) fn refused_keys(frontend: bool) -> &'static [&'static str] {
    if frontend { &REFUSED } else { &REFUSED[..1] }
}

/// Doris version of an image: what follows the last dash of its tag.
pub(super) fn version(launch: &Launch) -> String {
    let image = launch.container.image.clone().unwrap_or_default();
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let digits = tag.find(|c: char| c.is_ascii_digit()).map_or("3.0.3", |start| &tag[start..]);
    digits.split(['-', '@']).next().unwrap_or(digits).to_owned()
}

/// Medium of a storage root by `storage_root_path` of be.conf.
pub(super) fn medium(conf: &BTreeMap<String, String>, path: &str) -> Medium {
    let roots = conf.get("storage_root_path").map(String::as_str).unwrap_or_default();
    let root = roots.split(';').find(|root| root.split(',').next().is_some_and(|found| found.trim().trim_end_matches('/') == path));
    let ssd = root.is_some_and(|root| {
        root.to_ascii_lowercase().contains("medium:ssd") || path.rsplit_once('.').is_some_and(|(_, ending)| ending == "SSD")
    });
    if ssd { Medium::Ssd } else { Medium::Hdd }
}

/// A port from the environment.
pub(super) fn port(launch: &Launch, name: &str, default: u16) -> u16 {
    launch.env.get(name).and_then(|port| port.parse().ok()).unwrap_or(default)
}

/// A root password hash that Doris understands.
pub(super) fn is_password_hash(text: &str) -> bool {
    text.strip_prefix('*').is_some_and(|digits| digits.len() == 40 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
