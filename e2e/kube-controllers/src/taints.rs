//! Taints of nodes and tolerations of pods.

use serde_json::Value;

use crate::value::{items, number, text};

/// Whether one toleration covers a taint.
fn covers(toleration: &Value, taint: &Value) -> bool {
    let effect = text(toleration, "/effect");
    let key = text(toleration, "/key");
    if !effect.is_empty() && effect != text(taint, "/effect") {
        return false;
    }
    if !key.is_empty() && key != text(taint, "/key") {
        return false;
    }
    match text(toleration, "/operator") {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && text(toleration, "/value") == text(taint, "/value"),
        _ => false,
    }
}

/// The first taint with one of these effects that the pod does not tolerate.
pub(crate) fn untolerated<'a>(node: &'a Value, pod: &Value, effects: &[&str]) -> Option<&'a Value> {
    let tolerations = items(pod, "/spec/tolerations");
    items(node, "/spec/taints")
        .iter()
        .filter(|taint| effects.contains(&text(taint, "/effect")))
        .find(|taint| !tolerations.iter().any(|toleration| covers(toleration, taint)))
}

/// How a pod bears the `NoExecute` taints of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all.
    None,
    /// For so many seconds.
    Seconds(i64),
    Endless,
}

pub(crate) fn patience(node: &Value, pod: &Value) -> Patience {
    let tolerations = items(pod, "/spec/tolerations");
    let mut shortest: Option<i64> = None;
    for taint in items(node, "/spec/taints").iter().filter(|taint| text(taint, "/effect") == "NoExecute") {
        let mut covering = tolerations.iter().filter(|toleration| covers(toleration, taint)).peekable();
        if covering.peek().is_none() {
            return Patience::None;
        }
        let seconds = covering.filter_map(|toleration| number(toleration, "/tolerationSeconds")).min();
        shortest = [shortest, seconds].into_iter().flatten().min();
    }
    shortest.map_or(Patience::Endless, |seconds| if seconds <= 0 { Patience::None } else { Patience::Seconds(seconds) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Patience, patience};

    #[test]
    fn the_shortest_toleration_decides_how_long_a_pod_stays() {
        let node = json!({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}});
        for (tolerations, expected) in [
            (json!([]), Patience::None),
            (json!([{"key": "b", "operator": "Exists"}]), Patience::None),
            (json!([{"key": "a", "operator": "Exists"}]), Patience::Endless),
            (json!([{"operator": "Exists"}]), Patience::Endless),
            (json!([{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]), Patience::None),
            (
                json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 300}, {"key": "a", "operator": "Exists", "tolerationSeconds": 5}]),
                Patience::Seconds(5),
            ),
        ] {
            assert_eq!(patience(&node, &json!({"spec": {"tolerations": tolerations}})), expected, "{tolerations}");
        }
    }
}
