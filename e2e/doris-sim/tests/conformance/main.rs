//! Conversations with frontends over real sockets, compared with what a real one answered.
//!
//! `cargo test -p doris-sim --test conformance [-- PART_OF_A_NAME]`. Columns, rows, statuses, error codes and
//! everything noted have to agree; texts of errors and types of columns are counted apart.

mod ask;
mod cases;
mod mysql;
mod stage;
mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use futures::future::{LocalBoxFuture, join_all};
use serde_json::Value;

use stage::Stage;

/// A conversation: what it does with an empty stage.
type Case = for<'a> fn(&'a mut Stage) -> LocalBoxFuture<'a, ()>;

/// Texts and types that may differ, in percent.
const TOLERATED: usize = 5;

/// How a case compares with what was recorded.
#[derive(Default)]
struct Verdict {
    faults: Vec<String>,
    differing: Vec<String>,
    compared: usize,
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(&wanted)),
        Err(error) => {
            eprintln!("no runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(wanted: &[String]) -> ExitCode {
    let chosen = cases::all().into_iter().enumerate();
    let chosen = chosen.filter(|(_, (group, name, _))| {
        let title = format!("{group}/{name}");
        wanted.is_empty() || wanted.iter().any(|part| title.contains(part))
    });
    let verdicts = join_all(chosen.map(|(number, (group, name, case))| perform(number, group, name, case))).await;
    let passed = verdicts.iter().filter(|verdict| verdict.faults.is_empty()).count();
    let compared: usize = verdicts.iter().map(|verdict| verdict.compared).sum();
    let differing: usize = verdicts.iter().map(|verdict| verdict.differing.len()).sum();
    println!("{} of {compared} texts and types equal", compared - differing);
    println!("{passed} passed, {} failed", verdicts.len() - passed);
    let good = passed == verdicts.len() && !verdicts.is_empty() && differing * 100 <= compared * TOLERATED;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn perform(number: usize, group: &str, name: &str, case: Case) -> Verdict {
    let began = Instant::now();
    // Cases run side by side, each on addresses of its own; so do two runs, as far as their numbers differ.
    let second = u8::try_from(std::process::id() % 100).unwrap_or(0) + 100;
    let third = u8::try_from(number).unwrap_or(u8::MAX);
    let mut stage = Stage::new([127, second, third], number as u64 + 1);
    case(&mut stage).await;
    stage.clear().await;
    let verdict = match recorded(group, name) {
        Ok(expected) => compare(&stage.seen, &expected),
        Err(error) => Verdict { faults: vec![error], ..Verdict::default() },
    };
    let word = if verdict.faults.is_empty() { "ok  " } else { "FAIL" };
    println!("{word} {group}/{name} ({} s)", began.elapsed().as_secs());
    verdict.faults.iter().for_each(|fault| println!("     {fault}"));
    verdict.differing.iter().for_each(|text| println!("     text: {text}"));
    verdict
}

fn recorded(group: &str, name: &str) -> Result<Vec<Value>, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("conformance/{group}.json"));
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut cases: BTreeMap<String, Vec<Value>> = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    cases.remove(name).ok_or_else(|| format!("{} does not tell of {name}", file.display()))
}

fn compare(got: &[Value], want: &[Value]) -> Verdict {
    let mut verdict = Verdict::default();
    for (number, (got, want)) in got.iter().zip(want).enumerate() {
        let title = ["sql", "http", "seen"].into_iter().find_map(|key| want.get(key)).and_then(Value::as_str).unwrap_or_default();
        let (hard_got, hard_want) = (hard_part(got), hard_part(want));
        if hard_got != hard_want {
            verdict.faults.push(format!("step {number} {title}\n       got  {hard_got}\n       want {hard_want}"));
        }
        for part in ["/types", "/refused/2"] {
            let Some(expected) = want.pointer(part).filter(|value| *value != "") else { continue };
            verdict.compared += 1;
            if got.pointer(part) != Some(expected) {
                let found = got.pointer(part).unwrap_or(&Value::Null);
                verdict.differing.push(format!("step {number} {title}\n       got  {found}\n       want {expected}"));
            }
        }
    }
    if got.len() != want.len() {
        verdict.faults.push(format!("{} steps, want {}", got.len(), want.len()));
    }
    verdict
}

/// What has to agree without exception: all but texts and types. Whom a case asks can depend on
/// who won an election.
fn hard_part(step: &Value) -> Value {
    let mut step = step.clone();
    if let Some(map) = step.as_object_mut() {
        map.shift_remove("types");
        map.shift_remove("on");
    }
    if let Some(text) = step.pointer_mut("/refused/2") {
        *text = Value::Null;
    }
    step
}
