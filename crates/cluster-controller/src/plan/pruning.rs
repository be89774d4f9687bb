//! Which former ConfigMaps nobody needs any more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

/// A ConfigMap that was made for one revision of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its name: the family's and a hash.
    pub name: String,
    /// When it was made.
    pub made: Timestamp,
}

/// Revisions that may go: not wanted, named by no pod and no template that a pod could be made from, and not
/// younger than the newest of their family that is. A younger one may just be on its way into a template.
pub fn unneeded(revisions: &[Revision], wanted: &BTreeSet<String>, used: &BTreeSet<String>) -> Vec<String> {
    let mut newest: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for revision in revisions.iter().filter(|revision| used.contains(&revision.name)) {
        let newest = newest.entry(family(&revision.name)).or_insert(revision.made);
        *newest = revision.made.max(*newest);
    }
    let families: BTreeSet<&str> = wanted.iter().map(|name| family(name)).collect();
    let may_go = |revision: &&Revision| {
        let is_needed = wanted.contains(&revision.name) || used.contains(&revision.name);
        let is_old = match newest.get(family(&revision.name)) {
            Some(newest) => revision.made <= *newest,
            // Nothing of a component that is gone is on its way.
            None => !families.contains(family(&revision.name)),
        };
        !is_needed && is_old
    };
    revisions.iter().filter(may_go).map(|revision| revision.name.clone()).collect()
}

fn family(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(family, _)| family)
}

/// Takes every text in a template that is one of these names: whatever field it stands in, it may be mounted by it.
pub fn mentioned(template: &Value, names: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    match template {
        Value::String(text) => found.extend(names.get(text).cloned()),
        Value::Array(items) => items.iter().for_each(|item| mentioned(item, names, found)),
        Value::Object(fields) => fields.values().for_each(|field| mentioned(field, names, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::{SignedDuration, Timestamp};
    use serde_json::json;

    use super::{Revision, mentioned, unneeded};

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn only_what_is_older_than_the_newest_in_use_may_go() {
        let all = ["be-conf-1", "be-conf-2", "be-conf-3", "be-conf-4", "fe-conf-1", "fe-conf-2", "cn-conf-1"];
        let revisions: Vec<Revision> = all
            .iter()
            .zip(1..)
            .map(|(name, second)| Revision { name: (*name).to_owned(), made: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second) })
            .collect();
        let cases = [
            (
                "a rollout under way",
                ["be-conf-4", "fe-conf-2", "cn-conf-1"],
                vec!["be-conf-2", "fe-conf-2", "cn-conf-1"],
                vec!["be-conf-1", "fe-conf-1"],
            ),
            (
                "back to a former one",
                ["be-conf-1", "fe-conf-2", "cn-conf-1"],
                vec!["be-conf-3", "fe-conf-2"],
                vec!["be-conf-2", "fe-conf-1"],
            ),
            ("nothing runs yet", ["be-conf-4", "fe-conf-2", "cn-conf-1"], vec![], vec![]),
        ];
        for (name, wanted, used, expected) in cases {
            assert_eq!(unneeded(&revisions, &names(&wanted), &names(&used)), expected, "{name}");
        }
        let without_cn = unneeded(&revisions, &names(&["be-conf-4", "fe-conf-2"]), &names(&["be-conf-4", "fe-conf-2"]));
        assert_eq!(without_cn, ["be-conf-1", "be-conf-2", "be-conf-3", "fe-conf-1", "cn-conf-1"]);
    }

    #[test]
    fn a_name_counts_wherever_it_stands() {
        let template = json!({"volumes": [{"configMap": {"name": "a"}}, {"projected": {"sources": [{"configMap": {"name": "b"}}]}}],
            "containers": [{"envFrom": [{"configMapRef": {"name": "c"}}], "args": ["other"]}]});
        let mut found = BTreeSet::new();
        mentioned(&template, &names(&["a", "b", "c", "d"]), &mut found);
        assert_eq!(found, names(&["a", "b", "c"]));
    }
}
