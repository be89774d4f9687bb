//! The tools, and one control plane for all tests of the binary that need one.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use scenarios::control_plane::{DEFAULT_VERSION, Tool};
use scenarios::delivery::{Command, Objects, Stand, controllers, foreign_definitions, root};
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

/// Files with the definitions of other projects' kinds; `None`, and a line that says why, on a machine that can't have them. CI can.
pub fn foreign_kinds() -> Option<Vec<PathBuf>> {
    match foreign_definitions() {
        Ok(files) => Some(files),
        Err(reason) if std::env::var_os("CI").is_none() => {
            eprintln!("kinds of Argo CD, Flux and the Prometheus operator are not tried: {reason}");
            None
        }
        Err(reason) => panic!("{reason}"),
    }
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

/// The chart with controllers that know every way to say where clusters are looked after, whatever they know today. Rendered, not run.
pub fn able_chart() -> String {
    static ABLE: LazyLock<String> = LazyLock::new(|| {
        let folder = HOME.path().join("able-chart");
        copy(&root().join(OPERATOR), &folder);
        for name in controllers() {
            let file = folder.join("charts").join(name).join("Chart.yaml");
            let text = std::fs::read_to_string(&file).expect("a chart");
            let line = text.lines().find(|line| line.contains("doris-operator.dev/watch:")).expect("the ways it knows").to_owned();
            let all = "  doris-operator.dev/watch: namespaces,namespaceSelector,denyNamespaces";
            std::fs::write(&file, text.replace(&line, all)).expect("written");
        }
        folder.display().to_string()
    });
    ABLE.clone()
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}
