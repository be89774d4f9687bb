//! The cluster-controller inside the laboratory, with deaths and resurrections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster_controller::context::{Context, Parts};
use cluster_controller::controller::{Crew, Settings, run, run_undivided};
use cluster_controller::program::{Claimed, NAME};
use controller_kit::clock::{Clock, SteppedClock};
use controller_kit::discovery::ServerAbilities;
use controller_kit::leadership::{Ungated, WriteGate};
use controller_kit::lease::{Claim, ClaimSettings, ElectionSettings, LeaderElector, Shards};
use controller_kit::metrics::Metrics;
use controller_kit::scope::{Reach, Scope};
use doris_sim::World;
use http::Request;
use http::header::CONTENT_LENGTH;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Client;
use kube::client::Body;
use kube_sim::{Identity, KubeSim, SimService};
use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::faults::Faults;
use super::transport::SimTransport;
use super::{CONTROLLER_ADDRESS, Lab, storm};

/// Between a death and the next process.
const RESTART: Duration = Duration::from_secs(5);
/// Lease of elected controllers.
const LEASE: &str = "doris-operator.dev-cluster-controller";
/// How long a silent leader keeps it.
const LEASE_DURATION: Duration = Duration::from_secs(15);

/// Changes an object on its way to the server, as mutating admission does: path and object.
pub type Admission = Arc<dyn Fn(&str, &mut Value) + Send + Sync>;

/// The role that is delivered with the controller, for the namespaces that it looks after.
pub fn delivered_role() -> ClusterRole {
    serde_saphyr::from_str(include_str!("../../../../deploy/rbac/cluster-controller/watched.yaml")).expect("a ClusterRole is delivered")
}

/// How a controller is started.
#[derive(Clone)]
pub struct ControllerOptions {
    /// Who it is to the API server.
    pub identity: Identity,
    /// What is made of the objects that it writes.
    pub admission: Option<Admission>,
    /// Tells two controllers of one laboratory apart.
    pub instance: u64,
    /// Whether it waits for the leader Lease.
    pub elected: bool,
    /// Namespace of its Leases.
    pub leader_namespace: String,
    /// Whether it shares the clusters with others of its kind instead, by shards.
    pub sharded: bool,
    /// Namespaces that it works in.
    pub reach: Reach,
    /// Name of its installation.
    pub installation: Option<String>,
    /// Rounds at the same time.
    pub concurrency: u16,
    /// Longest round.
    pub round_limit: Duration,
}

impl Default for ControllerOptions {
    fn default() -> Self {
        let (reach, installation) = (Reach::default(), None);
        Self {
            identity: Identity::admin(),
            admission: None,
            instance: 0,
            elected: false,
            leader_namespace: "default".to_owned(),
            sharded: false,
            reach,
            installation,
            concurrency: 8,
            round_limit: Duration::from_mins(2),
        }
    }
}

/// A controller that is restarted whenever the fault plan kills it. Ends when dropped.
pub struct Controller {
    task: JoinHandle<()>,
    deaths: Arc<AtomicU64>,
    hold: tokio::sync::watch::Sender<bool>,
    stop: CancellationToken,
}

struct Home {
    kube: KubeSim,
    world: World,
    faults: Faults,
    seed: u64,
    minor: u32,
    options: ControllerOptions,
    hold: tokio::sync::watch::Receiver<bool>,
    stop: CancellationToken,
}

impl Controller {
    pub(super) fn start(lab: &Lab, options: ControllerOptions) -> Self {
        let deaths = Arc::new(AtomicU64::new(0));
        let hold = tokio::sync::watch::Sender::new(false);
        let stop = CancellationToken::new();
        let home = Home {
            kube: lab.kube.clone(),
            world: lab.world.clone(),
            faults: lab.faults.clone(),
            seed: lab.settings.seed,
            minor: lab.settings.kubernetes_minor,
            options,
            hold: hold.subscribe(),
            stop: stop.clone(),
        };
        let task = tokio::spawn(live(home, deaths.clone()));
        Self { task, deaths, hold, stop }
    }

    /// How often it died.
    pub fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::SeqCst)
    }

    /// Tells it to end, and waits until it has.
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.expect("it ends by itself");
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
        let name = format!("{}{}", storm::CONTROLLER, home.options.instance * 100 + life);
        let mut crashes = home.faults.crashes();
        crashes.mark_unchanged();
        let service = home.kube.service(&name, home.options.identity.clone());
        let mut held = home.hold.clone();
        let to_hold = service.clone();
        // Tasks of a set end with it: nothing outlives a controller that is dropped.
        let mut process = JoinSet::new();
        process.spawn(controller(client(service, home.options.admission.clone()), &home, &name, life));
        process.spawn(async move {
            while held.changed().await.is_ok() {
                to_hold.hold_watches(*held.borrow_and_update());
            }
        });
        tokio::select! {
            // The sender lives in the fault plan that we hold.
            _ = crashes.changed() => drop(process),
            () = told_to_end(&home.stop, &mut process) => return,
        }
        deaths.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(RESTART).await;
    }
}

/// Waits until a process was told to end and has ended.
async fn told_to_end(stop: &CancellationToken, process: &mut JoinSet<()>) {
    stop.cancelled().await;
    process.join_next().await;
}

fn controller(client: Client, home: &Home, name: &str, life: u64) -> impl Future<Output = ()> + Send + use<> {
    let transport = SimTransport::new(home.world.clone(), CONTROLLER_ADDRESS, home.faults.clone(), name);
    let begin: jiff::Timestamp = super::EPOCH.parse().expect("the epoch is a timestamp");
    let now = jiff::Timestamp::from_millisecond(home.world.now_ms()).unwrap_or(begin);
    let clock = SteppedClock::starting_at(now);
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let election = ElectionSettings {
        namespace: home.options.leader_namespace.clone(),
        name: LEASE.into(),
        identity: name.to_owned(),
        duration: LEASE_DURATION,
        rivals: Vec::new(),
    };
    let claim = ClaimSettings::new(NAME, home.options.installation.as_deref(), election.clone());
    let shards = home.options.sharded.then(|| Shards::new(client.clone(), election.clone(), clock.clone()));
    let elector = home.options.elected.then(|| LeaderElector::new(&client, election, clock.clone()));
    let gate: Arc<dyn WriteGate> = match &elector {
        Some(elector) => Arc::new(elector.leadership()),
        None => Arc::new(Ungated),
    };
    let metrics = Arc::new(Metrics::new("doris_operator"));
    let claim = (*home.options.reach.scope() == Scope::All).then(|| Claim::new(client.clone(), &claim, clock.clone(), metrics.clone()));
    let parts = Parts { client, transport: Arc::new(transport), clock, gate, metrics, instance: name.to_owned() };
    let groups = if home.minor >= 21 { vec!["policy/v1", "events.k8s.io/v1"] } else { vec!["policy/v1beta1"] };
    let abilities = ServerAbilities::new((1, home.minor), groups.into_iter().map(str::to_owned));
    // Each life has its own randomness, or a new process would invent the ids of the former one.
    let seed = home.seed.wrapping_mul(1000).wrapping_add(home.options.instance * 100 + life);
    let ctx = Arc::new(Context::new(parts, &abilities, Some(seed)));
    let ControllerOptions { reach, installation, concurrency, round_limit, .. } = home.options.clone();
    let settings = Settings { reach, installation, concurrency, round_limit, seed };
    // As the program does: who loses a Lease ends.
    let stop = home.stop.clone();
    async move {
        let never = CancellationToken::new();
        if let Some(shards) = shards {
            let gates = shards.leaderships().into_iter().map(|leadership| Arc::new(leadership) as Arc<dyn WriteGate>).collect();
            let crew = Arc::new(Crew::divided(&ctx, gates));
            let work = Claimed { crew: &crew, claim: claim.as_ref() };
            tokio::select! {
                () = run(crew.clone(), settings, async {}, stop) => {}
                _ = shards.run(never, &work) => {}
            }
            return;
        }
        let Some(elector) = elector else { return run_undivided(ctx, settings, async {}, stop).await };
        let leadership = elector.leadership();
        let turn = async {
            leadership.acquired().await;
            if let Some(claim) = &claim {
                claim.acquire().await;
            }
        };
        tokio::select! {
            () = run_undivided(ctx, settings, turn, stop) => {}
            () = elector.run(never) => {}
            () = leadership.lost() => {}
        }
    }
}

/// A way to the API server, through admission if there is some.
fn client(service: SimService, admission: Option<Admission>) -> Client {
    let Some(admission) = admission else { return Client::new(service, "default") };
    let admitted = tower::service_fn(move |request: Request<Body>| {
        let (mut service, admission) = (service.clone(), admission.clone());
        async move {
            let (mut parts, body) = request.into_parts();
            let sent = body.collect_bytes().await.map_err(tower::BoxError::from)?;
            let body = match serde_json::from_slice::<Value>(&sent) {
                Ok(mut object) => {
                    admission(parts.uri.path(), &mut object);
                    parts.headers.remove(CONTENT_LENGTH);
                    Body::from(object.to_string().into_bytes())
                }
                Err(_) => Body::from(sent.to_vec()),
            };
            service.call(Request::from_parts(parts, body)).await.map_err(tower::BoxError::from)
        }
    });
    Client::new(admitted, "default")
}
