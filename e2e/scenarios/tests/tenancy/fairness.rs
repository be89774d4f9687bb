//! One tenant's trouble is nobody else's.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::DeleteParams;
use scenarios::lab::{Controller, ControllerOptions, Lab, Settings, basic, cluster};
use serde_json::json;
use tokio::time::Instant;

use crate::help::{Asked, Requests, namespace, ready, small};

/// Clusters that do not answer.
const BROKEN: usize = 200;

fn options() -> ControllerOptions {
    ControllerOptions { concurrency: 32, ..ControllerOptions::default() }
}

/// Time from a spec to a cluster of three frontends and three backends that is ready.
async fn timed(lab: &Lab, place: &str) -> Duration {
    let began = Instant::now();
    let mut wanted = cluster("free", basic("2.1.7"));
    wanted.metadata.namespace = Some(place.to_owned());
    lab.apply(&wanted).await.expect("the spec is accepted");
    ready(lab, place, "free").await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn fairness_with_200_broken_clusters() {
    let alone = {
        let lab = Lab::new(Settings::default()).await;
        let _controller = lab.start_controller_with(options());
        namespace(&lab, "quiet", &json!({})).await;
        timed(&lab, "quiet").await
    };
    let lab = Lab::new(Settings { judged: false, ..Settings::default() }).await;
    let _controller = lab.start_controller_with(options());
    for place in ["broken", "quiet", "patient"] {
        namespace(&lab, place, &json!({})).await;
    }
    let names: Vec<String> = (0..BROKEN).map(|index| format!("b{index}")).collect();
    for name in &names {
        lab.apply(&small("broken", name)).await.expect("the spec is accepted");
    }
    for name in &names {
        ready(&lab, "broken", name).await;
    }
    for name in &names {
        assert!(lab.nodes.freeze("broken", &format!("{name}-fe-0"), None, true), "it runs");
        // Something is to be done there, so that every round tries.
        let mut wanted = small("broken", name);
        wanted.spec.be.as_mut().expect("backends").replicas = 2;
        lab.apply(&wanted).await.expect("the spec is accepted");
    }
    // All at once, before it is known who does not answer; and when it is known.
    let at_once = timed(&lab, "quiet").await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let later = timed(&lab, "patient").await;
    println!("{alone:?} alone, {at_once:?} and {later:?} beside {BROKEN} clusters that do not answer");
    for beside in [at_once, later] {
        assert!(beside <= alone + Duration::from_secs(3), "{beside:?} beside broken clusters, {alone:?} alone");
    }
}

/// Names of the clusters whose identity was read, which is what a round of a process that just began does first.
fn looked_at<'a>(asked: impl IntoIterator<Item = &'a Asked>) -> BTreeSet<String> {
    asked.into_iter().filter_map(|asked| Some(asked.what.strip_suffix("-identity")?.rsplit_once('/')?.1.to_owned())).collect()
}

fn one_at_a_time() -> ControllerOptions {
    ControllerOptions { concurrency: 1, ..ControllerOptions::default() }
}

/// Clusters that are as they should be, and their controller.
async fn sixteen() -> (Lab, Controller) {
    let lab = Lab::new(Settings::default()).await;
    let controller = lab.start_controller_with(one_at_a_time());
    namespace(&lab, "many", &json!({})).await;
    let names: Vec<String> = (0..16).map(|index| format!("c{index}")).collect();
    for name in &names {
        lab.apply(&small("many", name)).await.expect("the spec is accepted");
    }
    for name in &names {
        ready(&lab, "many", name).await;
    }
    (lab, controller)
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_told_to_end_begins_no_more_rounds() {
    let (lab, former) = sixteen().await;
    drop(former);
    // Each round takes its time.
    for index in 0..16 {
        assert!(lab.nodes.freeze("many", &format!("c{index}-fe-0"), None, true), "it runs");
    }
    let requests = Requests::of(&lab);
    let controller = lab.start_controller_with(ControllerOptions { instance: 1, ..one_at_a_time() });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(looked_at(&requests.take()).len(), 1, "the first round is under way, and fifteen clusters wait for their turn");
    controller.stop().await;
    assert_eq!(looked_at(&requests.take()), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_begins_looks_first_at_who_needs_something() {
    const IN_NEED: &str = "c9";
    let (lab, former) = sixteen().await;
    drop(former);
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(lab.client.clone(), "many");
    budgets.delete(&format!("{IN_NEED}-be"), &DeleteParams::default()).await.expect("it is deleted");
    let requests = Requests::of(&lab);
    let _controller = lab.start_controller_with(ControllerOptions { instance: 1, ..one_at_a_time() });
    let is_back = async || budgets.get(&format!("{IN_NEED}-be")).await.map(|_| ()).map_err(|error| error.to_string());
    lab.eventually("the budget is back", Duration::from_mins(1), is_back).await;
    let looked = looked_at(requests.take().iter().take_while(|asked| !asked.is_write));
    assert!(looked.contains(IN_NEED) && looked.len() <= 2, "looked at before the first write: {looked:?}");
}
