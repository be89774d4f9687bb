//! Finding objects by labels, and selectors by the labels they ask for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::selector::Selector;

type Pair = (String, String);

/// Names of objects by namespace and label.
#[derive(Default)]
pub(crate) struct LabelIndex {
    names: HashMap<String, HashMap<Pair, BTreeSet<String>>>,
}

impl LabelIndex {
    pub(crate) fn add<'a>(&mut self, namespace: &str, name: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        let by_pair = self.names.entry(namespace.to_owned()).or_default();
        for (key, value) in labels {
            by_pair.entry((key.to_owned(), value.to_owned())).or_default().insert(name.to_owned());
        }
    }

    pub(crate) fn remove<'a>(&mut self, namespace: &str, name: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        let Some(by_pair) = self.names.get_mut(namespace) else { return };
        for (key, value) in labels {
            let pair = (key.to_owned(), value.to_owned());
            if let Some(set) = by_pair.get_mut(&pair) {
                set.remove(name);
                if set.is_empty() {
                    by_pair.remove(&pair);
                }
            }
        }
    }

    /// The smallest set of names that carry one of the pairs; `None` when no pair is asked for.
    pub(crate) fn rarest(&self, namespace: &str, pairs: &[Pair]) -> Option<BTreeSet<String>> {
        let by_pair = self.names.get(namespace);
        let sets = pairs.iter().map(|pair| by_pair.and_then(|by_pair| by_pair.get(pair)));
        let smallest = sets.min_by_key(|set| set.map_or(0, BTreeSet::len))?;
        Some(smallest.cloned().unwrap_or_default())
    }
}

/// Names of objects with selectors, filed under one pair that the selector asks for: the one that
/// fewest others share, so that a common label such as a component does not gather them all.
#[derive(Default)]
pub(crate) struct SelectorIndex {
    by_namespace: BTreeMap<String, Selectors>,
}

#[derive(Default)]
struct Selectors {
    by_pair: HashMap<Pair, BTreeSet<String>>,
    /// Selectors without an exact pair: each labelled object is a candidate.
    general: BTreeSet<String>,
    filed: HashMap<String, Vec<Pair>>,
}

impl SelectorIndex {
    pub(crate) fn add(&mut self, namespace: &str, name: &str, selector: &Selector) {
        if selector.is_absent() {
            return;
        }
        let selectors = self.by_namespace.entry(namespace.to_owned()).or_default();
        let shared = |pair: &&Pair| selectors.by_pair.get(*pair).map_or(0, BTreeSet::len);
        match selector.pairs.iter().min_by_key(shared).cloned() {
            Some(pair) => {
                selectors.by_pair.entry(pair.clone()).or_default().insert(name.to_owned());
                selectors.filed.entry(name.to_owned()).or_default().push(pair);
            }
            None => {
                selectors.general.insert(name.to_owned());
            }
        }
    }

    pub(crate) fn remove(&mut self, namespace: &str, name: &str) {
        let Some(selectors) = self.by_namespace.get_mut(namespace) else { return };
        selectors.general.remove(name);
        for pair in selectors.filed.remove(name).unwrap_or_default() {
            if let Some(set) = selectors.by_pair.get_mut(&pair) {
                set.remove(name);
                if set.is_empty() {
                    selectors.by_pair.remove(&pair);
                }
            }
        }
        if selectors.filed.is_empty() && selectors.general.is_empty() {
            self.by_namespace.remove(namespace);
        }
    }

    pub(crate) fn candidates<'a>(&self, namespace: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeSet<String> {
        self.by_namespace.get(namespace).map(|selectors| selectors.candidates(labels)).unwrap_or_default()
    }

    pub(crate) fn candidates_everywhere<'a>(
        &self,
        labels: &(impl Iterator<Item = (&'a str, &'a str)> + Clone),
    ) -> BTreeSet<(String, String)> {
        let of = |(namespace, selectors): (&String, &Selectors)| {
            let namespace = namespace.clone();
            selectors.candidates(labels.clone()).into_iter().map(move |name| (namespace.clone(), name)).collect::<Vec<_>>()
        };
        self.by_namespace.iter().flat_map(of).collect()
    }
}

impl Selectors {
    fn candidates<'a>(&self, labels: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeSet<String> {
        let mut names = self.general.clone();
        for (key, value) in labels {
            if let Some(set) = self.by_pair.get(&(key.to_owned(), value.to_owned())) {
                names.extend(set.iter().cloned());
            }
        }
        names
    }
}
