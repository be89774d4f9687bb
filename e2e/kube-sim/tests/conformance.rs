//! All recorded conversations against a server of this process.

use std::sync::Arc;

use kube_sim::conformance::{self, Server};
use kube_sim::{Identity, KubeSim, Options};
use node_sim::{Binding, Generic, NodeSim, NodeSpec};
use tokio::task::JoinSet;

/// How many cases run side by side: most of their time is waiting.
const TOGETHER: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_answers_as_a_real_server_did() -> anyhow::Result<()> {
    // Whichever test of this process comes first installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sim = KubeSim::new(Options { storage_class: false, ..Options::default() });
    sim.spawn_controllers();
    let client = kube::Client::new(sim.service("node-sim", Identity::admin()), "default");
    let node = |index| NodeSpec { zone: "z1".to_owned(), ..NodeSpec::numbered(index) };
    let options = node_sim::Options {
        nodes: (0..3).map(node).collect(),
        storage_class: "standard".to_owned(),
        binding: Binding::Immediate,
        ..node_sim::Options::default()
    };
    let nodes = NodeSim::start(&client, Arc::new(Generic), options);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let server = Server::new(&format!("http://{}", listener.local_addr()?), "")?;
    let serving = tokio::spawn(sim.serve(listener));

    let mut cases = conformance::load(&conformance::directory(), &[])?.into_iter();
    assert_eq!(cases.len(), 65, "cases are missing");
    let (mut running, mut failures, mut equal, mut compared) = (JoinSet::new(), Vec::new(), 0, 0);
    loop {
        while running.len() < TOGETHER
            && let Some(case) = cases.next()
        {
            let server = server.clone();
            running.spawn(async move { (case.name.clone(), conformance::run(&server, &case, "test").await) });
        }
        let Some(done) = running.join_next().await else { break };
        let (name, outcome) = done?;
        equal += outcome.equal;
        compared += outcome.compared;
        failures.extend(outcome.problems.into_iter().map(|problem| format!("{name} {problem}")));
    }
    drop(nodes);
    sim.stop();
    serving.await??;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(equal * 100 >= compared * 95, "only {equal} of {compared} message texts are equal");
    Ok(())
}
