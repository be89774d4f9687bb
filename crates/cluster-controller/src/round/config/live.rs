//! Running processes: asked about keys, told values, looked at again when something may have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use controller_kit::events::Severity;
use doris_api::Component;
use doris_api::conditions::reason;
use doris_safety::Switches;
use futures::StreamExt as _;
use jiff::Timestamp;

use super::process::{Setting, Target};
use super::{Checked, Demand, FILE_LAG, KeyFacts, OWNERS, PERIOD, RETRY, Refusal, Why, is_fixed};
use crate::observe::doris::Doris;
use crate::plan::config::{Class, fits, same};
use crate::round::Round;

/// For one process, with everything that it is told.
const PROCESS_LIMIT: Duration = Duration::from_secs(30);
/// Processes at the same time.
const AT_ONCE: usize = 16;

/// How a process answered.
struct Answer {
    target: Target,
    settings: Result<BTreeMap<String, Setting>, String>,
    differing: BTreeMap<String, Why>,
    set: Vec<(String, String, String)>,
}

impl Round<'_> {
    /// Asks about what is to be written, and tells every process what it does not have yet. A process that is as it
    /// should be is left alone until it starts anew, another frontend leads, or some minutes have passed.
    pub(in crate::round) async fn configure(&mut self, doris: &Doris) {
        for owner in OWNERS.into_iter().filter(|owner| *owner != Component::Broker) {
            let demand = self.demand(owner);
            let ask = self.memory.config.choices.get(&owner).map(|choice| choice.ask.clone()).unwrap_or_default();
            if demand.keys.is_empty() && ask.is_empty() {
                continue;
            }
            let targets = self.targets_of(owner, doris);
            let due: Vec<Target> = targets.iter().filter(|target| self.is_due(owner, target, &demand, doris)).cloned().collect();
            if !ask.is_empty() {
                self.try_out(owner, &targets, &ask).await;
                self.look_soon();
            }
            if !due.is_empty() {
                self.look_at(owner, due, &demand, doris).await;
            }
            self.clear_removed(owner, &targets);
        }
    }

    /// What the processes of a component are to have: what the user names, and what left the file.
    pub(super) fn demand(&self, owner: Component) -> Demand {
        let mut demand = Demand::default();
        let Some((choice, (rendered, image))) = self.memory.config.choices.get(&owner).zip(self.render(owner)) else { return demand };
        let Some(file) = choice.files.get(&choice.name) else { return demand };
        let learned = self.memory.config.learned.get(&owner);
        for (key, value) in rendered.keys.iter().filter(|(key, _)| !is_fixed(key)) {
            if !self.is_managed(owner, key) && !file.notes.contains_key(key) {
                continue;
            }
            demand.keys.insert(key.clone());
            let is_live = learned.is_none_or(|learned| matches!(learned.class(key, &image), Class::Live | Class::NotAsked));
            if is_live && file.contents.get(key) == Some(value) {
                demand.wanted.insert(key.clone(), value.clone());
            }
        }
        for (key, note) in &file.notes {
            let Some(at) = note.removed else { continue };
            if learned.and_then(|learned| learned.cleared.get(key)) == Some(&at) {
                continue;
            }
            demand.keys.insert(key.clone());
            demand.removed.insert(key.clone(), at);
            if let Some(default) = &note.default {
                demand.wanted.insert(key.clone(), default.clone());
            }
        }
        demand
    }

    fn is_due(&self, owner: Component, target: &Target, demand: &Demand, doris: &Doris) -> bool {
        let Some(checked) = self.memory.config.learned.get(&owner).and_then(|learned| learned.checked.get(&target.pod)) else {
            return true;
        };
        let age = self.ctx.clock.instant().duration_since(checked.at);
        let period = if checked.differing.is_empty() && checked.answered { PERIOD } else { RETRY };
        checked.run != target.run
            || checked.demand != demand.hash()
            || (owner == Component::Fe && checked.master.as_deref() != doris.master())
            || age >= period
    }

    /// Asks one process what the keys are, and whether it takes their values: what it refuses is never written.
    async fn try_out(&mut self, owner: Component, targets: &[Target], ask: &BTreeSet<String>) {
        let Some(target) = targets.iter().find(|target| target.is_present).or(targets.first()) else { return };
        let Some((rendered, image)) = self.render(owner) else { return };
        let Ok(before) = within(self.settings_of(target, ask)).await else { return };
        self.learn(owner, target, &before, ask, &image);
        let file = self.memory.config.choices.get(&owner).and_then(|choice| choice.files.get(&choice.name)).cloned().unwrap_or_default();
        let mut told = BTreeSet::new();
        for key in ask {
            let (Some(value), Some(setting)) = (rendered.get(key), before.get(key)) else { continue };
            let refused = if !fits(&setting.kind, value) {
                Some(format!("{value:?} is no value of type {}", setting.kind))
            } else if setting.mutable && !same(&setting.kind, value, &setting.value) {
                match self.set(target, key, value).await {
                    Ok(()) => {
                        told.insert(key.clone());
                        continue;
                    }
                    Err(Some(refusal)) => Some(format!("{} says: {refusal}", target.pod)),
                    Err(None) => continue,
                }
            } else {
                None
            };
            self.take_note(owner, key, value, refused);
        }
        if told.is_empty() {
            return;
        }
        let Ok(after) = within(self.settings_of(target, &told)).await else { return };
        for key in &told {
            let (Some(value), Some(setting), Some(former)) = (rendered.get(key), after.get(key), before.get(key)) else { continue };
            let is_taken = same(&setting.kind, value, &setting.value);
            if is_taken && !file.contents.contains_key(key) {
                self.memory.config.learned.entry(owner).or_default().defaults.insert(key.clone(), former.value.clone());
            }
            let refused = (!is_taken).then(|| format!("{} takes it and has {:?} all the same", target.pod, setting.value));
            self.take_note(owner, key, value, refused);
        }
    }

    fn take_note(&mut self, owner: Component, key: &str, value: &str, refused: Option<String>) {
        let learned = self.memory.config.learned.entry(owner).or_default();
        match refused {
            None => {
                learned.refused.remove(key);
                learned.proven.insert(key.to_owned(), value.to_owned());
            }
            Some(reason) => {
                learned.refused.insert(key.to_owned(), Refusal { value: value.to_owned(), reason });
            }
        }
    }

    fn learn(&mut self, owner: Component, target: &Target, settings: &BTreeMap<String, Setting>, asked: &BTreeSet<String>, image: &str) {
        let learned = self.memory.config.learned.entry(owner).or_default();
        if target.is_present {
            if learned.image.as_deref() != Some(image) {
                // Another build has a word of its own.
                learned.keys.clear();
                learned.refused.clear();
            }
            learned.image = Some(image.to_owned());
        } else if learned.image.is_some() {
            return;
        }
        for key in asked {
            let facts = settings.get(key).map(|setting| KeyFacts { mutable: setting.mutable, kind: setting.kind.clone() });
            learned.keys.insert(key.clone(), facts);
        }
    }

    /// Looks at processes and tells them what they do not have.
    async fn look_at(&mut self, owner: Component, due: Vec<Target>, demand: &Demand, doris: &Doris) {
        let image = self.render(owner).map(|(_, image)| image).unwrap_or_default();
        let answers: Vec<Answer> = {
            let this = &*self;
            let asked = due.into_iter().map(|target| this.bring_up_to_date(target, demand));
            futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await
        };
        for answer in &answers {
            if let Ok(settings) = &answer.settings {
                self.learn(owner, &answer.target, settings, &demand.keys, &image);
                self.learn_default(owner, &answer.target, settings, demand);
            }
            self.tell_drift(owner, answer, demand).await;
        }
        let (at, at_time) = self.now();
        // What was learnt just now tells which keys are set at all.
        let known = self.demand(owner);
        let pods: BTreeSet<String> = self.readers(owner).map(|(_, pod)| pod.name.clone()).collect();
        let learned = self.memory.config.learned.entry(owner).or_default();
        learned.checked.retain(|pod, _| pods.contains(pod));
        for mut answer in answers {
            answer.differing.retain(|key, _| known.wanted.contains_key(key));
            let checked = Checked {
                run: answer.target.run,
                demand: known.hash(),
                master: doris.master().map(str::to_owned),
                at,
                at_time,
                differing: answer.differing,
                answered: answer.settings.is_ok(),
            };
            learned.checked.insert(answer.target.pod, checked);
        }
    }

    async fn bring_up_to_date(&self, target: Target, demand: &Demand) -> Answer {
        let mut answer = Answer { settings: Err(String::new()), target, differing: BTreeMap::new(), set: Vec::new() };
        answer.settings = within(self.settings_of(&answer.target, &demand.keys)).await;
        let Ok(before) = answer.settings.clone() else { return answer };
        let mut refusals = BTreeMap::new();
        let is_under_work = self.under_way().is_some();
        for (key, value) in &demand.wanted {
            // What a build does not have waits for the next one.
            let Some(setting) = before.get(key).filter(|setting| setting.mutable) else { continue };
            if same(&setting.kind, value, &setting.value) {
                continue;
            }
            if is_held_by_operation(is_under_work, key, value) {
                refusals.insert(key, Why::Operation);
                continue;
            }
            match self.set(&answer.target, key, value).await {
                Ok(()) => answer.set.push((key.clone(), setting.value.clone(), value.clone())),
                Err(why) => drop(refusals.insert(key, why.map_or(Why::Silent, Why::Refused))),
            }
        }
        if !answer.set.is_empty() || !refusals.is_empty() {
            answer.settings = within(self.settings_of(&answer.target, &demand.keys)).await;
        }
        for (key, value) in &demand.wanted {
            let shown = answer.settings.as_ref().ok().and_then(|settings| settings.get(key));
            if shown.is_some_and(|shown| same(&shown.kind, value, &shown.value)) {
                continue;
            }
            let why = match (refusals.get(key), before.get(key), shown) {
                (Some(why), _, _) => why.clone(),
                (None, None, _) => Why::AtStart,
                (None, Some(setting), _) if !setting.mutable => Why::AtStart,
                (None, Some(_), Some(shown)) => Why::Refused(format!("it took the value and has {:?} all the same", shown.value)),
                (None, Some(_), None) => Why::Silent,
            };
            answer.differing.insert(key.clone(), why);
        }
        answer
    }

    /// A process that is younger than the removal of a key has its default.
    fn learn_default(&mut self, owner: Component, target: &Target, settings: &BTreeMap<String, Setting>, demand: &Demand) {
        let Some(choice) = self.memory.config.choices.get_mut(&owner) else { return };
        for (key, removed) in demand.removed.iter().filter(|(key, _)| !demand.wanted.contains_key(*key)) {
            let is_younger = target.run.2.is_some_and(|started| started > *removed + FILE_LAG);
            if let Some(setting) = settings.get(key).filter(|_| is_younger) {
                // As if it stood there: the next choice writes it down.
                for file in [choice.files.get_mut(&choice.name), self.memory.config.files.get_mut(&choice.name)].into_iter().flatten() {
                    Arc::make_mut(file).notes.entry(key.clone()).or_default().default = Some(setting.value.clone());
                }
            }
        }
    }

    /// A value that was as it should be, in the same run, and is another one now.
    async fn tell_drift(&self, owner: Component, answer: &Answer, demand: &Demand) {
        let known = self.memory.config.learned.get(&owner).and_then(|learned| learned.checked.get(&answer.target.pod));
        let was_well = known.is_some_and(|checked| {
            checked.run == answer.target.run && checked.demand == demand.hash() && checked.answered && checked.differing.is_empty()
        });
        if !was_well || answer.set.is_empty() {
            return;
        }
        let changes: Vec<String> =
            answer.set.iter().map(|(key, found, wanted)| format!("{key} was {found:?}, set back to {wanted:?}")).collect();
        let note = format!("{}: changed by hand while it ran: {}", answer.target.pod, changes.join("; "));
        tracing::warn!(cluster = self.key.name, note, "a setting had drifted");
        self.announce(Severity::Warning, reason::CONFIG_DRIFT, "Reconcile", note).await;
    }

    /// Removed keys that every process was seen without, or that no process is old enough to have.
    fn clear_removed(&mut self, owner: Component, targets: &[Target]) {
        let demand = self.demand(owner);
        let pods = self.readers(owner).count();
        let Some(learned) = self.memory.config.learned.get_mut(&owner) else { return };
        for (key, removed) in &demand.removed {
            let is_clear = |target: &Target| {
                let is_younger = target.run.2.is_some_and(|started| started > *removed + FILE_LAG);
                let looked_at = learned.checked.get(&target.pod).filter(|checked| checked.run == target.run && checked.answered);
                let was_seen =
                    looked_at.is_some_and(|checked| checked.at_time > *removed + FILE_LAG && !checked.differing.contains_key(key));
                is_younger || was_seen && demand.wanted.contains_key(key)
            };
            if targets.len() == pods && targets.iter().all(is_clear) {
                learned.cleared.insert(key.clone(), *removed);
            }
        }
    }

    /// Pods whose process is older than the removal of a key.
    pub(super) fn older_than(&self, owner: Component, removed: Timestamp) -> Vec<String> {
        let is_older = |pod: &crate::view::MemberPod| pod.started_at.is_none_or(|started| started <= removed + FILE_LAG);
        self.readers(owner).filter(|(_, pod)| is_older(pod)).map(|(_, pod)| pod.name.clone()).collect()
    }
}

/// An operation has set it, and takes it back at its end: meanwhile nobody else switches it off.
fn is_held_by_operation(is_under_work: bool, key: &str, value: &str) -> bool {
    is_under_work && Switches::ALL.contains(&key) && !same("boolean", "true", value)
}

async fn within<T>(asking: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(PROCESS_LIMIT, asking).await.unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
}
