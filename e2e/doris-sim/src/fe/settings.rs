//! Configuration of one frontend process.

use std::collections::BTreeMap;

use crate::version::DorisVersion;

/// Keys of the modelled frontends: name, default, type, mutable, master-only.
const TABLE: &str = include_str!("settings.tsv");

/// What is known of a key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub default: String,
    pub kind: String,
    pub mutable: bool,
    pub master_only: bool,
}

/// Values that one process works with. Lost with the process.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    keys: BTreeMap<String, Key>,
    values: BTreeMap<String, String>,
    start: BTreeMap<String, String>,
}

impl Settings {
    /// Defaults of a version with fe.conf on top; keys that Doris does not know are ignored by it.
    pub fn new(version: DorisVersion, conf: &BTreeMap<String, String>) -> Self {
        let mut keys = keys();
        let mut default = |key: &str, value: String| {
            if let Some(key) = keys.get_mut(key) {
                key.default = value;
            }
        };
        default("heartbeat_interval_second", version.heartbeat_seconds().to_string());
        default("arrow_flight_sql_port", version.arrow_port().unwrap_or(-1).to_string());
        default(
            "be_exec_version",
            if version.from_line(3, 0) {
                "8"
            } else if version.from_line(2, 1) {
                "6"
            } else {
                "3"
            }
            .to_owned(),
        );
        default("enable_workload_group", version.from_line(2, 1).to_string());
        default("decommission_tablet_check_threshold", if version.major >= 4 { "50000" } else { "5000" }.to_owned());
        if !version.from_line(2, 1) {
            keys.retain(|key, _| {
                !["arrow_flight_sql_port", "blacklist_duration_second", "ignore_backup_not_support_table_type"].contains(&key.as_str())
            });
        }
        if let Some(key) = keys.get_mut("enable_all_http_auth") {
            key.mutable = version.from_line(2, 1);
        }
        if version.from_line(2, 1) {
            let key = Key { default: "-1".to_owned(), kind: "short".to_owned(), mutable: true, master_only: true };
            keys.insert("min_load_replica_num".to_owned(), key);
        }
        let values: BTreeMap<_, _> =
            conf.iter().filter(|(key, _)| keys.contains_key(*key)).map(|(key, value)| (key.clone(), value.clone())).collect();
        Self { keys, start: values.clone(), values }
    }

    /// Keys whose value is not the one that the process was started with: key, value, value at the start.
    pub fn changed(&self) -> Vec<(String, String, String)> {
        let start = |key: &str| self.start.get(key).or_else(|| self.keys.get(key).map(|key| &key.default)).cloned().unwrap_or_default();
        let changed = self.values.iter().map(|(key, value)| (key.clone(), value.clone(), start(key)));
        changed.filter(|(_, value, start)| value != start).collect()
    }

    pub fn get(&self, key: &str) -> &str {
        self.values.get(key).or_else(|| self.keys.get(key).map(|key| &key.default)).map_or("", String::as_str)
    }

    pub fn flag(&self, key: &str) -> bool {
        self.get(key).eq_ignore_ascii_case("true")
    }

    pub fn number(&self, key: &str) -> u64 {
        self.get(key).parse().unwrap_or(0)
    }

    pub fn port(&self, key: &str) -> u16 {
        self.get(key).parse().unwrap_or(0)
    }

    pub fn key(&self, key: &str) -> Option<&Key> {
        self.keys.get(key)
    }

    pub fn keys(&self) -> impl Iterator<Item = (&String, &Key)> {
        self.keys.iter()
    }

    /// First value of fe.conf that its type cannot hold: the process does not start with it.
    pub fn unreadable(&self) -> Option<(&str, &str)> {
        let bad = |(name, value): &(&String, &String)| self.keys.get(*name).is_some_and(|key| mismatch(&key.kind, value).is_some());
        self.values.iter().find(bad).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Only a restart changes this key from now on.
    pub fn fix(&mut self, name: &str) {
        if let Some(key) = self.keys.get_mut(name) {
            key.mutable = false;
        }
    }

    /// Changes a value while the process runs.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let key = self.keys.get(name).ok_or_else(|| format!("Config '{name}' does not exist"))?;
        if !key.mutable {
            return Err(format!("Config '{name}' is not mutable"));
        }
        if let Some(problem) = mismatch(&key.kind, value) {
            return Err(format!("Failed to set config '{name}'. err: {problem}"));
        }
        let value = if key.kind == "boolean" { value.to_ascii_lowercase() } else { value.to_owned() };
        self.values.insert(name.to_owned(), value);
        Ok(())
    }
}

fn keys() -> BTreeMap<String, Key> {
    let row = |line: &str| {
        let mut cells = line.split('\t').map(str::to_owned);
        let mut next = || cells.next().unwrap_or_default();
        let (name, default, kind, mutable, master_only) = (next(), next(), next(), next(), next());
        (name, Key { default, kind, mutable: mutable == "true", master_only: master_only == "true" })
    };
    TABLE.lines().map(row).collect()
}

/// What Java says about a value that a field of this type cannot hold.
fn mismatch(kind: &str, value: &str) -> Option<String> {
    let wrong = match kind {
        "boolean" => return (!["true", "false"].contains(&value.to_ascii_lowercase().as_str())).then(|| "type mismatch".to_owned()),
        "int" => value.parse::<i32>().is_err(),
        "short" => value.parse::<i16>().is_err(),
        "long" => value.parse::<i64>().is_err(),
        "double" => value.parse::<f64>().is_err(),
        _ => false,
    };
    wrong.then(|| format!("For input string: \"{value}\""))
}
