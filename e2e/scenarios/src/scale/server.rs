//! The API server that is measured against: simulated in this process, or the one of a kubeconfig.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use doris_sim::{Timing, WorldOptions};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube_sim::Identity;
use node_sim::{NodeSim, NodeSpec};
use serde_json::Value;
use tempfile::TempDir;

use super::tally::{Counts, Tally};
use crate::demo::{AddressRange, Settings, Stand, Worlds, install_definitions};

/// Whom the controller acts as on a real server, so that its requests can be told from others in the audit log.
const IMPERSONATED: &str = "scale-controller";

/// The server with its nodes.
pub enum Server {
    /// In this process.
    Simulated {
        /// The world.
        stand: Box<Stand>,
        /// Its requests.
        tally: Tally,
    },
    /// Somewhere else.
    Real(Box<Real>),
}

/// A server that is there already.
pub struct Real {
    client: Client,
    directory: TempDir,
    audit_log: Option<Mutex<AuditLog>>,
    _nodes: NodeSim,
    _range: AddressRange,
}

/// Doris as the clusters have it: quick to start, with the heartbeats of a real one, since many of them share this machine.
pub fn timing() -> Timing {
    Timing { heartbeat: None, report: Duration::from_secs(10), decommission_check: Duration::from_secs(10), ..Timing::fast() }
}

impl Server {
    /// Starts a simulated one.
    pub async fn simulated(settings: &Settings) -> anyhow::Result<Self> {
        let stand = Box::new(Stand::start(settings).await?);
        let tally = Tally::default();
        let counting = tally.clone();
        stand.kube.on_request(move |audit| counting.count(audit));
        Ok(Self::Simulated { stand, tally })
    }

    /// Uses a real one: registers nodes there and installs our definitions.
    pub async fn real(kubeconfig: &Path, audit_log: Option<PathBuf>, settings: &Settings) -> anyhow::Result<Self> {
        controller_kit::args::install_tls_provider();
        let mut admin = Kubeconfig::read_from(kubeconfig).context("the kubeconfig can't be read")?;
        let config = kube::Config::from_custom_kubeconfig(admin.clone(), &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        install_definitions(&client, settings.kubernetes_minor).await?;
        let range = AddressRange::take()?;
        let worlds =
            Worlds::new(WorldOptions { seed: settings.seed, timing: settings.timing.clone(), wire: true, ..WorldOptions::default() });
        let options = node_sim::Options {
            nodes: (0..settings.nodes).map(NodeSpec::numbered).collect(),
            pod_network: range.first(),
            pod_network_size: range.size(),
            ..node_sim::Options::default()
        };
        let nodes = NodeSim::start(&client, Arc::new(worlds), options);
        let directory = tempfile::Builder::new().prefix("doris-scale-").tempdir()?;
        for named in &mut admin.auth_infos {
            if let Some(user) = &mut named.auth_info {
                user.impersonate = Some(IMPERSONATED.to_owned());
                user.impersonate_groups = Some(vec!["system:masters".to_owned()]);
            }
        }
        let text = serde_saphyr::to_string(&admin).context("the kubeconfig can't be written")?;
        crate::demo::write_private(&directory.path().join("kubeconfig"), &text)?;
        let audit_log = audit_log.map(|path| Mutex::new(AuditLog { path, read: 0, counts: Counts::new() }));
        Ok(Self::Real(Box::new(Real { client, directory, audit_log, _nodes: nodes, _range: range })))
    }

    /// A client whose requests are not counted.
    pub fn client(&self) -> Client {
        match self {
            Self::Simulated { stand, .. } => Client::new(stand.kube.service("benchmark", Identity::admin()), "default"),
            Self::Real(real) => real.client.clone(),
        }
    }

    /// The kubeconfig for the controller.
    pub fn kubeconfig(&self) -> PathBuf {
        self.file("kubeconfig")
    }

    /// A file that goes with the server.
    pub fn file(&self, name: &str) -> PathBuf {
        match self {
            Self::Simulated { stand, .. } => stand.file(name),
            Self::Real(real) => real.directory.path().join(name),
        }
    }

    /// The controller's requests so far; none if nobody counts them.
    pub fn counts(&self) -> anyhow::Result<Option<Counts>> {
        match self {
            Self::Simulated { tally, .. } => Ok(Some(tally.counts())),
            Self::Real(real) => {
                let log = real.audit_log.as_ref();
                log.map(|log| log.lock().unwrap_or_else(PoisonError::into_inner).counts()).transpose()
            }
        }
    }

    /// Ends what was started.
    pub async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Simulated { stand, .. } => Ok(stand.stop().await?),
            Self::Real(real) => Ok(real.directory.close()?),
        }
    }
}

/// An audit log that grows, and the controller's requests in what was read of it.
struct AuditLog {
    path: PathBuf,
    read: u64,
    counts: Counts,
}

impl AuditLog {
    /// Reads on to the end, up to the last whole line.
    fn counts(&mut self) -> anyhow::Result<Counts> {
        let unreadable = || format!("the audit log {} can't be read", self.path.display());
        let mut file = std::fs::File::open(&self.path).with_context(unreadable)?;
        file.seek(SeekFrom::Start(self.read)).with_context(unreadable)?;
        let mut lines = BufReader::new(file);
        let mut line = String::new();
        while lines.read_line(&mut line).with_context(unreadable)? > 0 && line.ends_with('\n') {
            self.read += line.len() as u64;
            if let Some(request) = own_request(&line) {
                *self.counts.entry(request).or_default() += 1;
            }
            line.clear();
        }
        Ok(self.counts.clone())
    }
}

/// Verb and resource, if the controller sent it.
fn own_request(line: &str) -> Option<(String, String)> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let is_ours = entry["impersonatedUser"]["username"] == IMPERSONATED && entry["stage"] == "ResponseComplete";
    let (verb, resource) = (entry["verb"].as_str().filter(|_| is_ours)?, entry["objectRef"]["resource"].as_str()?);
    let resource = entry["objectRef"]["subresource"].as_str().map_or_else(|| resource.to_owned(), |sub| format!("{resource}/{sub}"));
    Some((verb.to_owned(), resource))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{AuditLog, Counts, IMPERSONATED};

    #[test]
    fn an_audit_log_is_read_on_where_it_was_left_and_only_whole_lines() {
        let line = |user: &str| {
            format!(
                r#"{{"stage":"ResponseComplete","verb":"patch","impersonatedUser":{{"username":"{user}"}},"objectRef":{{"resource":"pods","subresource":"status"}}}}"#
            )
        };
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let mut log = AuditLog { path: file.path().to_owned(), read: 0, counts: Counts::new() };
        let patches = |counts: Counts| counts.get(&("patch".to_owned(), "pods/status".to_owned())).copied().unwrap_or_default();
        write!(file, "{}\n{}\n{}", line(IMPERSONATED), line("somebody"), line(IMPERSONATED)).expect("room");
        assert_eq!(patches(log.counts().expect("readable")), 1);
        writeln!(file).expect("room");
        assert_eq!(patches(log.counts().expect("readable")), 2);
        assert_eq!(patches(log.counts().expect("readable")), 2);
    }
}
