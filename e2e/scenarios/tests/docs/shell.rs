//! The world that the documentation's commands run in: a simulated server with the cluster of the basic example, and a shell that finds
//! our kubectl, Helm, cargo and just, and of other programs only a few.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use doris_api::DorisCluster;
use kube::Api;
use scenarios::control_plane::Tool;
use scenarios::delivery::root;
use scenarios::demo::progress::{is_ready, why_not_ready};
use scenarios::demo::{ControllerProcess, Settings, Stand, Start};
use scenarios::scale::scrape::scrape;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// More than a busy machine takes for the cluster, or for one block.
const PATIENCE: Duration = Duration::from_mins(4);
/// Programs that a block may use beside those that are made for it. Whoever needs another one needs more than this world has.
const PROGRAMS: [&str; 14] =
    ["base64", "bash", "cat", "date", "dirname", "env", "grep", "head", "printf", "rm", "sed", "sh", "timeout", "tr"];

/// Programs that are made for it.
const OURS: [&str; 4] = ["cargo", "helm", "just", "kubectl"];

/// Whether a block's lines begin with programs that are there.
pub fn can_run(lines: &str) -> bool {
    let commands = lines.lines().filter(|line| !line.starts_with([' ', '#'])).filter_map(|line| line.split_whitespace().next());
    commands.into_iter().all(|word| OURS.contains(&word) || PROGRAMS.contains(&word) || word == "export")
}

/// The world.
pub struct World {
    stand: Stand,
    controller: ControllerProcess,
    directory: TempDir,
    /// Both Helms, or why there are none here.
    helms: Result<[PathBuf; 2], String>,
}

impl World {
    /// Starts it and waits until the cluster is Ready.
    pub async fn start() -> Self {
        let stand = Stand::start(&Settings::default()).await.expect("a world");
        let kubeconfig = stand.kubeconfig();
        let start = Start {
            program: env!("CARGO_BIN_EXE_demo").into(),
            is_ours: true,
            kubeconfig: &kubeconfig,
            log: stand.file("controller.log"),
            arguments: Vec::new(),
        };
        let controller = ControllerProcess::start(start).await.expect("a controller");
        let directory = tempfile::tempdir().expect("a directory");
        let world = Self { stand, controller, directory, helms: helms() };
        world.furnish();
        let objects = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docs/world.yaml");
        world.must(&format!("\"$REAL_KUBECTL\" apply -f {objects} -f deploy/examples/basic.yaml")).await;
        if world.helms.is_ok() {
            let chart = "helm/doris-operator --namespace doris-operator --set crds.enabled=false,cluster-controller.enabled=true";
            world.must(&format!("\"$HELM4\" template doris-operator {chart} >own.yaml && \"$REAL_KUBECTL\" apply -f own.yaml")).await;
        }
        world.until_ready().await;
        world
    }

    /// A directory that looks like a checkout and may be written to, and the programs.
    fn furnish(&self) {
        let place = self.place();
        let programs = self.programs();
        for folder in [&place, &programs] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        for name in ["Cargo.toml", "crates", "deploy", "docs", "e2e", "helm", "justfile", ".git"] {
            symlink(root().join(name), place.join(name)).expect("a link");
        }
        std::fs::write(place.join("resource.sql"), "CREATE RESOURCE x").expect("written");
        for name in PROGRAMS {
            symlink(installed(name).expect("looked for before"), programs.join(name)).expect("a link");
        }
        let ours = [
            ("kubectl", include_str!("kubectl.sh")),
            ("helm", include_str!("helm.sh")),
            ("cargo", include_str!("note.sh")),
            ("just", include_str!("note.sh")),
        ];
        for (name, text) in ours {
            let path = programs.join(name);
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("may be run");
        }
    }

    fn place(&self) -> PathBuf {
        self.directory.path().join("checkout")
    }

    fn programs(&self) -> PathBuf {
        self.directory.path().join("programs")
    }

    fn notes(&self) -> PathBuf {
        self.directory.path().join("notes")
    }

    async fn until_ready(&self) {
        let clusters: Api<DorisCluster> = Api::namespaced(self.stand.client.clone(), "default");
        let end = Instant::now() + PATIENCE;
        loop {
            let cluster = clusters.get("demo").await.expect("the cluster is there");
            if is_ready(&cluster) {
                return;
            }
            assert!(Instant::now() < end, "{}\n{}", why_not_ready(&cluster), self.controller.tail());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether both Helms can be had here; the reason is printed if not. CI can.
    pub fn has_helm(&self) -> bool {
        match &self.helms {
            Ok(_) => true,
            Err(reason) => {
                assert!(std::env::var_os("CI").is_none(), "{reason}");
                eprintln!("commands of Helm are skipped: {reason}");
                false
            }
        }
    }

    /// Writes a file that commands find beside them.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.place().join(name), text).expect("written");
    }

    /// Runs lines of shell; what they wrote, or that and the status if one failed.
    pub async fn run(&self, lines: &str) -> Result<String, String> {
        let mut command = tokio::process::Command::new(self.programs().join("bash"));
        command
            .args(["-euo", "pipefail", "-c", lines])
            .current_dir(self.place())
            .env_clear()
            .env("PATH", self.programs())
            .env("HOME", self.directory.path())
            .env("KUBECONFIG", self.stand.kubeconfig())
            .env("WORLD_KUBECONFIG", self.stand.kubeconfig())
            .env("REAL_KUBECTL", installed("kubectl").expect("looked for before"))
            .env("NOTES", self.notes())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Ok([three, four]) = &self.helms {
            command.env("HELM3", three).env("HELM4", four);
        }
        let output = tokio::time::timeout(PATIENCE, command.output()).await.map_err(|_| format!("no end within {PATIENCE:?}"))?;
        let output = output.expect("a shell");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(said) } else { Err(format!("{}: {said}", output.status)) }
    }

    /// Runs lines that the world itself needs.
    pub async fn must(&self, lines: &str) {
        if let Err(said) = self.run(lines).await {
            panic!("{lines}: {said}");
        }
    }

    /// What was asked of cargo and just: the program, then its arguments.
    pub fn noted(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.notes()).unwrap_or_default();
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// The controller's metrics.
    pub async fn metrics(&self) -> String {
        scrape(self.controller.metrics()).await.expect("metrics")
    }

    /// Ends it.
    pub async fn stop(self) {
        self.controller.stop().await.expect("an end");
        self.stand.stop().await.expect("an end");
    }
}

/// What is missing here for a world; CI has it all.
pub fn missing() -> Option<&'static str> {
    let missing = PROGRAMS.into_iter().chain(["kubectl"]).find(|name| installed(name).is_none());
    assert!(missing.is_none() || std::env::var_os("CI").is_none(), "{missing:?} is missing");
    missing
}

fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.exists())
}

fn helms() -> Result<[PathBuf; 2], String> {
    let provide = |tool: Tool| match tool.unavailable() {
        Some(reason) => Err(reason.to_string()),
        None => tool.provide().map_err(|error| error.to_string()),
    };
    Ok([provide(Tool::Helm3)?, provide(Tool::Helm4)?])
}
