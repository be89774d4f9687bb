//! Events, counted up when they repeat.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::Api;
use crate::kinds::EVENT;
use crate::pods::{micros, seconds};
use crate::value::{kind_of, name, namespace, number, text, uid};

/// How many events one source may send about one object at once, and how long one more takes to be allowed.
const BURST: i64 = 25;
const REFILL_SECONDS: i64 = 300;
/// How many different events are remembered for counting.
const REMEMBERED: usize = 4096;

/// A severity and a machine-readable reason.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Severity {
    Normal,
    Warning,
}

#[derive(Default)]
struct Memory {
    /// Name of the event by what it says, with a number that tells the oldest.
    names: HashMap<String, (String, u64)>,
    ages: BTreeMap<u64, String>,
    next: u64,
    /// Events left and when that was, by source and object.
    budgets: HashMap<String, (i64, Timestamp)>,
}

/// Writes Events for all controllers.
#[derive(Default)]
pub(crate) struct Recorder {
    memory: Mutex<Memory>,
}

impl Memory {
    fn allows(&mut self, key: String, now: Timestamp) -> bool {
        let (left, since) = self.budgets.entry(key).or_insert((BURST, now));
        let refill = now.duration_since(*since).as_secs() / REFILL_SECONDS;
        if refill > 0 {
            *left = (*left + refill).min(BURST);
            *since = now;
        }
        *left -= 1;
        if *left < 0 {
            *left = 0;
            return false;
        }
        true
    }

    fn remember(&mut self, what: String, event: String) {
        self.next += 1;
        self.ages.insert(self.next, what.clone());
        self.names.insert(what, (event, self.next));
        if self.names.len() > REMEMBERED
            && let Some((_, oldest)) = self.ages.pop_first()
        {
            self.names.remove(&oldest);
        }
    }
}

impl Recorder {
    /// Says something about an object. Events are best effort: a refusal is logged and not retried.
    pub(crate) fn say(&self, api: &dyn Api, source: &str, about: &Value, severity: Severity, reason: &str, message: &str) {
        let now = api.now();
        let what = format!("{source}\n{}\n{severity:?}\n{reason}\n{message}", uid(about));
        let mut memory = self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !memory.allows(format!("{source}\n{}", uid(about)), now) {
            return;
        }
        let space = if namespace(about).is_empty() { "default" } else { namespace(about) };
        if let Some((event, _)) = memory.names.get(&what)
            && count_up(api, source, space, event, now)
        {
            return;
        }
        let event = build(about, source, severity, reason, message, now, memory.next);
        match api.create(source, event) {
            Ok(event) => memory.remember(what, name(&event).to_owned()),
            Err(error) => tracing::debug!(%error, reason, "event refused"),
        }
    }
}

/// Counts a known event up; false when it is gone or was changed meanwhile.
fn count_up(api: &dyn Api, source: &str, namespace: &str, event: &str, now: Timestamp) -> bool {
    let Some(known) = api.get(EVENT, namespace, event) else { return false };
    let mut event = (*known).clone();
    event["count"] = (number(&event, "/count").unwrap_or(1) + 1).into();
    event["lastTimestamp"] = seconds(now).into();
    api.update(source, event).is_ok()
}

fn build(about: &Value, source: &str, severity: Severity, reason: &str, message: &str, now: Timestamp, sequence: u64) -> Value {
    let space = if namespace(about).is_empty() { "default" } else { namespace(about) };
    let mut involved = json!({
        "kind": kind_of(about), "name": name(about), "uid": uid(about),
        "apiVersion": text(about, "/apiVersion"), "resourceVersion": text(about, "/metadata/resourceVersion"),
    });
    if !namespace(about).is_empty() {
        involved["namespace"] = namespace(about).into();
    }
    // The real name is the object's with the time in hexadecimal nanoseconds; the sequence keeps two in one paused instant apart.
    let stamp = now.as_nanosecond() + i128::from(sequence);
    let mut event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("{}.{stamp:016x}", name(about)), "namespace": space},
        "involvedObject": involved, "type": format!("{severity:?}"), "reason": reason, "message": limited(message),
        "reportingComponent": source, "reportingInstance": "",
    });
    if source == "default-scheduler" {
        event["action"] = if reason == "Scheduled" { "Binding" } else { "Scheduling" }.into();
        event["eventTime"] = micros(now).into();
        event["reportingInstance"] = "default-scheduler-kube-sim".into();
    } else {
        event["source"] = json!({"component": source});
        event["count"] = 1.into();
        event["firstTimestamp"] = seconds(now).into();
        event["lastTimestamp"] = seconds(now).into();
    }
    event
}

/// The server takes at most 1024 bytes of a message.
fn limited(message: &str) -> &str {
    let mut end = message.len().min(1024);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}
