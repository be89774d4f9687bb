//! Nodes that fall silent, and what becomes of their pods.

mod collector;
mod eviction;
mod lifecycle;

pub(crate) use collector::PodCollector;
pub(crate) use eviction::TaintEviction;
pub(crate) use lifecycle::NodeLifecycle;

use serde_json::Value;

use crate::pods::condition;
use crate::value::text;

/// The node said itself, or was found, not to be ready.
pub(crate) fn is_ready(node: &Value) -> bool {
    condition(node, "Ready").is_some_and(|ready| text(ready, "/status") == "True")
}
