//! The cluster-controller inside the laboratory, with deaths and resurrections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster_controller::context::{Context, Parts};
use cluster_controller::controller::{Settings, run};
use controller_kit::clock::SteppedClock;
use controller_kit::discovery::ServerAbilities;
use controller_kit::leadership::Ungated;
use controller_kit::metrics::Metrics;
use doris_sim::World;
use kube::Client;
use kube_sim::{Identity, KubeSim};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::faults::Faults;
use super::transport::SimTransport;
use super::{CONTROLLER_ADDRESS, Lab, storm};

/// Between a death and the next process.
const RESTART: Duration = Duration::from_secs(5);

/// A controller that is restarted whenever the fault plan kills it. Ends when dropped.
pub struct Controller {
    task: JoinHandle<()>,
    deaths: Arc<AtomicU64>,
    hold: tokio::sync::watch::Sender<bool>,
}

struct Home {
    kube: KubeSim,
    world: World,
    faults: Faults,
    seed: u64,
    minor: u32,
    hold: tokio::sync::watch::Receiver<bool>,
}

impl Controller {
    pub(super) fn start(lab: &Lab) -> Self {
        let deaths = Arc::new(AtomicU64::new(0));
        let hold = tokio::sync::watch::Sender::new(false);
        let home = Home {
            kube: lab.kube.clone(),
            world: lab.world.clone(),
            faults: lab.faults.clone(),
            seed: lab.settings.seed,
            minor: lab.settings.kubernetes_minor,
            hold: hold.subscribe(),
        };
        let task = tokio::spawn(live(home, deaths.clone()));
        Self { task, deaths, hold }
    }

    /// How often it died.
    pub fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::SeqCst)
    }

    /// Keeps watch events from it: its caches go stale. Released, they all arrive.
    pub fn hold_watches(&self, hold: bool) {
        self.hold.send_replace(hold);
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn live(home: Home, deaths: Arc<AtomicU64>) {
    loop {
        let life = deaths.load(Ordering::SeqCst);
        let name = format!("{}{life}", storm::CONTROLLER);
        let mut crashes = home.faults.crashes();
        crashes.mark_unchanged();
        let service = home.kube.service(&name, Identity::admin());
        let mut held = home.hold.clone();
        let to_hold = service.clone();
        let process = tokio::spawn(controller(Client::new(service, "default"), &home, &name, life));
        let holding = tokio::spawn(async move {
            while held.changed().await.is_ok() {
                to_hold.hold_watches(*held.borrow_and_update());
            }
        });
        // The sender lives in the fault plan that we hold.
        let _ = crashes.changed().await;
        process.abort();
        holding.abort();
        deaths.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(RESTART).await;
    }
}

fn controller(client: Client, home: &Home, name: &str, life: u64) -> impl Future<Output = ()> + Send + use<> {
    let transport = SimTransport::new(home.world.clone(), CONTROLLER_ADDRESS, home.faults.clone(), name);
    let begin: jiff::Timestamp = super::EPOCH.parse().expect("the epoch is a timestamp");
    let now = jiff::Timestamp::from_millisecond(home.world.now_ms()).unwrap_or(begin);
    let clock = SteppedClock::starting_at(now);
    let parts = Parts {
        client,
        transport: Arc::new(transport),
        clock: Arc::new(clock),
        gate: Arc::new(Ungated),
        metrics: Arc::new(Metrics::new("doris_operator")),
        instance: name.to_owned(),
    };
    let groups = if home.minor >= 21 { vec!["policy/v1", "events.k8s.io/v1"] } else { vec!["policy/v1beta1"] };
    let abilities = ServerAbilities::new((1, home.minor), groups.into_iter().map(str::to_owned));
    // Each life has its own randomness, or a new process would invent the ids of the former one.
    let seed = home.seed.wrapping_mul(1000).wrapping_add(life);
    let ctx = Arc::new(Context::new(parts, &abilities, Some(seed)));
    let settings = Settings { namespaces: Vec::new(), concurrency: 8, seed };
    async move { run(ctx, settings, async {}, CancellationToken::new()).await }
}
