//! Configuration of one backend process.

use std::collections::BTreeMap;

use crate::version::DorisVersion;

/// Keys of the modelled backends: name, type, mutable, default.
const TABLE: &str = include_str!("settings.tsv");

/// Keys that 2.0 does not have.
const SINCE_2_1: [&str; 3] = ["arrow_flight_sql_port", "grace_shutdown_wait_seconds", "group_commit_wal_path"];

#[derive(Clone, Debug)]
struct Key {
    name: &'static str,
    kind: &'static str,
    mutable: bool,
    value: String,
    start: String,
}

/// Values that one process works with. Lost with the process.
#[derive(Clone, Debug)]
pub(crate) struct Conf {
    keys: Vec<Key>,
}

/// A key as `/api/show_config` and `SHOW BACKEND CONFIG` tell it.
pub(crate) struct Shown<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub value: &'a str,
    pub mutable: bool,
}

impl Conf {
    /// Defaults of a version with be.conf on top; keys that Doris does not know are ignored by it.
    pub fn new(version: DorisVersion, conf: &BTreeMap<String, String>) -> Self {
        let known = |name: &str| version.from_line(2, 1) || !SINCE_2_1.contains(&name);
        let read = |line: &'static str| {
            let mut cells = line.split('\t');
            let (name, kind, mutable, default) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
            let value = conf.get(name).cloned().unwrap_or_else(|| default_of(name, version).unwrap_or(default).to_owned());
            known(name).then(|| Key { name, kind, mutable: mutable == "true", start: value.clone(), value })
        };
        Self { keys: TABLE.lines().filter_map(read).collect() }
    }

    /// Keys whose value is not the one that the process was started with: key, value, value at the start.
    pub fn changed(&self) -> Vec<(String, String, String)> {
        let changed = self.keys.iter().filter(|key| key.value != key.start);
        changed.map(|key| (key.name.to_owned(), key.value.clone(), key.start.clone())).collect()
    }

    pub fn get(&self, name: &str) -> &str {
        self.keys.iter().find(|key| key.name == name).map_or("", |key| &key.value)
    }

    /// All keys, or the one asked for.
    pub fn shown(&self) -> impl Iterator<Item = Shown<'_>> {
        self.keys.iter().map(|key| Shown { name: key.name, kind: key.kind, value: &key.value, mutable: key.mutable })
    }

    /// First key of be.conf with a value that its type cannot hold: the process does not start with it.
    pub fn unreadable(&self) -> Option<&str> {
        self.keys.iter().find(|key| !fits(key.kind, &key.start)).map(|key| key.name)
    }

    /// Only a restart changes this key from now on.
    pub fn fix(&mut self, name: &str) {
        if let Some(key) = self.keys.iter_mut().find(|key| key.name == name) {
            key.mutable = false;
        }
    }

    /// Changes a value while the process runs.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let key = self.keys.iter_mut().find(|key| key.name == name);
        let key = key.ok_or_else(|| format!("[NOT_FOUND]'{name}' is not found"))?;
        if !key.mutable {
            return Err(format!("[NOT_IMPLEMENTED_ERROR]'{name}' is not support to modify"));
        }
        if !fits(key.kind, value) {
            return Err(format!("[INVALID_ARGUMENT]convert '{value}' as {} failed", key.kind));
        }
        key.value = match (key.kind, value.to_ascii_lowercase().as_str()) {
            ("bool", "1" | "true") => "true".to_owned(),
            ("bool", _) => "false".to_owned(),
            _ => value.to_owned(),
        };
        Ok(())
    }
}

fn fits(kind: &str, value: &str) -> bool {
    match kind {
        "bool" => ["true", "false", "1", "0"].contains(&value.to_ascii_lowercase().as_str()),
        "int32_t" => value.parse::<i32>().is_ok(),
        "int64_t" => value.parse::<i64>().is_ok(),
        _ => true,
    }
}

fn default_of(name: &str, version: DorisVersion) -> Option<&'static str> {
    Some(match name {
        "trash_file_expire_time_sec" if version >= DorisVersion { major: 3, minor: 0, patch: 1 } => "0",
        "trash_file_expire_time_sec" if !version.from_line(2, 1) => "259200",
        "mem_limit" if !version.from_line(2, 1) => "80%",
        "arrow_flight_sql_port" if version.major >= 4 => "8050",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Conf;
    use crate::version::DorisVersion;

    #[test]
    fn only_mutable_keys_change_and_only_to_what_their_type_holds() {
        let mut conf = Conf::new(DorisVersion::parse("3.0.3"), &BTreeMap::from([("sys_log_level".to_owned(), "WARN".to_owned())]));
        assert_eq!(conf.get("sys_log_level"), "WARN");
        let cases = [
            ("disable_auto_compaction", "TRUE", Ok("true")),
            ("max_tablet_version_num", "many", Err("[INVALID_ARGUMENT]convert 'many' as int32_t failed")),
            ("be_port", "1", Err("[NOT_IMPLEMENTED_ERROR]'be_port' is not support to modify")),
            ("no_such_key", "1", Err("[NOT_FOUND]'no_such_key' is not found")),
        ];
        for (key, value, wanted) in cases {
            let set = conf.set(key, value).map(|()| conf.get(key).to_owned());
            assert_eq!(set.as_deref().map_err(String::as_str), wanted, "{key}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_read_is_found() {
        let with =
            |value: &str| Conf::new(DorisVersion::parse("2.1.7"), &BTreeMap::from([("max_tablet_version_num".into(), value.into())]));
        assert_eq!(with("many").unreadable(), Some("max_tablet_version_num"));
        assert_eq!(with("3000").unreadable(), None);
    }

    #[test]
    fn an_old_backend_knows_no_grace() {
        assert_eq!(Conf::new(DorisVersion::parse("2.0.15"), &BTreeMap::new()).get("grace_shutdown_wait_seconds"), "");
        assert_eq!(Conf::new(DorisVersion::parse("2.1.7"), &BTreeMap::new()).get("grace_shutdown_wait_seconds"), "120");
    }
}
