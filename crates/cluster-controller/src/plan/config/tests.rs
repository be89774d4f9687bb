//! Choices in a table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Choice, Class, File, Note, Notes, Scene, choose};
use crate::build::Contents;

fn contents(text: &str) -> Contents {
    text.split_whitespace().filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn text(file: &File) -> String {
    file.contents.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// `l…` is live, `r…` needs a restart, `u…` is unknown, `n…` was not asked.
fn class(key: &str) -> Class {
    match key.as_bytes().first() {
        Some(b'l') => Class::Live,
        Some(b'u') => Class::Unknown,
        Some(b'n') => Class::NotAsked,
        _ => Class::Restart,
    }
}

struct World {
    files: BTreeMap<String, Arc<File>>,
    current: Option<&'static str>,
    used: Vec<&'static str>,
    proven: bool,
    may_ask: bool,
    image_changes: bool,
}

impl World {
    fn new(files: &[(&str, &str)], current: &'static str) -> Self {
        let file = |text: &str| Arc::new(File { contents: contents(text), notes: Notes::new() });
        Self {
            files: files.iter().map(|(name, text)| ((*name).to_owned(), file(text))).collect(),
            current: Some(current),
            used: vec![current],
            proven: true,
            may_ask: true,
            image_changes: false,
        }
    }

    fn choose(&self, wanted: &str) -> Choice {
        let wanted = contents(wanted);
        let used: BTreeSet<String> = self.used.iter().map(|&name| name.to_owned()).collect();
        choose(&Scene {
            wanted: &wanted,
            suggested: "new",
            fallback: "full",
            current: self.current,
            files: &self.files,
            used: &used,
            class: &class,
            is_proven: &|_| self.proven,
            default_of: &|key| (key == "l1").then(|| "default".to_owned()),
            may_ask: self.may_ask,
            image_changes: self.image_changes,
            is_variable: &|key| key.bytes().all(|byte| byte.is_ascii_uppercase()),
            is_in_name: &|key| key.starts_with('r'),
            now: Timestamp::UNIX_EPOCH,
        })
    }

    /// The name, and the files by name.
    fn told(&self, wanted: &str) -> (String, Vec<(String, String)>) {
        let choice = self.choose(wanted);
        assert!(choice.ask.is_empty(), "{:?}", choice.ask);
        (choice.name, choice.files.iter().map(|(name, file)| (name.clone(), text(file))).collect())
    }
}

fn expected(name: &str, files: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
    (name.to_owned(), files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
}

#[test]
fn a_live_key_is_changed_in_the_revision_in_use() {
    let world = World::new(&[("a", "r1=1 l1=1")], "a");
    assert_eq!(world.told("r1=1 l1=2 l2=5"), expected("a", &[("a", "r1=1 l1=2 l2=5")]));
}

#[test]
fn a_restart_only_key_makes_a_new_revision_and_the_old_one_gets_the_live_keys_alone() {
    let world = World::new(&[("a", "r1=1 l1=1")], "a");
    assert_eq!(world.told("r1=2 l1=2"), expected("new", &[("a", "r1=1 l1=2"), ("new", "r1=2 l1=2")]));
}

#[test]
fn revisions_in_the_middle_of_a_roll_are_both_kept_up_to_date() {
    let mut world = World::new(&[("a", "r1=1 l1=1"), ("b", "r1=2 l1=1")], "b");
    world.used = vec!["a", "b"];
    assert_eq!(world.told("r1=2 l1=1"), expected("b", &[("a", "r1=1 l1=1"), ("b", "r1=2 l1=1")]));
    assert_eq!(world.told("r1=2 l1=3 l2=4"), expected("b", &[("a", "r1=1 l1=3 l2=4"), ("b", "r1=2 l1=3 l2=4")]));
    // The live keys go from both.
    assert_eq!(world.told("r1=2"), expected("b", &[("a", "r1=1"), ("b", "r1=2")]));
}

#[test]
fn who_goes_back_gets_the_former_revision() {
    let mut world = World::new(&[("a", "r1=1 l1=1"), ("b", "r1=2 l1=3")], "b");
    world.used = vec!["a", "b"];
    assert_eq!(world.told("r1=1 l1=3"), expected("a", &[("a", "r1=1 l1=3"), ("b", "r1=2 l1=3")]));
}

#[test]
fn what_was_not_asked_or_tried_is_not_written() {
    let mut world = World::new(&[("a", "r1=1 l1=1")], "a");
    let choice = world.choose("r1=1 n1=5");
    assert_eq!((choice.name.as_str(), choice.ask), ("a", ["n1".to_owned()].into()));
    assert_eq!(text(&choice.files["a"]), "r1=1 l1=1");
    world.proven = false;
    assert_eq!(world.choose("r1=1 l1=2").ask, ["l1".to_owned()].into(), "its value was not tried");
    assert_eq!(world.choose("r1=2 l1=1").ask, ["r1".to_owned()].into(), "its value was not looked at");
    assert!(world.choose("r1=1").ask.is_empty(), "a removal has no value");
    assert!(world.choose("r1=1 l1=1 JAVA=2").ask.is_empty(), "the scripts' variables are nothing to Doris");
}

#[test]
fn when_nobody_works_what_is_not_known_takes_a_restart() {
    let mut world = World::new(&[("a", "r1=1")], "a");
    (world.may_ask, world.proven) = (false, false);
    assert_eq!(world.told("r1=1 n1=5"), expected("new", &[("a", "r1=1"), ("new", "r1=1 n1=5")]));
    assert_eq!(world.told("r1=1 l1=5"), expected("a", &[("a", "r1=1 l1=5")]));
}

#[test]
fn a_new_image_is_not_bound_by_what_the_former_one_says() {
    let mut world = World::new(&[("a", "r1=1")], "a");
    (world.image_changes, world.proven) = (true, false);
    assert_eq!(world.told("r1=1 n1=5 u1=2 l1=3"), expected("new", &[("a", "r1=1"), ("new", "r1=1 n1=5 u1=2 l1=3")]));
    assert_eq!(world.told("r1=1"), expected("a", &[("a", "r1=1")]));
}

#[test]
fn the_first_revision_is_named_by_what_stands_in_it() {
    let mut world = World::new(&[], "gone");
    assert_eq!(world.told("r1=1 l1=2"), expected("new", &[("new", "r1=1 l1=2")]));
    world.current = None;
    assert_eq!(world.told("r1=1 l1=2"), expected("new", &[("new", "r1=1 l1=2")]));
    let world = World { current: None, ..World::new(&[("a", "r1=1 l1=2")], "a") };
    assert_eq!(world.told("r1=1 l1=2"), expected("a", &[("a", "r1=1 l1=2")]), "the set was deleted by hand");
}

#[test]
fn a_revision_that_somebody_wrote_into_is_put_right_under_its_name() {
    let world = World::new(&[("new", "r1=defaced")], "new");
    assert_eq!(world.told("r1=1"), expected("new", &[("new", "r1=1")]));
}

#[test]
fn a_name_that_another_revision_has_is_not_taken() {
    // `JAVA` is not in the name, so both would be called the same.
    let world = World::new(&[("new", "r1=1 JAVA=1")], "new");
    assert_eq!(world.told("r1=1 JAVA=2"), expected("full", &[("new", "r1=1 JAVA=1"), ("full", "r1=1 JAVA=2")]).sorted());
}

trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for (String, Vec<(String, String)>) {
    fn sorted(mut self) -> Self {
        self.1.sort();
        self
    }
}

#[test]
fn a_removed_key_is_noted_with_its_default_until_it_comes_back() {
    let mut world = World::new(&[("a", "r1=1 l1=1 l2=1")], "a");
    let choice = world.choose("r1=1");
    let removed = |default: Option<&str>| Note { default: default.map(str::to_owned), removed: Some(Timestamp::UNIX_EPOCH) };
    assert_eq!(choice.files["a"].notes, [("l1".to_owned(), removed(Some("default"))), ("l2".to_owned(), removed(None))].into());
    world.files = choice.files;
    let again = world.choose("r1=1 l2=7");
    assert_eq!(again.files["a"].notes["l2"], Note::default());
    assert_eq!(again.files["a"].notes["l1"], removed(Some("default")), "it waits for its processes");
    // A restart-only change takes the notes along, and a controller that dies after the first of two files finds them.
    world.files = again.files.clone();
    let both = world.choose("r1=2");
    world.files.insert("a".to_owned(), both.files["a"].clone());
    assert_eq!(world.choose("r1=2").files["new"].notes, both.files["new"].notes);
    assert!(both.files["new"].notes["l2"].removed.is_some());
    world.files = again.files;
    assert!(world.choose("r1=2 l2=7").files["new"].notes.contains_key("l1"));
}

#[test]
fn a_key_that_doris_does_not_have_leaves_without_a_trace() {
    let world = World::new(&[("a", "r1=1 u1=1")], "a");
    let choice = world.choose("r1=1");
    assert_eq!(choice.name, "a");
    assert_eq!(*choice.files["a"], File { contents: contents("r1=1"), notes: Notes::new() });
}
