//! The pod status that a kubelet reports.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::container::{Part, Slot, State};

/// `status` and time of the last change of each condition that a kubelet owns.
pub(crate) type Transitions = BTreeMap<&'static str, (bool, Time)>;

/// What the status is computed from.
pub(crate) struct View<'a> {
    pub(crate) init: &'a [Slot],
    pub(crate) main: &'a [Slot],
    pub(crate) restart_policy: &'a str,
    pub(crate) address: Option<std::net::Ipv4Addr>,
    pub(crate) started: Option<&'a Time>,
    pub(crate) generation: Option<i64>,
    /// Readiness gates that are not true yet.
    pub(crate) gates_open: bool,
    pub(crate) never_ready: bool,
}

/// Phase by the states of the containers.
pub(crate) fn phase(view: &View) -> &'static str {
    let all_ended = view.main.iter().all(|slot| slot.ended().is_some());
    let init_failed = view.init.iter().any(|slot| slot.part == Part::Init && slot.ended().is_some_and(|ended| ended.exit.code != 0));
    if init_failed && view.restart_policy == "Never" {
        return "Failed";
    }
    if all_ended && !view.main.is_empty() && view.restart_policy != "Always" {
        let good = view.main.iter().all(|slot| slot.ended().is_some_and(|ended| ended.exit.code == 0));
        match (good, view.restart_policy) {
            (true, _) => return "Succeeded",
            (false, "Never") => return "Failed",
            (false, _) => {}
        }
    }
    let begun = view.main.iter().any(|slot| slot.starts > 0 || !matches!(slot.state, State::Waiting { .. }));
    if begun { "Running" } else { "Pending" }
}

/// Whether the init containers are done.
pub(crate) fn initialized(init: &[Slot]) -> bool {
    init.iter().all(|slot| match slot.part {
        Part::Init => slot.is_ready(),
        Part::Sidecar | Part::Main => slot.running().is_some_and(|running| running.started),
    })
}

/// The `status` to send, with the times of unchanged conditions kept.
pub(crate) fn build(view: &View, transitions: &mut Transitions, now: &Time) -> Value {
    let phase = phase(view);
    let finished = matches!(phase, "Succeeded" | "Failed");
    let init_done = initialized(view.init) || (finished && phase == "Succeeded") || view.main.iter().any(|slot| slot.starts > 0);
    let unready: Vec<&str> = view
        .main
        .iter()
        .chain(view.init.iter().filter(|slot| slot.part == Part::Sidecar))
        .filter(|slot| !slot.is_ready() || view.never_ready)
        .map(|slot| slot.spec.name.as_str())
        .collect();
    let containers_ready = !finished && unready.is_empty();
    let ready = containers_ready && view.gates_open;
    let mut condition = |kind: &'static str, holds: bool, reason: Option<&str>, message: Option<String>| {
        let entry = transitions.entry(kind).or_insert_with(|| (holds, now.clone()));
        if entry.0 != holds {
            *entry = (holds, now.clone());
        }
        let mut condition = json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastProbeTime": null, "lastTransitionTime": entry.1, "reason": reason, "message": message});
        if let (Some(generation), Some(object)) = (view.generation, condition.as_object_mut()) {
            object.insert("observedGeneration".into(), generation.into());
        }
        condition
    };
    let waiting_init: Vec<&str> = view.init.iter().filter(|slot| !slot.is_ready()).map(|slot| slot.spec.name.as_str()).collect();
    let not_init = (!init_done).then(|| format!("containers with incomplete status: [{}]", waiting_init.join(" ")));
    let not_ready =
        if finished { None } else { (!unready.is_empty()).then(|| format!("containers with unready status: [{}]", unready.join(" "))) };
    let unready_reason = match phase {
        "Succeeded" => Some("PodCompleted"),
        "Failed" => Some("PodFailed"),
        _ if !containers_ready => Some("ContainersNotReady"),
        _ => None,
    };
    let ready_reason = if containers_ready && !view.gates_open { Some("ReadinessGatesNotReady") } else { unready_reason };
    let conditions = vec![
        condition("PodReadyToStartContainers", view.address.is_some() && !finished, None, None),
        condition("Initialized", init_done, (!init_done).then_some("ContainersNotInitialized"), not_init),
        condition("Ready", ready, ready_reason, not_ready.clone()),
        condition("ContainersReady", containers_ready, unready_reason, not_ready),
    ];
    let statuses = |slots: &[Slot]| slots.iter().map(|slot| slot.status(view.never_ready)).collect::<Vec<_>>();
    let mut status = json!({"phase": phase, "conditions": conditions, "containerStatuses": statuses(view.main), "hostIP": "127.0.0.1"});
    if let Some(object) = status.as_object_mut() {
        if !view.init.is_empty() {
            object.insert("initContainerStatuses".into(), json!(statuses(view.init)));
        }
        if let Some(address) = view.address {
            object.insert("podIP".into(), address.to_string().into());
            object.insert("podIPs".into(), json!([{"ip": address.to_string()}]));
        }
        if let Some(started) = view.started {
            object.insert("startTime".into(), json!(started));
        }
        if let Some(generation) = view.generation {
            object.insert("observedGeneration".into(), generation.into());
        }
    }
    status
}
