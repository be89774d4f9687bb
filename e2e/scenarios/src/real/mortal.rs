//! A controller that a fault plan kills, and that is started again as a pod is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::link::Link;
use super::{Error, Place, RealController};
use crate::lab::Faults;

/// Between an end and the next process.
const RESTART: Duration = Duration::from_secs(2);

/// A controller under a fault plan. It ends for good when this is dropped.
pub struct MortalController {
    task: JoinHandle<Error>,
    lives: Arc<AtomicU32>,
    hold: watch::Sender<bool>,
}

impl MortalController {
    /// Starts it in a scenario's namespace.
    pub async fn start(place: &Place<'_>, faults: Faults) -> Result<Self, Error> {
        let hold = watch::Sender::new(false);
        let lives = Arc::new(AtomicU32::new(0));
        let home = Home { config: place.controller_config().await?, namespace: place.namespace.clone(), faults, held: hold.subscribe() };
        let task = tokio::spawn(live(home, lives.clone()));
        Ok(Self { task, lives, hold })
    }

    /// How many processes it has been so far.
    pub fn lives(&self) -> u32 {
        self.lives.load(Ordering::SeqCst)
    }

    /// Keeps watch events from it: its caches go stale. Released, they all arrive.
    pub fn hold_watches(&self, hold: bool) {
        self.hold.send_replace(hold);
    }

    /// Whether it can't be started any more.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for MortalController {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Home {
    config: kube::Config,
    namespace: String,
    faults: Faults,
    held: watch::Receiver<bool>,
}

/// One life after the other; returns why there is no other.
async fn live(home: Home, lives: Arc<AtomicU32>) -> Error {
    loop {
        let life = lives.fetch_add(1, Ordering::SeqCst);
        let process = format!("{}-{life}", home.namespace);
        // Asked for before the start: no crash is missed.
        let mut crashes = home.faults.crashes();
        crashes.mark_unchanged();
        let link = Link { faults: home.faults.clone(), process: process.clone(), held: home.held.clone() };
        let mut controller = match RealController::start(home.config.clone(), &home.namespace, &process, Some(link)) {
            Ok(controller) => controller,
            Err(error) => return error,
        };
        tokio::select! {
            _ = crashes.changed() => {}
            // A process may end by itself, when it has lost its Lease or can't begin; its pod is started again as well.
            why = controller.ended() => eprintln!("{process} ended: {why}"),
        }
        controller.kill();
        tokio::time::sleep(RESTART).await;
    }
}
