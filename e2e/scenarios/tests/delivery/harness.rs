//! The tools, and one control plane for all tests of the binary that need one.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use scenarios::control_plane::{DEFAULT_VERSION, Tool};
use scenarios::delivery::{Command, Objects, Stand};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub const OPERATOR: &str = "helm/doris-operator";
pub const CLUSTER: &str = "helm/doris-cluster";
/// The release that Kustomize's names are those of, and its namespace.
pub const RELEASE: &str = "doris-operator";

pub static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime"));
/// Where the tools keep what they keep.
static HOME: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));
/// `None` on a machine that can't have it.
static STAND: LazyLock<Option<Stand>> = LazyLock::new(|| {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let version = std::env::var("REAL_KUBERNETES").ok().filter(|version| !version.is_empty());
    let version = version.as_deref().unwrap_or(DEFAULT_VERSION);
    RUNTIME.block_on(Stand::start_if_possible(version, env!("CARGO_BIN_EXE_demo").into())).expect("a control plane")
});

/// The programs, by their versions.
pub struct Helms {
    pub three: Command,
    pub four: Command,
}

/// A tool without a server; `None`, and a line that says why, on a machine that can't build it. CI can.
fn provide(tool: Tool) -> Option<PathBuf> {
    match tool.unavailable() {
        Some(reason) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped, for want of {tool:?}: {reason}");
            None
        }
        Some(reason) => panic!("{reason}"),
        None => Some(tool.provide().expect("the tool")),
    }
}

/// Both Helms for a server.
pub fn helms(kubeconfig: &Path) -> Option<Helms> {
    let command = |tool| Some(Command::new(&provide(tool)?, &HOME.path().join(format!("{tool:?}")), kubeconfig));
    Some(Helms { three: command(Tool::Helm3)?, four: command(Tool::Helm4)? })
}

/// The Lua that Argo CD has, if it can be had here.
pub fn lua() -> Option<PathBuf> {
    provide(Tool::Lua)
}

/// kubectl without a server.
pub fn kubectl() -> Command {
    Command::new(Path::new("kubectl"), HOME.path(), &HOME.path().join("no-server"))
}

/// Runs a test of what the tools render.
pub fn offline(body: impl AsyncFnOnce(Helms)) {
    let Some(helms) = helms(&HOME.path().join("no-server")) else { return };
    RUNTIME.block_on(body(helms));
}

/// Runs a test on the control plane, one at a time since definitions belong to everybody; not at all on a machine that can't have it.
pub fn run(body: impl AsyncFnOnce(&'static Stand, Helms, Command)) {
    static TURN: Mutex<()> = Mutex::new(());
    let Some(stand) = STAND.as_ref() else { return };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let kubeconfig = stand.control_plane.kubeconfig_path();
    let Some(helms) = helms(&kubeconfig) else { return };
    RUNTIME.block_on(body(stand, helms, Command::new(Path::new("kubectl"), HOME.path(), &kubeconfig)));
}

/// What a chart renders.
pub async fn template(helm: &Command, release: &str, chart: &str, arguments: &[&str]) -> Objects {
    let call = [&["template", release, chart, "--namespace", RELEASE], arguments].concat();
    Objects::read(&helm.run(&call).await.expect("a rendered chart"))
}
