//! One tenant's trouble is nobody else's.

use std::time::Duration;

use scenarios::lab::{ControllerOptions, Lab, Settings, basic, cluster};
use serde_json::json;
use tokio::time::Instant;

use crate::help::{namespace, ready, small};

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
