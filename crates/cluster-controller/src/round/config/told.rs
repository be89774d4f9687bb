//! What the status says of configurations.

use std::collections::BTreeMap;

use doris_api::cluster::{ConfigKeyStatus, ConfigState};
use doris_api::conditions::reason;
use doris_api::{Component, names};

use super::{Learned, OWNERS, Why, is_fixed};
use crate::build;
use crate::plan::config::{Class, File};
use crate::round::Round;

/// Members that stand for all of them in a sentence.
const NAMED: usize = 5;

impl Round<'_> {
    /// Tells how far each key is in force, and of what Doris does not take.
    pub(in crate::round) fn tell_of_configurations(&mut self) {
        let mut told: Vec<(ConfigKeyStatus, Weight)> = Vec::new();
        for owner in OWNERS {
            let Some(choice) = self.memory.config.choices.get(&owner) else { continue };
            let (Some(file), Some((rendered, image))) = (choice.files.get(&choice.name), self.render(owner)) else { continue };
            let nothing = Learned::default();
            let learned = self.memory.config.learned.get(&owner).map_or(&nothing, Box::as_ref);
            let asked_for = rendered.keys.iter().filter(|(key, _)| self.is_told(owner, key));
            let scene = Scene { round: self, owner, file, learned, image: &image };
            told.extend(asked_for.map(|(key, value)| scene.status(key, value, choice.ask.contains(key))));
            let removed = file.notes.iter().filter_map(|(key, note)| Some((key, note.removed?, note.default.as_deref())));
            told.extend(removed.filter_map(|(key, at, default)| scene.removed(key, at, default)));
        }
        for (status, weight) in &told {
            let ConfigKeyStatus { component, key, members, message, .. } = status;
            let whom = if members.is_empty() { String::new() } else { format!("{} ", some(members)) };
            let sentence = format!("{component}.config.{key}: {whom}{}", message.as_deref().unwrap_or_default());
            match weight {
                Weight::Nothing => {}
                Weight::Wait => self.wait(reason::CONFIGURING, sentence),
                Weight::Stall => self.stall(reason::CONFIG_REFUSED, sentence),
            }
        }
        self.facts.config = self.facts.is_fresh.then(|| told.into_iter().map(|(status, _)| status).collect());
    }

    fn is_told(&self, owner: Component, key: &str) -> bool {
        let is_users = self.cluster.spec.member(owner).is_some_and(|member| member.config.contains_key(key));
        is_users || key == build::PREFER_COMPUTE_NODES
    }
}

/// What a key means for the cluster's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// It is in force, or something else tells of it.
    Nothing,
    /// It ends by itself.
    Wait,
    /// A person has to act.
    Stall,
}

/// One component.
struct Scene<'a, 'b> {
    round: &'a Round<'b>,
    owner: Component,
    file: &'a File,
    learned: &'a Learned,
    image: &'a str,
}

impl Scene<'_, '_> {
    fn told(&self, key: &str, state: ConfigState, members: Vec<String>, message: Option<String>) -> ConfigKeyStatus {
        ConfigKeyStatus { component: self.owner.name().to_owned(), key: key.to_owned(), state, members, message }
    }

    fn status(&self, key: &str, value: &str, is_asked: bool) -> (ConfigKeyStatus, Weight) {
        let class = if is_fixed(key) || self.owner == Component::Broker { Class::Restart } else { self.learned.class(key, self.image) };
        if class == Class::Unknown {
            let message = "Doris has no such key, so it stands in no file and restarts nothing; correct it or take it out".to_owned();
            return (self.told(key, ConfigState::Refused, Vec::new(), Some(message)), Weight::Stall);
        }
        if let Some(refusal) = self.learned.refused.get(key).filter(|refusal| refusal.value == value) {
            let message = format!("Doris does not take {value:?}, so it stands in no file: {}", refusal.reason);
            return (self.told(key, ConfigState::Refused, Vec::new(), Some(message)), Weight::Stall);
        }
        if is_asked {
            let members = self.round.readers(self.owner).map(|(_, pod)| pod.name.clone()).collect();
            let message = "get it once a running process has taken it".to_owned();
            // The choice told of it.
            return (self.told(key, ConfigState::Live, members, Some(message)), Weight::Nothing);
        }
        let waiting = self.waiting(key);
        if class == Class::Restart && !waiting.is_empty() {
            let message = "take it over when they are restarted".to_owned();
            // The roll tells who waits for what.
            return (self.told(key, ConfigState::WaitsForRestart, waiting, Some(message)), Weight::Nothing);
        }
        self.differing(key)
    }

    /// Pods that were made with another text of this key.
    fn waiting(&self, key: &str) -> Vec<String> {
        let prefix = names::config(&self.round.key.name, self.owner, "");
        let wanted = self.file.contents.get(key);
        let has_another = |configs: &[String]| {
            let name = configs.iter().find(|name| name.starts_with(&prefix));
            let file = name.and_then(|name| self.round.memory.config.files.get(name));
            file.is_some_and(|file| file.contents.get(key) != wanted)
        };
        self.round.readers(self.owner).filter(|(_, pod)| has_another(&pod.configs)).map(|(_, pod)| pod.name.clone()).collect()
    }

    /// Processes that were told and have another value.
    fn differing(&self, key: &str) -> (ConfigKeyStatus, Weight) {
        let mut whys: BTreeMap<&Why, Vec<String>> = BTreeMap::new();
        for (_, pod) in self.round.readers(self.owner) {
            let checked = self.learned.checked.get(&pod.name).filter(|checked| checked.run == super::run_of(pod));
            if let Some(why) = checked.and_then(|checked| checked.differing.get(key)) {
                whys.entry(why).or_default().push(pod.name.clone());
            }
        }
        // Refusals come first.
        let (state, weight) = match whys.keys().next() {
            None => (ConfigState::Live, Weight::Nothing),
            Some(Why::Refused(_)) => (ConfigState::Refused, Weight::Stall),
            Some(Why::AtStart) => (ConfigState::WaitsForRestart, Weight::Wait),
            Some(Why::Operation | Why::Silent) => (ConfigState::Live, Weight::Wait),
        };
        let members = whys.values().flatten().cloned().collect();
        let message = whys.keys().map(|why| why.sentence()).collect::<Vec<_>>().join("; ");
        (self.told(key, state, members, Some(message).filter(|message| !message.is_empty())), weight)
    }

    /// A key that left the file while processes ran that have it.
    fn removed(&self, key: &str, at: jiff::Timestamp, default: Option<&str>) -> Option<(ConfigKeyStatus, Weight)> {
        if self.learned.cleared.get(key) == Some(&at) {
            return None;
        }
        if default.is_some() {
            return Some(self.differing(key)).filter(|(status, _)| !status.members.is_empty());
        }
        let members = self.round.older_than(self.owner, at);
        let message = "keep the value of this key, which left the configuration, until they are restarted: its default is not known";
        let status = self.told(key, ConfigState::WaitsForRestart, members, Some(message.to_owned()));
        (!status.members.is_empty()).then_some((status, Weight::Nothing))
    }
}

fn some(members: &[String]) -> String {
    let more = members.len().saturating_sub(NAMED);
    let named = members.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}
