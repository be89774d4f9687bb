//! Our controller as a library, on threads of its own, so that it can die as a process does: all at once.

use std::sync::Arc;

use clap::Parser as _;
use cluster_controller::program::{Arguments, serve};
use doris_client::{Deadlines, WireTransport};
use kube::Client;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Error;

/// How long a Lease may be silent: a crash is to cost a scenario little.
const LEASE_SECONDS: &str = "5";

/// A running controller; it dies when dropped.
pub struct RealController {
    /// `None` once it is dead.
    runtime: Option<Runtime>,
    task: JoinHandle<Result<(), String>>,
    stop: CancellationToken,
}

impl RealController {
    /// Starts a controller for one namespace with a client configuration of its own.
    pub(super) fn start(config: kube::Config, namespace: &str, instance: &str) -> Result<Self, Error> {
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
        let transport = WireTransport::new(Deadlines::default()).map_err(|error| failed(&error))?;
        let task = runtime.spawn(async move {
            let client = Client::try_from(config).map_err(|error| error.to_string())?;
            serve(client, Arc::new(transport), arguments, stopped).await.map_err(|error| format!("{error:#}"))
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

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for RealController {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
