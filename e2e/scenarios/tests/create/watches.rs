//! A watch that breaks is seen by whoever looks after the process, and stalls no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster_controller::context::{Context, Parts};
use cluster_controller::controller::{Settings as ControllerSettings, run_undivided};
use controller_kit::clock::SteppedClock;
use controller_kit::discovery::ServerAbilities;
use controller_kit::leadership::Ungated;
use controller_kit::metrics::Metrics;
use controller_kit::scope::Reach;
use controller_kit::server::router;
use doris_api::DorisCluster;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client};
use kube_sim::{ApiStatus, Fault, Identity};
use scenarios::lab::transport::SimTransport;
use scenarios::lab::{Lab, Settings, basic, cluster, is_ready};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A watch ends after 200 s and has to be opened anew.
const WATCH_ENDS: Duration = Duration::from_secs(210);

/// A controller whose health is at hand.
struct Watching {
    endpoints: Client,
    _process: JoinSet<()>,
}

impl Watching {
    fn start(lab: &Lab, namespaces: &[&str]) -> Self {
        let name = "controller-watched";
        let now = jiff::Timestamp::from_millisecond(lab.world.now_ms()).expect("the world has a time");
        let parts = Parts {
            client: Client::new(lab.kube.service(name, Identity::admin()), "default"),
            transport: Arc::new(SimTransport::new(lab.world.clone(), [127, 63, 0, 9].into(), lab.faults.clone(), name)),
            clock: Arc::new(SteppedClock::starting_at(now)),
            gate: Arc::new(Ungated),
            metrics: Arc::new(Metrics::new("doris_operator")),
            instance: name.to_owned(),
        };
        let abilities = ServerAbilities::new((1, 36), ["policy/v1", "events.k8s.io/v1"].map(str::to_owned));
        let ctx = Arc::new(Context::new(parts, &abilities, Some(7)));
        let endpoints = Client::new(router(ctx.endpoints()), "default");
        let namespaces: Vec<String> = namespaces.iter().map(|&namespace| namespace.to_owned()).collect();
        let reach = Reach::new(&namespaces, None, &[]).expect("a reach");
        let settings = ControllerSettings { reach, installation: None, concurrency: 8, round_limit: Duration::from_mins(2), seed: 7 };
        let mut process = JoinSet::new();
        process.spawn(run_undivided(ctx, settings, async {}, CancellationToken::new()));
        Self { endpoints, _process: process }
    }

    /// What an endpoint answers: status and text.
    async fn ask(&self, path: &str) -> (u16, String) {
        let request = http::Request::get(path).body(Vec::new()).expect("a request");
        match self.endpoints.request_text(request).await {
            Err(kube::Error::Api(status)) => (status.code, status.message),
            answer => (200, answer.expect("the endpoints answer")),
        }
    }

    async fn metric(&self, line: &str) -> Option<i64> {
        let (_, text) = self.ask("/metrics").await;
        text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    }
}

/// Refuses every list and watch of a kind while the switch is on.
fn refuse(lab: &Lab, resource: &'static str) -> Arc<AtomicBool> {
    let refuses = Arc::new(AtomicBool::new(true));
    let switch = refuses.clone();
    lab.kube.on_fault(move |audit| {
        let is_meant = audit.client == "controller-watched" && audit.resource == resource && ["list", "watch"].contains(&audit.verb);
        if is_meant && switch.load(Ordering::SeqCst) {
            return Fault::Answer(ApiStatus::new(403, "Forbidden", "networkpolicies are forbidden to everybody"));
        }
        Fault::Pass
    });
    refuses
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_for_a_while_is_seen_and_stalls_no_other() {
    let lab = Lab::new(Settings::default()).await;
    let watching = Watching::start(&lab, &[]);
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    assert_eq!(watching.ask("/readyz").await, (200, "ok".to_owned()));

    let refuses = refuse(&lab, "networkpolicies");
    tokio::time::sleep(WATCH_ENDS + Duration::from_mins(1)).await;
    let (code, told) = watching.ask("/readyz").await;
    assert_eq!(code, 503, "{told}");
    assert!(told.contains("networkpolicies (for ") && told.contains("forbidden to everybody"), "{told}");
    assert_eq!(watching.ask("/healthz").await.0, 200, "a restart is no help yet");
    assert_eq!(watching.metric(r#"doris_operator_watches_failing{watch="networkpolicies"}"#).await, Some(1));
    assert!(watching.metric(r#"doris_operator_watch_errors_total{watch="networkpolicies"}"#).await > Some(3));
    assert_eq!(watching.metric(r#"doris_operator_watches_failing{watch="pods"}"#).await, None, "no other watch failed");

    // All other watches go on, and so does the work: a new cluster comes to life meanwhile.
    lab.apply(&cluster("second", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until("Ready beside a broken watch", "second", Duration::from_mins(2), is_ready).await;
    assert_eq!(watching.ask("/readyz").await.0, 503);

    refuses.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(watching.ask("/readyz").await, (200, "ok".to_owned()));
    assert_eq!(watching.metric(r#"doris_operator_watches_failing{watch="networkpolicies"}"#).await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_for_ever_ends_the_process_liveness() {
    let lab = Lab::new(Settings::default()).await;
    let _refuses = refuse(&lab, "networkpolicies");
    let watching = Watching::start(&lab, &[]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(watching.ask("/readyz").await.0, 503, "a cache that was never filled");
    assert_eq!(watching.ask("/healthz").await.0, 200);
    tokio::time::sleep(Duration::from_mins(10)).await;
    let (code, told) = watching.ask("/healthz").await;
    assert_eq!(code, 503, "{told}");
    assert!(told.contains("networkpolicies (for ") && !told.contains("pods"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn the_namespaces_that_are_named_are_looked_after_and_no_other() {
    let lab = Lab::new(Settings::default()).await;
    let _watching = Watching::start(&lab, &["default", "shop"]);
    for name in ["shop", "stranger"] {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).expect("a namespace");
        Api::all(lab.client.clone()).create(&PostParams::default(), &namespace).await.expect("a namespace");
    }
    for namespace in ["default", "shop", "stranger"] {
        let mut wanted = cluster("demo", basic("2.1.7"));
        wanted.metadata.namespace = Some(namespace.to_owned());
        lab.apply(&wanted).await.expect("the spec is accepted");
    }
    lab.until_ready("demo").await;
    let is_well = || async {
        let found = lab.cluster("shop", "demo").await;
        if found.as_ref().is_some_and(is_ready) { Ok(()) } else { Err(format!("{:?}", found.and_then(|found| found.status))) }
    };
    lab.eventually("Ready in the other namespace", Duration::from_mins(2), is_well).await;
    let status = lab.cluster("stranger", "demo").await.and_then(|found: DorisCluster| found.status);
    assert!(status.is_none(), "nobody asked us to look there: {status:?}");
    // A list of one namespace, begun anew, takes nothing from the others.
    tokio::time::sleep(WATCH_ENDS).await;
    assert_eq!(lab.idle(Duration::from_mins(5)).await, Vec::<String>::new(), "an idle time");
}
