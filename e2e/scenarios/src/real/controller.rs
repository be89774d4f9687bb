//! Our controller as a library, on threads of its own, so that it can die as a process does: all at once.

use std::sync::Arc;

use clap::Parser as _;
use cluster_controller::program::{Arguments, serve};
use doris_client::{Deadlines, Transport, WireTransport};
use kube::Client;
use kube::client::ClientBuilder;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::link::Link;
use crate::lab::transport::Faulted;

/// How long a Lease may be silent: a crash is to cost a scenario little.
const LEASE_SECONDS: &str = "10";

/// A running controller; it dies when dropped.
pub struct RealController {
    /// `None` once it is dead.
    runtime: Option<Runtime>,
    task: JoinHandle<Result<(), String>>,
    stop: CancellationToken,
}

impl RealController {
    /// Starts a controller for one namespace with a client configuration of its own, under a fault plan if there is a link.
    pub(super) fn start(config: kube::Config, namespace: &str, instance: &str, link: Option<Link>) -> Result<Self, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Controller(error.to_string());
        let arguments = Arguments::try_parse_from([
            "cluster-controller",
            "--namespaces",
            namespace,
            "--leader-namespace",
            namespace,
            "--identity",
            instance,
            "--listen",
            "127.0.0.1:0",
            "--lease-seconds",
            LEASE_SECONDS,
        ])
        .map_err(|error| failed(&error))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(format!("controller {instance}"))
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let wire = WireTransport::new(Deadlines::default()).map_err(|error| failed(&error))?;
        let transport: Arc<dyn Transport> = match &link {
            Some(link) => Arc::new(Faulted::before(wire, link.faults.clone(), &link.process)),
            None => Arc::new(wire),
        };
        let task = runtime.spawn(async move {
            let client = client(config, link).map_err(|error| error.to_string())?;
            serve(client, transport, arguments, stopped).await.map_err(|error| format!("{error:#}"))
        });
        Ok(Self { runtime: Some(runtime), task, stop })
    }

    /// Ends it in order: rounds under way are finished and the Lease is given up.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.stop.cancel();
        let outcome = (&mut self.task).await.map_err(|error| Error::Controller(error.to_string()))?;
        outcome.map_err(Error::Controller)
    }

    /// Ends it as a lost process ends: nothing is finished, nothing is given up.
    pub fn kill(self) {}

    /// Waits until it ends by itself, and says why it did.
    pub async fn ended(&mut self) -> String {
        match (&mut self.task).await {
            Ok(Ok(())) => "it was told to".to_owned(),
            Ok(Err(why)) => why,
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for RealController {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn client(config: kube::Config, link: Option<Link>) -> kube::Result<Client> {
    match link {
        Some(link) => Ok(ClientBuilder::try_from(config)?.with_layer(&link).build()),
        None => Client::try_from(config),
    }
}
