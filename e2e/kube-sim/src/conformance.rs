//! Recorded conversations with a real API server, replayed against any server.
//!
//! A case is a list of steps; what a real server answered stands beside it. A step's HTTP status, the reason and details of a refusal and
//! every field of a success must agree. Texts of refusals and warnings should: they are counted.

mod client;
mod compare;
mod normalise;
mod step;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use client::Server;
use compare::{differences, split};
pub use normalise::normalise;
use step::Run;

/// Why the cases could not be read or run.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// A file is no JSON.
    #[error("{path}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A request failed.
    #[error("{0}")]
    Request(#[from] reqwest::Error),
    /// A case is not written as it should be.
    #[error("{0}")]
    Case(String),
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct Case {
    /// `group/name`.
    pub name: String,
    /// What is done.
    pub steps: Vec<Value>,
    /// What a real server answered.
    pub expected: Vec<Value>,
}

/// What came of one case.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What must agree and does not.
    pub problems: Vec<String>,
    /// Texts that differ.
    pub texts: Vec<String>,
    /// Texts that are equal.
    pub equal: usize,
    /// Texts in all.
    pub compared: usize,
}

/// The project's cases.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

/// Reads the cases whose name begins with one of `only`, or all of them.
pub fn load(directory: &Path, only: &[String]) -> Result<Vec<Case>, Trouble> {
    let mut cases = Vec::new();
    for group in entries(&directory.join("cases"))? {
        for file in entries(&group)? {
            let (group, name) = (last_part(&group), last_part(&file));
            let full = format!("{group}/{name}");
            if only.is_empty() || only.iter().any(|prefix| full.starts_with(prefix)) {
                let expected = read(&directory.join("expected").join(&group).join(format!("{name}.json")))?;
                cases.push(Case { name: full, steps: read(&file)?, expected });
            }
        }
    }
    Ok(cases)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let trouble = |source| Trouble::File { path: directory.to_owned(), source };
    let found: Result<Vec<_>, _> = fs::read_dir(directory).map_err(trouble)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut found = found.map_err(trouble)?;
    found.sort();
    Ok(found)
}

fn last_part(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

fn read(path: &Path) -> Result<Vec<Value>, Trouble> {
    let text = fs::read_to_string(path).map_err(|source| Trouble::File { path: path.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|source| Trouble::Json { path: path.to_owned(), source })
}

/// Runs a case in a namespace of its own. `mark` tells its names from those of other runs.
pub async fn run(server: &Server, case: &Case, mark: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let namespace = format!("cf-{}-{mark}", case.name.replace(['/', '_'], "-"));
    let mut run = Run::new(server.clone(), &namespace);
    if let Err(trouble) = run.create_namespace().await {
        outcome.problems.push(format!("cannot create namespace {namespace}: {trouble}"));
    }
    let mut answers = Vec::new();
    for step in &case.steps {
        match run.step(step).await {
            Ok(answer) => answers.push(normalise::hide(&answer, &namespace)),
            Err(trouble) => {
                outcome.problems.push(format!("step {}: {trouble}", answers.len()));
                break;
            }
        }
    }
    if let Err(trouble) = run.delete_namespace().await {
        outcome.problems.push(format!("cannot delete namespace {namespace}: {trouble}"));
    }
    compare_all(case, &answers, &mut outcome);
    outcome
}

fn compare_all(case: &Case, answers: &[Value], outcome: &mut Outcome) {
    for (index, (want, got)) in case.expected.iter().zip(answers).enumerate() {
        let (want_must, want_texts) = split(want, &case.steps[index]);
        let (got_must, got_texts) = split(got, &case.steps[index]);
        let mut found = Vec::new();
        differences(&want_must, &got_must, "", &mut found);
        outcome.problems.extend(found.into_iter().map(|difference| format!("step {index}{difference}")));
        for (name, want) in &want_texts {
            outcome.compared += 1;
            let got = got_texts.get(name).unwrap_or(&Value::Null);
            if got == want {
                outcome.equal += 1;
            } else {
                outcome.texts.push(format!("step {index} {name}: {got}, want {want}"));
            }
        }
    }
    if answers.len() != case.expected.len() {
        outcome.problems.push(format!("{} steps ran, want {}", answers.len(), case.expected.len()));
    }
}
