//! Probing running containers and ending them: hooks, SIGTERM, SIGKILL.

use std::time::Duration;

use k8s_openapi::api::core::v1::Container;
use tokio::time::Instant;

use super::Kubelet;
use super::container::{Part, Running, Stopping};
use super::probes::Verdict;
use crate::engine::Signal;

/// What a pass over one container's probes found.
#[derive(Default)]
struct Findings {
    wake: Option<Instant>,
    failures: Vec<(&'static str, String)>,
    /// The probe that wants the container ended, with its own grace period.
    kill: Option<(&'static str, Option<i64>)>,
}

impl Kubelet {
    /// Asks the probes that are due.
    pub(super) async fn probe(&mut self, now: Instant) {
        for init in [true, false] {
            for index in 0..if init { self.init.len() } else { self.main.len() } {
                let slot = self.slot_mut(init, index);
                let name = slot.spec.name.clone();
                if slot.part == Part::Init {
                    continue;
                }
                let Some(running) = slot.running_mut().filter(|running| running.stopping.is_none()) else { continue };
                let findings = ask(running, now).await;
                if let Some(at) = findings.wake {
                    self.wake_at(at);
                }
                for (probe, problem) in findings.failures {
                    self.event(true, Some(&name), "Unhealthy", format!("{probe} probe failed: {problem}"));
                }
                if let Some((probe, grace)) = findings.kill {
                    self.event(false, Some(&name), "Killing", format!("Container {name} failed {probe} probe, will be restarted"));
                    let grace = grace.unwrap_or_else(|| self.grace());
                    self.begin_stop(init, index, now, grace);
                }
            }
        }
    }

    fn grace(&self) -> i64 {
        self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30)
    }

    /// Ends the pod: main containers first, then sidecars in reverse order.
    pub(super) fn terminate(&mut self, now: Instant) {
        let grace = self.pod.metadata.deletion_grace_period_seconds.unwrap_or_else(|| self.grace()).max(0);
        let allowed = now + Duration::from_secs(grace.unsigned_abs());
        let deadline = self.terminating.map_or(allowed, |before| before.min(allowed));
        self.terminating = Some(deadline);
        let left = i64::try_from(deadline.saturating_duration_since(now).as_secs()).unwrap_or(i64::MAX);
        for index in 0..self.main.len() {
            self.stop_for_deletion(false, index, now, left);
        }
        if self.main.iter().all(|slot| slot.running().is_none()) {
            for index in (0..self.init.len()).rev() {
                self.stop_for_deletion(true, index, now, left);
                if self.init[index].running().is_some() {
                    break;
                }
            }
        }
    }

    fn stop_for_deletion(&mut self, init: bool, index: usize, now: Instant, left: i64) {
        let Some(running) = self.slot_mut(init, index).running() else { return };
        if running.stopping.is_none() {
            let name = self.slot_mut(init, index).spec.name.clone();
            self.event(false, Some(&name), "Killing", format!("Stopping container {name}"));
            self.begin_stop(init, index, now, left);
        } else if let Some(stopping) = self.slot_mut(init, index).running_mut().and_then(|running| running.stopping.as_mut()) {
            let kill_at = now + Duration::from_secs(left.unsigned_abs());
            stopping.kill_at = stopping.kill_at.min(kill_at);
        }
    }

    /// Runs the preStop hook and sends SIGTERM; SIGKILL follows after the grace period.
    fn begin_stop(&mut self, init: bool, index: usize, now: Instant, grace: i64) {
        let kill_at = now + Duration::from_secs(grace.max(0).unsigned_abs());
        let slot = self.slot_mut(init, index);
        let (pause, command) = hook(&slot.spec);
        let Some(running) = slot.running_mut() else { return };
        if let Some(probes) = running.startup.as_mut() {
            probes.stop();
        }
        if let Some(command) = command {
            running.process.pre_stop(&command);
        }
        running.ready = false;
        running.stopping = Some(Stopping { term_at: Some(now + pause), kill_at });
        self.stop_due(now);
    }

    /// Sends the signals that are due.
    pub(super) fn stop_due(&mut self, now: Instant) {
        let mut wake = Vec::new();
        let mut ended = false;
        for slot in self.slots_mut() {
            let Some(running) = slot.running_mut() else { continue };
            let Some(mut stopping) = running.stopping else { continue };
            if stopping.term_at.is_some_and(|at| now >= at) {
                stopping.term_at = None;
                running.process.signal(Signal::Term);
            }
            if now >= stopping.kill_at {
                running.process.signal(Signal::Kill);
            } else {
                wake.push(stopping.term_at.map_or(stopping.kill_at, |at| at.min(stopping.kill_at)));
            }
            running.stopping = Some(stopping);
            ended |= running.process.exit().is_some();
        }
        if ended {
            self.reap(now);
            wake.push(now);
        }
        for at in wake {
            self.wake_at(at);
        }
    }
}

/// Pause of a sleeping preStop hook, and the command of one that runs something.
fn hook(container: &Container) -> (Duration, Option<Vec<String>>) {
    let handler = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let Some(handler) = handler else { return (Duration::ZERO, None) };
    if let Some(sleep) = &handler.sleep {
        return (Duration::from_secs(sleep.seconds.max(0).unsigned_abs()), None);
    }
    let command = handler.exec.as_ref().and_then(|exec| exec.command.clone()).unwrap_or_default();
    match command.as_slice() {
        [program, seconds] if program.ends_with("sleep") => (Duration::from_secs(seconds.parse().unwrap_or(0)), None),
        _ => (Duration::ZERO, Some(command)),
    }
}

/// Asks the due probes of one running container.
async fn ask(running: &mut Running, now: Instant) -> Findings {
    let mut findings = Findings::default();
    let settles = running.process.notifies();
    if !running.started {
        let Some(prober) = running.startup.as_mut() else { return findings };
        if prober.next().is_some_and(|at| now >= at) {
            let answer = running.process.check(prober.check()).await;
            let verdict = prober.answer(answer.is_ok(), now, false);
            if let Err(problem) = answer {
                findings.failures.push(("Startup", problem));
            }
            match verdict {
                Verdict::Good => {
                    prober.stop();
                    running.started = true;
                    running.ready = running.readiness.is_none();
                }
                Verdict::Bad => findings.kill = Some(("startup", prober.grace)),
                Verdict::Open => {}
            }
        }
        if !running.started {
            findings.wake = running.startup.as_ref().and_then(super::probes::Prober::next);
            return findings;
        }
    }
    if let Some(prober) = running.readiness.as_mut().filter(|prober| prober.next().is_some_and(|at| now >= at)) {
        let answer = running.process.check(prober.check()).await;
        match prober.answer(answer.is_ok(), now, settles) {
            Verdict::Good => running.ready = true,
            Verdict::Bad => running.ready = false,
            Verdict::Open => {}
        }
        if let Err(problem) = answer {
            findings.failures.push(("Readiness", problem));
        }
    }
    if let Some(prober) = running.liveness.as_mut().filter(|prober| prober.next().is_some_and(|at| now >= at)) {
        let answer = running.process.check(prober.check()).await;
        if prober.answer(answer.is_ok(), now, settles) == Verdict::Bad {
            findings.kill = Some(("liveness", prober.grace));
        }
        if let Err(problem) = answer {
            findings.failures.push(("Liveness", problem));
        }
    }
    let next = |prober: &Option<super::probes::Prober>| prober.as_ref().and_then(super::probes::Prober::next);
    findings.wake = [next(&running.readiness), next(&running.liveness)].into_iter().flatten().min();
    findings
}
