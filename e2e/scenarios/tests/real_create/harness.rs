//! One control plane for all scenarios of the binary.

use std::sync::LazyLock;

use scenarios::real::{Place, RealStand};
use tokio::runtime::Runtime;

/// The tests' own runtimes end with them; this one carries the nodes and the control plane until the process ends.
pub static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime"));
/// `None` on a machine that can't have it.
static STAND: LazyLock<Option<RealStand>> = LazyLock::new(|| {
    // With RUST_LOG set, controllers and nodes tell what they do.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    RUNTIME.block_on(RealStand::start_if_possible()).expect("a control plane")
});

/// Runs a scenario in a namespace of its own, or not at all on a machine without a real control plane.
pub fn run(scenario: &str, body: impl AsyncFnOnce(Place<'static>)) {
    let Some(stand) = STAND.as_ref() else { return };
    RUNTIME.block_on(async {
        body(Place::new(stand, scenario).await.expect("a namespace")).await;
    });
}
