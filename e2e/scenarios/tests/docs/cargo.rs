//! What the documentation asks of cargo and just: programs, tests, recipes and options that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use scenarios::delivery::root;
use serde_json::Value;

/// What can be named, and what our programs say of their options.
pub struct Known {
    targets: BTreeMap<&'static str, BTreeSet<String>>,
    recipes: BTreeSet<String>,
    helps: BTreeMap<&'static str, String>,
}

impl Known {
    /// Reads the workspace's manifest, the justfile, and the help of the programs that are built with this test.
    pub fn read() -> Self {
        let call = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
        let output = Command::new(env!("CARGO")).args(call).current_dir(root()).output().expect("cargo");
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata");
        let mut targets: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
        let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
        for package in metadata["packages"].as_array().into_iter().flatten() {
            targets.entry("-p").or_default().insert(name(package));
            for target in package["targets"].as_array().into_iter().flatten() {
                for kind in target["kind"].as_array().into_iter().flatten() {
                    let option = if kind == "bin" {
                        "--bin"
                    } else if kind == "test" {
                        "--test"
                    } else {
                        continue;
                    };
                    targets.entry(option).or_default().insert(name(target));
                }
            }
        }
        let justfile = std::fs::read_to_string(root().join("justfile")).expect("a justfile");
        let heads = justfile
            .lines()
            .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
            .filter_map(|line| line.split_once(':'));
        let recipes = heads.filter_map(|(head, _)| head.split_whitespace().next()).map(str::to_owned).collect();
        let programs: [(&str, &str, &[&str]); 5] = [
            ("demo", env!("CARGO_BIN_EXE_demo"), &[]),
            ("kube-sim", env!("CARGO_BIN_EXE_kube-sim"), &[]),
            ("scale", env!("CARGO_BIN_EXE_scale"), &[]),
            ("control-plane", env!("CARGO_BIN_EXE_control-plane"), &["up"]),
            ("cluster-controller", env!("CARGO_BIN_EXE_demo"), &["cluster-controller"]),
        ];
        let helps = programs.into_iter().map(|(name, path, before)| (name, help(path, before)));
        Self { targets, recipes, helps: helps.collect() }
    }

    /// What is wrong with a call.
    pub fn complaint(&self, call: &[String]) -> Option<String> {
        let words: Vec<&str> = call.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["just"] => None,
            ["just", recipe, ..] => (!self.recipes.contains(*recipe)).then(|| format!("there is no recipe {recipe}")),
            ["cargo", rest @ ..] => self.of_cargo(rest),
            other => Some(format!("{other:?} is not understood")),
        }
    }

    fn of_cargo(&self, words: &[&str]) -> Option<String> {
        let (command, rest) = words.split_first()?;
        if !["run", "test", "build", "demo", "metadata", "clippy", "fmt", "vendor"].contains(command) {
            return Some(format!("cargo {command} is not understood"));
        }
        let (ours, theirs) = match rest.iter().position(|word| *word == "--") {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &[] as &[&str]),
        };
        for pair in ours.windows(2) {
            if let Some(known) = self.targets.get(pair[0]).filter(|known| !known.contains(pair[1])) {
                return Some(format!("{} {} does not exist; there are {known:?}", pair[0], pair[1]));
            }
        }
        let program = if *command == "demo" { Some("demo") } else { ours.windows(2).find(|pair| pair[0] == "--bin").map(|pair| pair[1]) };
        if *command == "run" && program.is_none() {
            return Some("cargo run without --bin: there are several".to_owned());
        }
        let help = self.helps.get(program?)?;
        // What stands behind another "--" is somebody else's.
        let options = theirs.iter().take_while(|word| **word != "--").filter(|word| word.starts_with("--"));
        let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
        options
            .map(|word| name(word))
            .find(|option| !help.contains(option.as_str()))
            .map(|option| format!("{program:?} has no option {option}"))
    }
}

fn help(program: &str, before: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(before).arg("--help").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    // One of them ends when its standard input does.
    let _held = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_does_not_exist_is_complained_about() {
    let known = Known::read();
    let call = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for good in ["cargo demo -- --once", "cargo test --test delivery", "cargo run --bin kube-sim -- --nodes 3", "just check"] {
        assert_eq!(known.complaint(&call(good)), None, "{good}");
    }
    for bad in
        ["cargo demo -- --twice", "cargo test --test nothing", "cargo run --bin kube-sum", "cargo run", "cargo publish", "just publish"]
    {
        assert!(known.complaint(&call(bad)).is_some(), "{bad}");
    }
}
