//! One container of a pod: waiting, running, ended, and waiting again.

use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use super::probes::Prober;
use crate::engine::{Exit, FileView, Process};

const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LAST_BACKOFF: Duration = Duration::from_mins(5);
/// A container that ran this long starts its back-off anew.
const FORGIVEN: Duration = Duration::from_mins(10);

/// Part that a container plays in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Runs to its end before the next one.
    Init,
    /// An init container with `restartPolicy: Always`.
    Sidecar,
    /// One of `containers`.
    Main,
}

/// How far stopping a container is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopping {
    /// SIGTERM is sent then (after a preStop hook that sleeps).
    pub(crate) term_at: Option<Instant>,
    /// SIGKILL is sent then.
    pub(crate) kill_at: Instant,
}

pub(crate) struct Running {
    pub(crate) process: Box<dyn Process>,
    pub(crate) since: Time,
    pub(crate) stopping: Option<Stopping>,
    pub(crate) startup: Option<Prober>,
    pub(crate) liveness: Option<Prober>,
    pub(crate) readiness: Option<Prober>,
    pub(crate) started: bool,
    pub(crate) ready: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) reason: String,
    pub(crate) since: Time,
    pub(crate) finished: Time,
    pub(crate) at: Instant,
}

pub(crate) enum State {
    Waiting { reason: String, message: String },
    Running(Box<Running>),
    Ended(Ended),
}

/// A container and its history.
pub(crate) struct Slot {
    pub(crate) spec: Container,
    pub(crate) part: Part,
    pub(crate) state: State,
    pub(crate) last: Option<Ended>,
    /// How often its process was started.
    pub(crate) starts: i32,
    pub(crate) files: FileView,
    backoff: Option<(Duration, Instant)>,
    /// End of the present crash-loop wait.
    crash_until: Option<Instant>,
    /// Failed image pulls: pause before the next try and when it is.
    pub(crate) pull: Option<(Duration, Instant)>,
    pub(crate) container_id: String,
}

impl Slot {
    pub(crate) fn new(spec: Container, part: Part, initialized: bool, restarts: i32) -> Self {
        let reason = if initialized { "ContainerCreating" } else { "PodInitializing" };
        Self {
            spec,
            part,
            state: State::Waiting { reason: reason.into(), message: String::new() },
            last: None,
            starts: restarts,
            files: FileView::default(),
            backoff: None,
            crash_until: None,
            pull: None,
            container_id: String::new(),
        }
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        if let State::Running(running) = &self.state { Some(running) } else { None }
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        if let State::Running(running) = &mut self.state { Some(running) } else { None }
    }

    pub(crate) fn ended(&self) -> Option<&Ended> {
        if let State::Ended(ended) = &self.state { Some(ended) } else { None }
    }

    pub(crate) fn wait_for(&mut self, reason: &str, message: String) {
        self.state = State::Waiting { reason: reason.to_owned(), message };
    }

    /// Takes notice of a process that ended; tells whether it did.
    pub(crate) fn reap(&mut self, now: Instant, wall: &Time) -> bool {
        let Some(running) = self.running_mut() else { return false };
        let Some(exit) = running.process.exit() else { return false };
        let reason = if exit.code == 0 { "Completed" } else { "Error" };
        let ended = Ended { reason: reason.into(), since: running.since.clone(), finished: wall.clone(), at: now, exit };
        self.state = State::Ended(ended);
        true
    }

    /// When an ended container may start again: at once after its first end, then 10 s after its
    /// end, doubling to five minutes.
    pub(crate) fn restart_at(&mut self) -> Instant {
        let Some(at) = self.ended().map(|ended| ended.at) else { return Instant::now() };
        match self.backoff {
            Some((_, counted)) if at.saturating_duration_since(counted) > FORGIVEN => at,
            Some((pause, _)) => at + pause,
            None => at,
        }
    }

    /// The pause that a message about back-off names.
    pub(crate) fn pause(&self) -> Duration {
        self.backoff.map_or(FIRST_BACKOFF, |(pause, _)| pause)
    }

    /// Waits until `at` before the next start.
    pub(crate) fn crash_loop(&mut self, message: String, at: Instant) {
        self.keep_end();
        self.crash_until = Some(at);
        self.wait_for("CrashLoopBackOff", message);
    }

    pub(crate) fn crash_until(&self) -> Option<Instant> {
        self.crash_until
    }

    fn keep_end(&mut self) {
        if let State::Ended(ended) = &self.state {
            self.last = Some(ended.clone());
        }
    }

    /// Leaves the ended state for a new start.
    pub(crate) fn begin_restart(&mut self, now: Instant) {
        self.keep_end();
        let forgiven = |counted: Instant| self.last.as_ref().is_some_and(|ended| ended.at.saturating_duration_since(counted) > FORGIVEN);
        let pause = match self.backoff {
            Some((pause, counted)) if !forgiven(counted) => (pause * 2).min(LAST_BACKOFF),
            _ => FIRST_BACKOFF,
        };
        self.backoff = Some((pause, now));
        self.crash_until = None;
        self.wait_for("ContainerCreating", String::new());
    }

    /// Counts a failed pull and returns when to try again.
    pub(crate) fn pull_failed(&mut self, now: Instant) -> Instant {
        let pause = self.pull.map_or(FIRST_BACKOFF, |(pause, _)| (pause * 2).min(LAST_BACKOFF));
        self.pull = Some((pause, now + pause));
        now + pause
    }

    pub(crate) fn is_ready(&self) -> bool {
        match (self.part, &self.state) {
            (Part::Init, State::Ended(ended)) => ended.exit.code == 0,
            (Part::Init, _) | (_, State::Waiting { .. } | State::Ended(_)) => false,
            (_, State::Running(running)) => running.ready,
        }
    }

    pub(crate) fn status(&self, never_ready: bool) -> ContainerStatus {
        let waiting = |reason: &str, message: &str| ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some(reason.to_owned()),
                message: Some(message.to_owned()).filter(|message| !message.is_empty()),
            }),
            ..ContainerState::default()
        };
        let state = match &self.state {
            State::Waiting { reason, message } => waiting(reason, message),
            State::Running(running) => ContainerState {
                running: Some(ContainerStateRunning { started_at: Some(running.since.clone()) }),
                ..ContainerState::default()
            },
            State::Ended(ended) => self.terminated(ended),
        };
        let ready = self.is_ready() && !(never_ready && self.part != Part::Init);
        ContainerStatus {
            name: self.spec.name.clone(),
            image: self.spec.image.clone().unwrap_or_default(),
            image_id: if self.starts > 0 { image_id(self.spec.image.as_deref().unwrap_or_default()) } else { String::new() },
            container_id: (!self.container_id.is_empty()).then(|| self.container_id.clone()),
            state: Some(state),
            last_state: Some(self.last.as_ref().map(|ended| self.terminated(ended)).unwrap_or_default()),
            ready,
            restart_count: (self.starts - 1).max(0),
            started: Some(self.running().is_some_and(|running| running.started)),
            ..ContainerStatus::default()
        }
    }

    fn terminated(&self, ended: &Ended) -> ContainerState {
        let terminated = ContainerStateTerminated {
            exit_code: ended.exit.code,
            reason: Some(ended.reason.clone()),
            message: Some(ended.exit.message.clone()).filter(|message| !message.is_empty()),
            started_at: Some(ended.since.clone()),
            finished_at: Some(ended.finished.clone()),
            container_id: (!self.container_id.is_empty()).then(|| self.container_id.clone()),
            signal: None,
        };
        ContainerState { terminated: Some(terminated), ..ContainerState::default() }
    }
}

/// Same image, same id: a digest-like text that depends on the reference alone.
pub(crate) fn image_id(image: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in image.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("docker.io/{image}@sha256:{}", format!("{hash:016x}").repeat(4))
}
