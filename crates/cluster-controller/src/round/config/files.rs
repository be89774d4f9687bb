//! The ConfigMaps: read where nobody remembers them, chosen, and remembered as they were written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use doris_api::conditions::reason;
use doris_api::{Component, labels, names};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::{OWNERS, is_fixed};
use crate::act::children::{Configuration, Stage};
use crate::build::{self, Contents};
use crate::error::Error;
use crate::plan::config::{Choice, Class, File, Scene, choose, default_of};
use crate::round::Round;

/// For so long a StatefulSet stays as it is while a process is asked.
const PATIENCE: Duration = Duration::from_secs(30);

impl Round<'_> {
    /// Chooses the configuration of every component for this round.
    pub(in crate::round) async fn choose_configurations(&mut self) -> Result<(), Error> {
        self.memory.config.choices.clear();
        for owner in OWNERS {
            if self.cluster.spec.member(owner).is_none() {
                self.memory.config.learned.remove(&owner);
                continue;
            }
            let Some(choice) = self.choose_configuration(owner).await? else { continue };
            let (now, learned) = (self.ctx.clock.instant(), self.memory.config.learned.entry(owner).or_default());
            let since = (!choice.ask.is_empty()).then(|| learned.held_since.unwrap_or(now));
            learned.held_since = since;
            if !choice.ask.is_empty() {
                let keys = choice.ask.iter().cloned().collect::<Vec<_>>().join(", ");
                self.wait(
                    reason::CONFIGURING,
                    format!("{owner}: a running process is asked about {keys} first, and whether it takes the value; then the configuration is written"),
                );
            }
            let configuration = Configuration {
                name: choice.name.clone(),
                files: in_order(&choice)?,
                is_held: since.is_some_and(|since| now.duration_since(since) < PATIENCE),
            };
            self.configurations.insert(owner, configuration);
            self.memory.config.choices.insert(owner, choice);
        }
        let caches = &self.ctx.caches.config_maps;
        let names = caches.of(self.key);
        let chosen: BTreeSet<&String> = self.memory.config.choices.values().flat_map(|choice| choice.files.keys()).collect();
        self.memory.config.files.retain(|name, _| names.contains_key(name) || chosen.contains(name));
        Ok(())
    }

    /// What a stage wrote is what stands there now.
    pub(in crate::round) fn keep_configurations(&mut self, stage: Stage) {
        let config = &mut self.memory.config;
        for (owner, choice) in &config.choices {
            if (*owner == Component::Fe) == (stage == Stage::Frontends) {
                config.files.extend(choice.files.iter().map(|(name, file)| (name.clone(), file.clone())));
            }
        }
    }

    async fn choose_configuration(&mut self, owner: Component) -> Result<Option<Choice>, Error> {
        let prefix = names::config(&self.key.name, owner, "");
        let ours = |names: &[String]| names.iter().find(|name| name.starts_with(&prefix)).cloned();
        let set = self.ctx.caches.sets.get(self.key, &names::set(&self.key.name, owner));
        let current = set.as_ref().and_then(|set| ours(&set.configs));
        let used: BTreeSet<String> = self.readers(owner).filter_map(|(_, pod)| ours(&pod.configs)).collect();
        for name in current.iter().chain(&used) {
            self.read_file(owner, name).await?;
        }
        let set_image = set.as_ref().and_then(|set| set.image.clone());
        let choice = self.choice(owner, current.as_deref(), set_image.as_deref(), &used);
        let is_new = choice.as_ref().is_some_and(|choice| choice.ask.is_empty() && !self.memory.config.files.contains_key(&choice.name));
        if !is_new {
            return Ok(choice);
        }
        // A former revision may be the one that is wanted now.
        let unread: Vec<String> = self.ctx.caches.config_maps.of(self.key).into_keys().filter(|name| name.starts_with(&prefix)).collect();
        for name in &unread {
            self.read_file(owner, name).await?;
        }
        Ok(if unread.is_empty() { choice } else { self.choice(owner, current.as_deref(), set_image.as_deref(), &used) })
    }

    fn choice(&self, owner: Component, current: Option<&str>, set_image: Option<&str>, used: &BTreeSet<String>) -> Option<Choice> {
        let (rendered, image) = self.render(owner)?;
        let process = owner.process();
        let nothing = super::Learned::default();
        let learned = self.memory.config.learned.get(&owner).map_or(&nothing, Box::as_ref);
        let class = |key: &str| if process == doris_api::Process::Broker { Class::Restart } else { learned.class(key, &image) };
        let former = current.and_then(|name| self.memory.config.files.get(name));
        let kept = |(key, value): (&String, &String)| {
            let taken = if is_fixed(key) || process == doris_api::Process::Broker {
                Some(value.clone())
            } else if class(key) == Class::Unknown {
                None
            } else if learned.is_refused(key, value) {
                former.and_then(|file| file.contents.get(key)).cloned()
            } else {
                Some(value.clone())
            };
            taken.map(|value| (key.clone(), value))
        };
        let wanted = build::Rendered::new(process, rendered.keys.iter().filter_map(kept).collect());
        let contents: Contents = wanted.contents();
        let prefix = |hash: &str| names::config(&self.key.name, owner, hash);
        let files = self.memory.config.files.iter().filter(|(name, _)| name.starts_with(&prefix("")));
        let files = files.map(|(name, file)| (name.clone(), file.clone())).collect();
        Some(choose(&Scene {
            wanted: &contents,
            suggested: &prefix(&wanted.revision),
            fallback: &prefix(&build::full_revision(&contents)),
            current,
            files: &files,
            used,
            class: &class,
            is_proven: &|key| process == doris_api::Process::Broker || learned.proven.get(key).map(String::as_str) == wanted.get(key),
            default_of: &|key| {
                let known = default_of(process, &self.cluster.spec.version, key).map(str::to_owned);
                learned.defaults.get(key).cloned().or(known)
            },
            may_ask: self.readers(owner).any(|(_, pod)| pod.ready && !pod.deleting),
            image_changes: set_image.is_some_and(|set_image| set_image != image),
            is_variable: &is_fixed,
            is_in_name: &|key| !build::is_surely_live(process, key),
            now: self.ctx.clock.now(),
        }))
    }

    /// Reads a revision that nobody remembers, if it is there.
    async fn read_file(&mut self, owner: Component, name: &str) -> Result<(), Error> {
        if self.memory.config.files.contains_key(name) || self.ctx.caches.config_maps.get(self.key, name).is_none() {
            return Ok(());
        }
        let api: Api<ConfigMap> = Api::namespaced(self.ctx.client.clone(), &self.key.namespace);
        let read = api.get_opt(name).await.map_err(|source| Error::Read { what: "a configuration in use", source })?;
        let Some(config_map) = read else { return Ok(()) };
        let text = config_map.data.as_ref().and_then(|data| data.get(owner.process().config_file())).cloned().unwrap_or_default();
        let notes = config_map.metadata.annotations.as_ref().and_then(|annotations| annotations.get(labels::CONFIG_NOTES));
        // Notes that somebody else wrote into say nothing.
        let notes = notes.and_then(|notes| serde_json::from_str(notes).ok()).unwrap_or_default();
        self.memory.config.files.insert(name.to_owned(), Arc::new(File { contents: build::parse_file(&text), notes }));
        Ok(())
    }
}

/// Texts and notes, the revision of new pods last.
fn in_order(choice: &Choice) -> Result<Vec<(String, String, Option<String>)>, Error> {
    let mut names: Vec<&String> = choice.files.keys().collect();
    names.sort_by_key(|name| **name == choice.name);
    let file = |name: &String| {
        let file = &choice.files[name];
        let notes = if file.notes.is_empty() {
            None
        } else {
            Some(serde_json::to_string(&file.notes).map_err(|error| Error::Build(format!("notes are no JSON: {error}")))?)
        };
        Ok((name.clone(), build::file_text(&file.contents), notes))
    };
    names.into_iter().map(file).collect()
}
