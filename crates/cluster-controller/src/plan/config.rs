//! Which ConfigMap the pods of a component are made with, and what stands in each that is in use.
//!
//! A ConfigMap's name stands in the pod template, so another name restarts every member. A revision therefore stays
//! in use as long as what changes can be changed in running processes; whether it can is Doris' own word, asked of
//! a running process before anything is written. Nothing is derived from names: what was written is compared with
//! what is wanted, so that neither an unreachable Doris nor a newer operator ever makes a new revision of the same
//! configuration.

mod defaults;
mod value;

pub use defaults::default_of;
pub use value::{fits, same};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::build::Contents;

/// What Doris says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is changed in running processes.
    Live,
    /// Only a new process takes it over.
    Restart,
    /// Doris has no such key.
    Unknown,
    /// Nobody has said yet.
    NotAsked,
}

/// What is known of a key that was changed while a revision was in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Its value in a process whose file does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// When it was taken out of the file; processes that are older still have its former value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Timestamp>,
}

/// Notes by key.
pub type Notes = BTreeMap<String, Note>;

/// A ConfigMap of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Its keys.
    pub contents: Contents,
    /// What is known of them.
    pub notes: Notes,
}

/// What the choice looks at.
pub struct Scene<'a> {
    /// The file that the spec asks for.
    pub wanted: &'a Contents,
    /// Name of a new revision.
    pub suggested: &'a str,
    /// Name of a new revision where that one is taken.
    pub fallback: &'a str,
    /// The revision that new pods are made with.
    pub current: Option<&'a str>,
    /// What stands in the revisions there are, as far as it was read.
    pub files: &'a BTreeMap<String, Arc<File>>,
    /// Revisions that pods mount.
    pub used: &'a BTreeSet<String>,
    /// What Doris says of a key.
    pub class: &'a dyn Fn(&str) -> Class,
    /// Whether a process took the wanted value of a live key.
    pub is_proven: &'a dyn Fn(&str) -> bool,
    /// The value that a key has without being in the file, if that is known.
    pub default_of: &'a dyn Fn(&str) -> Option<String>,
    /// A member of the component works, so that it can be asked.
    pub may_ask: bool,
    /// Members are made anew with another image anyway, and what the former one says does not bind it.
    pub image_changes: bool,
    /// Keys that are not part of Doris' own configuration.
    pub is_variable: &'a dyn Fn(&str) -> bool,
    /// Keys by which the suggested name tells revisions apart.
    pub is_in_name: &'a dyn Fn(&str) -> bool,
    /// Now.
    pub now: Timestamp,
}

/// Which revision new pods are made with, and what each that is in use holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// ConfigMap for new pods.
    pub name: String,
    /// Contents of every revision in use, that one included.
    pub files: BTreeMap<String, Arc<File>>,
    /// Keys that a running process has to be asked about before anything is written.
    pub ask: BTreeSet<String>,
}

/// Keys with another text, or with one in only one of the two.
pub fn differing<'a>(a: &'a Contents, b: &'a Contents) -> BTreeSet<&'a str> {
    let missing = b.keys().filter(|key| !a.contains_key(*key));
    a.iter().filter(|(key, text)| b.get(*key) != Some(text)).map(|(key, _)| key).chain(missing).map(String::as_str).collect()
}

/// Chooses.
pub fn choose(scene: &Scene<'_>) -> Choice {
    let Some((name, file)) = scene.current.and_then(|name| Some((name, scene.files.get(name)?))) else {
        return first(scene);
    };
    let changed = differing(&file.contents, scene.wanted);
    if changed.is_empty() {
        return settle(scene, name, &file.notes, &changed);
    }
    if scene.may_ask && !scene.image_changes {
        let ask: BTreeSet<String> = changed.iter().filter(|key| scene.is_open(key)).map(|&key| key.to_owned()).collect();
        if !ask.is_empty() {
            return Choice { name: name.to_owned(), files: BTreeMap::from([(name.to_owned(), file.clone())]), ask };
        }
    }
    if changed.iter().all(|key| scene.is_changed_in_place(key)) {
        return settle(scene, name, &file.notes, &changed);
    }
    let fits = |(other, file): &(&String, &Arc<File>)| {
        *other != name && differing(&file.contents, scene.wanted).iter().all(|key| scene.is_changed_in_place(key))
    };
    if let Some((other, _)) = scene.files.iter().find(fits) {
        return settle(scene, other, &file.notes, &changed);
    }
    // Of the same name by all that names tell: somebody else wrote into it while nobody was looking.
    let is_defaced = scene.suggested == name && changed.iter().all(|key| (scene.is_in_name)(key) || scene.is_changed_in_place(key));
    let is_taken = scene.files.contains_key(scene.suggested);
    let next = if is_defaced || !is_taken { scene.suggested } else { scene.fallback };
    settle(scene, next, &file.notes, &changed)
}

/// No set is there, or its ConfigMap is gone and nobody knows what stood in it.
fn first(scene: &Scene<'_>) -> Choice {
    let same = scene.files.iter().find(|(_, file)| file.contents == *scene.wanted).map(|(name, _)| name.as_str());
    settle(scene, same.unwrap_or(scene.suggested), &Notes::new(), &BTreeSet::new())
}

/// The chosen revision holds what is wanted; others in use get of it what needs no restart. Notes go into a file
/// together with the change that they are about, so that whoever is interrupted finds them there.
fn settle(scene: &Scene<'_>, name: &str, notes: &Notes, changed: &BTreeSet<&str>) -> Choice {
    let mut files: BTreeMap<String, Arc<File>> = BTreeMap::new();
    for (other, file) in scene.files.iter().filter(|(other, _)| *other != name && scene.used.contains(*other)) {
        let notes = scene.noted(&file.notes, &differing(&file.contents, scene.wanted));
        files.insert(other.clone(), Arc::new(File { contents: scene.merged(&file.contents), notes }));
    }
    files.insert(name.to_owned(), Arc::new(File { contents: scene.wanted.clone(), notes: scene.noted(notes, changed) }));
    Choice { name: name.to_owned(), files, ask: BTreeSet::new() }
}

impl Scene<'_> {
    fn class_of(&self, key: &str) -> Class {
        if (self.is_variable)(key) { Class::Restart } else { (self.class)(key) }
    }

    /// A process has to be asked first: whether the key needs a restart, or whether the value is taken at all.
    fn is_open(&self, key: &str) -> bool {
        match self.class_of(key) {
            Class::NotAsked => true,
            Class::Live | Class::Restart => self.wanted.contains_key(key) && !(self.is_variable)(key) && !(self.is_proven)(key),
            Class::Unknown => false,
        }
    }

    /// Whether a difference in this key leaves a revision what it is.
    fn is_changed_in_place(&self, key: &str) -> bool {
        match self.class_of(key) {
            Class::Live => !self.image_changes || !self.wanted.contains_key(key) || (self.is_proven)(key),
            // It does nothing; taking it out does nothing either.
            Class::Unknown => !self.wanted.contains_key(key),
            Class::Restart | Class::NotAsked => false,
        }
    }

    /// Notes with those about keys that change.
    fn noted(&self, notes: &Notes, changed: &BTreeSet<&str>) -> Notes {
        let mut notes = notes.clone();
        for key in changed.iter().copied().filter(|key| self.is_changed_in_place(key)) {
            let note = notes.entry(key.to_owned()).or_default();
            if note.default.is_none() {
                note.default = (self.default_of)(key);
            }
            note.removed = (!self.wanted.contains_key(key)).then_some(self.now);
        }
        // What Doris does not have, no process is to get back.
        notes.retain(|key, _| (self.class)(key) != Class::Unknown);
        notes
    }

    /// Another revision with the live keys of the wanted one.
    fn merged(&self, old: &Contents) -> Contents {
        let mut merged = Contents::new();
        for (key, text) in self.wanted {
            let former = old.get(key);
            let kept = if self.is_changed_in_place(key) { Some(text) } else { former };
            merged.extend(kept.map(|text| (key.clone(), text.clone())));
        }
        let gone = old.iter().filter(|(key, _)| !self.wanted.contains_key(*key) && !self.is_changed_in_place(key));
        merged.extend(gone.map(|(key, text)| (key.clone(), text.clone())));
        merged
    }
}

#[cfg(test)]
mod tests;
