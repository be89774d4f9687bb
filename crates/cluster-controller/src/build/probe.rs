//! Probes: what they test is decided by the script, how often by the component and the user.

use doris_api::cluster::{ProbeSettings, Probes};
use doris_api::member::SCRIPT_DIR;
use doris_api::{Component, Process};
use k8s_openapi::api::core::v1::{Container, ExecAction, Lifecycle, LifecycleHandler, Probe};

/// First minor version with startup probes.
const STARTUP_PROBES: u32 = 18;

struct Threshold {
    period: i32,
    failures: i32,
}

const TIMEOUT: i32 = 5;
const LIVENESS: Threshold = Threshold { period: 10, failures: 6 };
const READINESS: Threshold = Threshold { period: 5, failures: 3 };

/// How long a member may take to start: loading an image and replaying a journal, or reading the
/// headers of all tablets, takes minutes on a large cluster.
const fn startup(process: Process) -> Threshold {
    match process {
        Process::Fe => Threshold { period: 5, failures: 360 },
        Process::Be => Threshold { period: 5, failures: 180 },
        Process::Broker => Threshold { period: 5, failures: 60 },
    }
}

/// Seconds that a member has to stop, unless the user says otherwise.
pub(super) const fn grace_seconds(component: Component) -> i64 {
    match component {
        // From 4.1 a frontend waits up to 300 s for its queries.
        Component::Fe | Component::FeObserver => 330,
        // A backend waits up to 120 s for its queries.
        Component::Be | Component::Cn => 200,
        Component::Broker => 30,
    }
}

/// Adds probes and the stop hook to a member's container.
pub(super) fn add_probes(container: &mut Container, process: Process, probes: &Probes, kubernetes_minor: u32) {
    let start = startup(process);
    let mut liveness = probe("alive", process, &LIVENESS, probes.liveness.as_ref());
    if kubernetes_minor >= STARTUP_PROBES {
        container.startup_probe = Some(probe("startup", process, &start, probes.startup.as_ref()));
    } else {
        liveness.initial_delay_seconds = Some(start.period * start.failures);
    }
    container.liveness_probe = Some(liveness);
    container.readiness_probe = Some(probe("ready", process, &READINESS, probes.readiness.as_ref()));
    container.lifecycle = Some(Lifecycle {
        pre_stop: Some(LifecycleHandler { exec: Some(exec("stop.sh", &[process.name()])), ..LifecycleHandler::default() }),
        ..Lifecycle::default()
    });
}

fn probe(kind: &str, process: Process, threshold: &Threshold, user: Option<&ProbeSettings>) -> Probe {
    let user = user.cloned().unwrap_or_default();
    Probe {
        exec: Some(exec("probe.sh", &[kind, process.name()])),
        initial_delay_seconds: user.initial_delay_seconds,
        period_seconds: Some(user.period_seconds.unwrap_or(threshold.period)),
        timeout_seconds: Some(user.timeout_seconds.unwrap_or(TIMEOUT)),
        failure_threshold: Some(user.failure_threshold.unwrap_or(threshold.failures)),
        ..Probe::default()
    }
}

fn exec(script: &str, arguments: &[&str]) -> ExecAction {
    ExecAction { command: Some(command(script, arguments)) }
}

/// A call of one of our scripts.
pub(super) fn command(script: &str, arguments: &[&str]) -> Vec<String> {
    let mut command = vec!["/bin/sh".to_owned(), format!("{SCRIPT_DIR}/{script}")];
    command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    command
}
