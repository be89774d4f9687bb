//! `DorisInitializer`: SQL that is run in a cluster once, or whenever it changes.
//!
//! No Job and no image: the statements are sent by this process, one after the other, on one connection to the master. What is done is
//! on record in the status before the next one is sent, so a process that dies repeats at most the one that was under way.

mod lexer;
mod look;
mod plan;
mod report;
mod run;
mod script;
mod sources;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use controller_kit::report::{Failures, ReconcileError as _, full_text};
use controller_kit::turns::{Kind, Turns};
use controller_kit::watch::{self as kit, WatchName};
use doris_api::DorisInitializer;
use futures::StreamExt as _;
use kube::api::Api;
use kube::runtime::Controller;
use kube::runtime::controller::Action;
use kube::runtime::watcher;
use kube::{Resource as _, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use crate::cache::ClusterKey;
use crate::controller::{Crew, Settings};
use crate::program::NAME;
use look::Look;
pub use look::Memory;

/// A look that takes longer is given up: a statement may take its whole time, whatever is around it may not.
const AROUND_STATEMENTS: Duration = Duration::from_mins(3);

/// Until it is asked again whether a cluster has become ours.
const NOT_OURS: Duration = Duration::from_secs(10);

/// Namespace and name.
type Key = (String, String);

struct Shared {
    crew: Arc<Crew>,
    failures: Failures,
    turns: Turns,
    /// Name of this installation, where there are several.
    installation: Option<String>,
    /// The process is to end.
    stop: CancellationToken,
    memories: Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<Memory>>>>,
}

impl Shared {
    fn memory(&self, key: &Key) -> Arc<tokio::sync::Mutex<Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default().clone()
    }

    fn forget(&self, key: &Key) {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.failures.forget(&format!("DorisInitializer {}/{}", key.0, key.1));
        for ctx in self.crew.all() {
            ctx.applier.forget(&DorisInitializer::kind(&()), &key.0, &key.1);
        }
    }
}

/// The second loop of this controller: works on the initializers of the places until it is told to stop.
pub struct Loop {
    shared: Arc<Shared>,
}

impl Loop {
    /// Prepares the loop. As many initializers run statements at the same time as there may be rounds.
    pub fn new(crew: Arc<Crew>, settings: &Settings, stop: CancellationToken) -> Self {
        let turns = Turns::new(settings.concurrency);
        let (failures, installation) = (Failures::new(settings.seed), settings.installation.clone());
        Self { shared: Arc::new(Shared { crew, failures, turns, installation, stop, memories: Mutex::default() }) }
    }

    /// Works on the initializers of one namespace, or of all.
    pub fn run(&self, place: Option<&str>, config: watcher::Config, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
        let ctx = self.shared.crew.any();
        let api: Api<DorisInitializer> = match place {
            Some(namespace) => Api::namespaced(ctx.client.clone(), namespace),
            None => Api::all(ctx.client.clone()),
        };
        let name = WatchName::new("dorisinitializers", place);
        let (store, initializers) = kit::watch_main(name, api, config, ctx.watches.clone(), stop.clone());
        let (shared, for_gone) = (self.shared.clone(), self.shared.clone());
        Controller::for_stream(initializers, store)
            .with_config(kube::runtime::controller::Config::default().concurrency(0))
            .graceful_shutdown_on(stop.cancelled_owned())
            .run(reconcile, |_, error, _| Action::requeue(error.again_in), shared)
            .for_each(move |result| {
                match result {
                    Ok(_) => {}
                    Err(kube::runtime::controller::Error::ObjectNotFound(gone)) => {
                        for_gone.forget(&(gone.namespace.unwrap_or_default(), gone.name));
                    }
                    Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "a look at an initializer ended early"),
                }
                std::future::ready(())
            })
    }
}

/// A look that failed, and when the next one is due.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Failed {
    text: String,
    again_in: Duration,
}

async fn reconcile(initializer: Arc<DorisInitializer>, shared: Arc<Shared>) -> Result<Action, Failed> {
    let key = (initializer.namespace().unwrap_or_default(), initializer.name_any());
    if initializer.metadata.deletion_timestamp.is_some() {
        // What was done in Doris stays.
        shared.forget(&key);
        return Ok(Action::await_change());
    }
    let cluster = ClusterKey { namespace: key.0.clone(), name: initializer.spec.cluster_ref.name.clone() };
    // Statements take their time: whether somebody does not answer cannot be told from it.
    let _turn = tokio::select! {
        biased;
        () = shared.stop.cancelled() => return Ok(Action::await_change()),
        turn = shared.turns.take(&key.0, Kind::Usual) => turn,
    };
    // Another process runs it, with the cluster; when the cluster is ours, so is this.
    let Some(seat) = shared.crew.seat_for_statements(&cluster).await else { return Ok(Action::requeue(NOT_OURS)) };
    let ctx = &seat.ctx;
    let memory = shared.memory(&key);
    let mut memory = memory.lock().await;
    let limit = AROUND_STATEMENTS + Duration::from_secs(u64::try_from(initializer.spec.statement_timeout_seconds).unwrap_or(0));
    let look = Look::new(ctx, (initializer, shared.installation.as_deref()), &mut memory);
    let outcome = tokio::time::timeout(limit, look.take()).await;
    let name = format!("DorisInitializer {}/{}", key.0, key.1);
    match outcome {
        Ok(Ok(again)) => {
            shared.failures.after_success(&name);
            Ok(again.map_or_else(Action::await_change, Action::requeue))
        }
        Ok(Err(error)) => {
            ctx.metrics.failed(NAME, error.reason());
            tracing::warn!(initializer = name, error = full_text(&error), "a look at an initializer failed");
            Err(Failed { text: full_text(&error), again_in: shared.failures.after_error(&name, error.retry()) })
        }
        Err(_) => Err(Failed { text: format!("a look took longer than {} s", limit.as_secs()), again_in: Duration::from_secs(5) }),
    }
}
