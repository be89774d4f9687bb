//! Random walks over the spec: one field changes, then another, at any moment, while things go wrong beside it; then the spec
//! is left alone, and everything has to become as it says, or what is in the way has to be named.

mod changes;
mod disturb;
mod fields;
mod start;
mod walker;

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::merge;

pub use disturb::Disturbance;
pub use walker::run;

/// Objects that a spec may refer to: they are there from the beginning.
const MORE_FILES: &str = "more-files";
const KRB5: &str = "krb5";
const KEYTABS: &str = "keytabs";
const PASSWORDS: &str = "passwords";
/// Two days after the beginning of every run.
const OVERRIDE_UNTIL: &str = "2026-06-03T00:00:00Z";

/// A reference to a password.
fn reference(key: &str) -> Value {
    json!({"name": PASSWORDS, "key": key})
}

/// What happens at a moment of a walk.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The spec changes: a merge patch.
    Spec(Value),
    /// A change that the API server refuses: the spec stays.
    Refused(Value),
    /// An annotation of the cluster: key and value.
    Annotate(String, String),
    /// The Secret that the spec may name gets another password: its key and the password.
    Password(&'static str, String),
    /// The cluster is deleted and made again by the same name.
    Recreate,
    /// Something goes wrong.
    Disturb(Disturbance),
}

impl fmt::Display for What {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec(patch) => write!(formatter, "{patch}"),
            Self::Refused(patch) => write!(formatter, "{patch}, which is refused"),
            Self::Annotate(key, value) => write!(formatter, "annotation {key}: {value}"),
            Self::Password(user, password) => write!(formatter, "the Secret's {user} is {password}"),
            Self::Recreate => write!(formatter, "it is deleted and made again"),
            Self::Disturb(disturbance) => write!(formatter, "{disturbance}"),
        }
    }
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// How long after the one before.
    pub after: Duration,
    /// What.
    pub what: What,
}

/// A walk.
#[derive(Clone, Debug, PartialEq)]
pub struct Walk {
    /// Everything random follows from it.
    pub seed: u64,
    /// The spec that it begins with.
    pub start: Value,
    /// Whether the first change waits until the cluster is ready; others fall into its creation.
    pub is_created_first: bool,
    /// Whether there is a table whose rows have to be there at the end; only if it is created first.
    pub has_rows: bool,
    /// What happens, in order.
    pub events: Vec<Event>,
}

impl Walk {
    /// The walk of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let start = start::start(&mut rng);
        let is_created_first = rng.u8(..4) > 0;
        let has_rows = rng.u8(..3) == 0;
        let mut spec = start.clone();
        let mut events = Vec::new();
        // Every other walk is disturbed.
        let disturbed_one_in = if rng.bool() { 2 } else { u8::MAX };
        for _ in 0..rng.usize(1..=3) {
            let what = changes::change(&mut rng, &spec);
            if let What::Spec(patch) = &what {
                merge(&mut spec, patch);
            }
            events.push(Event { after: pause(&mut rng), what });
            if rng.u8(..).is_multiple_of(disturbed_one_in) {
                events.push(Event { after: pause(&mut rng), what: What::Disturb(Disturbance::draw(&mut rng)) });
            }
        }
        // Whatever holds changes back is taken away: the spec that is left alone can be reached.
        let free = json!({
            "suspend": false,
            "update": {"paused": false, "strategy": "Rolling", "partition": 0, "unavailableTables": "Allow"},
        });
        events.push(Event { after: pause(&mut rng), what: What::Spec(free) });
        Self { seed, start, is_created_first, has_rows, events }
    }
}

impl fmt::Display for Walk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "SEED={} begins with {}", self.seed, self.start)?;
        let rows = if self.has_rows && self.is_created_first { " and has a table" } else { "" };
        writeln!(formatter, "  {}{rows}:", if self.is_created_first { "once it is ready" } else { "while it is created" })?;
        for event in &self.events {
            writeln!(formatter, "  after {:>5.1} s {}", event.after.as_secs_f64(), event.what)?;
        }
        Ok(())
    }
}

/// Often at once, sometimes in the middle of what the change before began, sometimes after it.
fn pause(rng: &mut Rng) -> Duration {
    match rng.u8(..4) {
        0 => Duration::from_millis(rng.u64(..500)),
        1 => Duration::from_millis(rng.u64(500..10_000)),
        2 => Duration::from_secs(rng.u64(10..60)),
        _ => Duration::from_secs(rng.u64(60..240)),
    }
}

#[cfg(test)]
mod tests;
