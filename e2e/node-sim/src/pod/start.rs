//! From a bound pod to running containers: volumes, images, environment, init containers.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use kube::ResourceExt;
use tokio::time::Instant;

use super::Kubelet;
use super::container::{Part, Running, Slot, State};
use super::probes::Prober;
use crate::engine::{Launch, Mount};
use crate::env;
use crate::shared::{Shared, lock};

impl Kubelet {
    /// Starts what can be started now.
    pub(super) fn bring_up(&mut self, now: Instant) {
        if self.started.is_none() {
            self.started = Some(self.shared.now());
        }
        if now < self.start_at {
            return self.wake_at(self.start_at);
        }
        if !self.volumes_ready && !self.mount() {
            return;
        }
        if self.address.is_none() {
            self.address = lock(&self.shared.addresses).take();
            if self.address.is_none() {
                self.event(true, None, "FailedCreatePodSandBox", "no address is left in the pod network".into());
                return self.wake_at(now + std::time::Duration::from_secs(10));
            }
        }
        for index in 0..self.init.len() {
            self.start_or_restart(true, index, now);
            let slot = &self.init[index];
            let done = match slot.part {
                Part::Init => slot.is_ready(),
                Part::Sidecar | Part::Main => {
                    slot.running().is_some_and(|running| running.started) || self.main.iter().any(|slot| slot.starts > 0)
                }
            };
            if !done {
                return;
            }
        }
        for index in 0..self.main.len() {
            self.start_or_restart(false, index, now);
        }
    }

    /// Whether all volumes can be mounted; what is missing becomes an Event.
    fn mount(&mut self) -> bool {
        match volumes_problem(&self.shared, &self.pod) {
            None => {
                self.volumes_ready = true;
                self.problem = None;
                true
            }
            Some(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    self.event(true, None, "FailedMount", problem.clone());
                    self.problem = Some(problem);
                }
                false
            }
        }
    }

    fn start_or_restart(&mut self, init: bool, index: usize, now: Instant) {
        let policy = self.restart_policy().to_owned();
        let slot = self.slot_mut(init, index);
        if let State::Ended(ended) = &slot.state {
            let again = match (slot.part, policy.as_str()) {
                (Part::Sidecar, _) | (Part::Main, "Always") => true,
                (Part::Init, policy) => ended.exit.code != 0 && policy != "Never",
                (Part::Main, "OnFailure") => ended.exit.code != 0,
                (Part::Main, _) => false,
            };
            if !again {
                return;
            }
            let at = slot.restart_at();
            if now < at {
                return self.back_off(init, index, at);
            }
            slot.begin_restart(now);
        } else if let State::Waiting { reason, .. } = &slot.state {
            if reason == "CrashLoopBackOff" {
                let Some(at) = slot.crash_until() else { return };
                if now < at {
                    return self.wake_at(at);
                }
                slot.begin_restart(now);
            }
        } else {
            return;
        }
        if self.has_image(init, index, now) {
            self.launch(init, index, now);
        }
    }

    fn back_off(&mut self, init: bool, index: usize, at: Instant) {
        let (pod, namespace, uid) = (self.pod.name_any(), self.pod.namespace().unwrap_or_default(), self.uid.clone());
        let slot = self.slot_mut(init, index);
        let name = slot.spec.name.clone();
        let message = format!("back-off {}s restarting failed container={name} pod={pod}_{namespace}({uid})", slot.pause().as_secs());
        slot.crash_loop(message, at);
        let note = format!("Back-off restarting failed container {name} in pod {pod}_{namespace}({uid})");
        self.event(true, Some(&name), "BackOff", note);
        self.wake_at(at);
    }

    /// Pulls the image; a missing one is tried again with growing pauses.
    fn has_image(&mut self, init: bool, index: usize, now: Instant) -> bool {
        let missing = lock(&self.shared.faults).missing_images.clone();
        let slot = self.slot_mut(init, index);
        let image = slot.spec.image.clone().unwrap_or_default();
        let name = slot.spec.name.clone();
        if !missing.contains(&image) {
            if slot.pull.take().is_some() || slot.starts == 0 {
                let message = format!("Container image \"{image}\" already present on machine");
                self.event(false, Some(&name), "Pulled", message);
            }
            return true;
        }
        if let Some((_, at)) = slot.pull.filter(|(_, at)| now < *at) {
            slot.wait_for("ImagePullBackOff", format!("Back-off pulling image \"{image}\""));
            self.wake_at(at);
            return false;
        }
        let first = slot.pull.is_none();
        let at = slot.pull_failed(now);
        let message = format!("failed to pull and unpack image \"{image}\": {image}: not found");
        slot.wait_for(if first { "ErrImagePull" } else { "ImagePullBackOff" }, message.clone());
        self.event(true, Some(&name), "Failed", format!("Failed to pull image \"{image}\": {message}"));
        self.event(true, Some(&name), "Failed", "Error: ErrImagePull".into());
        self.wake_at(at);
        false
    }

    fn launch(&mut self, init: bool, index: usize, now: Instant) {
        let Some(address) = self.address else { return };
        let (shared, pod) = (self.shared.clone(), self.pod.clone());
        let changed = self.mailbox.notify.clone();
        let spec = self.slot_mut(init, index).spec.clone();
        let environment = env::environment(&shared, &pod, &spec, address);
        let files = env::files(&shared, &pod, &spec, address);
        let (environment, files) = match (environment, files) {
            (Ok(environment), Ok(files)) => (environment, files),
            (Err(problem), _) | (_, Err(problem)) => {
                let slot = self.slot_mut(init, index);
                let known = matches!(&slot.state, State::Waiting { message, .. } if *message == problem);
                slot.wait_for("CreateContainerConfigError", problem.clone());
                if !known {
                    self.event(true, Some(&spec.name), "Failed", format!("Error: {problem}"));
                }
                return;
            }
        };
        let uid = self.uid.clone();
        let wall = self.shared.now();
        let moved = lock(&self.shared.faults).moved_tags.clone();
        let slot = self.slot_mut(init, index);
        slot.files.replace(files);
        let image = slot.spec.image.clone().map(|image| moved.get(&image).cloned().unwrap_or(image));
        let words = slot.spec.command.iter().flatten().chain(slot.spec.args.iter().flatten());
        let launch = Launch {
            restarts: slot.starts,
            command: words.map(|word| env::expand(word, &environment)).collect(),
            env: environment,
            files: slot.files.clone(),
            mounts: mounts(&shared, &pod, slot),
            address,
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
            changed,
            pod: pod.clone(),
            container: Container { image, ..slot.spec.clone() },
        };
        slot.container_id = format!("node-sim://{uid}-{}-{}", slot.spec.name, slot.starts);
        slot.starts += 1;
        let process = shared.engine.start(launch);
        let probe = |probe: &Option<k8s_openapi::api::core::v1::Probe>| probe.as_ref().and_then(|probe| Prober::new(probe, &spec, now));
        let startup = probe(&spec.startup_probe);
        let readiness = probe(&spec.readiness_probe);
        let (started, ready) = (startup.is_none(), startup.is_none() && readiness.is_none());
        let liveness = probe(&spec.liveness_probe);
        slot.state = State::Running(Box::new(Running {
            process,
            since: wall.clone(),
            stopping: None,
            startup,
            liveness,
            readiness,
            started,
            ready,
        }));
        let name = spec.name.clone();
        self.event(false, Some(&name), "Created", format!("Created container: {name}"));
        self.event(false, Some(&name), "Started", format!("Started container {name}"));
        // A process that ends at once is seen in the same pass.
        if self.slot_mut(init, index).reap(now, &wall) {
            self.wake_at(now);
        }
    }

    /// Updates mounted files some time after their objects changed.
    pub(super) fn refresh_files(&mut self, now: Instant) {
        let Some(address) = self.address else { return };
        let pod = self.pod.clone();
        let shared = self.shared.clone();
        let mut stale = false;
        let due = self.refresh_at.is_some_and(|at| now >= at);
        for slot in self.slots_mut().filter(|slot| slot.running().is_some()) {
            // An object that went away leaves its files as they were.
            let Ok(files) = env::files(&shared, &pod, &slot.spec, address) else { continue };
            if due {
                if slot.files.replace(files)
                    && let Some(running) = slot.running_mut()
                {
                    running.process.files_changed();
                }
            } else {
                stale |= slot.files.differs(&files);
            }
        }
        if due {
            self.refresh_at = None;
        } else if stale {
            let delay = lock(&shared.faults).sync_delay.unwrap_or(shared.options.sync_delay);
            let at = *self.refresh_at.get_or_insert(now + delay);
            self.wake_at(at);
        }
    }
}

/// The first volume that cannot be mounted, in the kubelet's words.
fn volumes_problem(shared: &Shared, pod: &Pod) -> Option<String> {
    let namespace = pod.namespace().unwrap_or_default();
    for claim in crate::storage::claims_of(pod) {
        let Some(found) = shared.caches.claims.get(&namespace, claim) else {
            return Some(format!("persistentvolumeclaim \"{claim}\" not found"));
        };
        if found.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Bound") {
            return Some(format!("PersistentVolumeClaim is not bound: \"{namespace}/{claim}\""));
        }
    }
    let spec = pod.spec.as_ref()?;
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    containers.into_iter().find_map(|container| env::files(shared, pod, container, [127, 0, 0, 1].into()).err())
}

fn mounts(shared: &Arc<Shared>, pod: &Pod, slot: &Slot) -> Vec<Mount> {
    let namespace = pod.namespace().unwrap_or_default();
    let volumes: Vec<&Volume> = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).collect();
    let mut mounts = Vec::new();
    for mount in slot.spec.volume_mounts.iter().flatten() {
        let source = volumes.iter().find(|volume| volume.name == mount.name);
        let claim = source.and_then(|volume| volume.persistent_volume_claim.as_ref());
        let claim = claim.and_then(|source| shared.caches.claims.get(&namespace, &source.claim_name));
        let capacity = claim.as_ref().and_then(|claim| claim.status.as_ref()?.capacity.as_ref()?.get("storage").cloned());
        mounts.push(Mount {
            path: mount.mount_path.trim_end_matches('/').to_owned(),
            sub_path: mount.sub_path.clone().unwrap_or_default(),
            volume: claim.and_then(|claim| claim.spec.as_ref()?.volume_name.clone()),
            capacity: capacity.map(|quantity| quantity.0),
        });
    }
    mounts
}
