//! Arguments and environment that every controller takes.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use kube::{Client, Config};

use crate::lease::{ClaimSettings, ElectionSettings, SHARDS, lease_of};
use crate::scope::{Reach, Scope, ScopeError};

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Arguments of every controller; flatten it into the controller's own. The API server is found by
/// `KUBECONFIG`, else by what a pod is given.
#[derive(Args, Clone, Debug)]
pub struct ControllerArgs {
    /// Namespaces to work in, separated by commas; all if left out.
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Instead of a list: a label selector of namespaces to work in, for example `doris in (yes)`. Namespaces come and go with their
    /// labels. Needs the right to list and watch namespaces.
    #[arg(long, env = "WATCH_NAMESPACE_SELECTOR")]
    pub namespace_selector: Option<String>,
    /// Namespaces to leave alone whatever else is said, separated by commas.
    #[arg(long, env = "DENY_NAMESPACES", value_delimiter = ',')]
    pub denied_namespaces: Vec<String>,
    /// Name of this installation where there are several: it works on clusters whose label `doris-operator.dev/installation` names it, and
    /// one without a name on clusters without the label.
    #[arg(long, env = "INSTALLATION")]
    pub installation: Option<String>,
    /// Address of health endpoints and metrics.
    #[arg(long, env = "LISTEN_ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Form of the log. What is logged is set by `RUST_LOG`.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Where to send traces (OTLP over gRPC); none are made if left out.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Namespace of the leader Lease.
    #[arg(long, env = "LEADER_NAMESPACE", default_value = "default")]
    pub leader_namespace: String,
    /// Name of the leader Lease; by default that of the controller.
    #[arg(long, env = "LEADER_LEASE")]
    pub leader_lease: Option<String>,
    /// Name of this process in Leases, for example its pod's.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// Seconds that a holder of a Lease may be silent before others take over. It writes nothing any more after two thirds of them, and
    /// ends if the API server does not answer for all of them.
    #[arg(long, env = "LEASE_SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(3..=3600))]
    pub lease_seconds: u64,
    /// Divide the work over all replicas instead of having one of them lead: every object belongs to one of eight shards, and each shard
    /// to the replica that holds its Lease.
    #[arg(long, env = "SHARDED", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub sharded: bool,
    /// Objects that are worked on at once.
    #[arg(long, env = "CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,
    /// Seconds that one reconcile may take; then it is given up, so that one slow cluster delays no other for ever.
    #[arg(long, env = "RECONCILE_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(10..=3600))]
    pub reconcile_seconds: u64,
    /// The domain of the cluster's names.
    #[arg(long, env = "CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
}

impl ControllerArgs {
    /// A client as configured, with TLS set up.
    pub async fn client(&self) -> Result<Client, kube::Error> {
        install_tls_provider();
        let config = Config::infer().await.map_err(kube::Error::InferConfig)?;
        Client::try_from(config)
    }

    /// Where to work.
    ///
    /// # Errors
    /// Namespaces are chosen in two ways at once, or all of them are denied.
    pub fn reach(&self) -> Result<Reach, ScopeError> {
        Reach::new(&self.namespaces, self.namespace_selector.as_deref(), &self.denied_namespaces)
    }

    /// The leader Lease of a controller. `start` makes the identity of this process its own even if its pod had one before.
    pub fn election(&self, controller: &str, start: u64) -> ElectionSettings {
        ElectionSettings {
            namespace: self.leader_namespace.clone(),
            name: self.leader_lease.clone().unwrap_or_else(|| format!("doris-operator.dev-{controller}")),
            identity: self.identity(controller, start),
            duration: self.lease_duration(),
            rivals: Vec::new(),
        }
    }

    /// The same for one that is not divided into shards: it leads while no shard is held.
    pub fn undivided_election(&self, controller: &str, start: u64) -> ElectionSettings {
        let settings = self.election(controller, start);
        ElectionSettings { rivals: (0..SHARDS).map(|shard| lease_of(&settings.name, shard)).collect(), ..settings }
    }

    /// The claim on all namespaces, for an installation that looks after all of them: others of the same name wait for it.
    pub fn claim(&self, controller: &str, reach: &Reach) -> Option<ClaimSettings> {
        (*reach.scope() == Scope::All).then(|| ClaimSettings::new(controller, self.installation.as_deref(), self.election(controller, 0)))
    }

    /// The name of this process in Leases.
    pub fn identity(&self, controller: &str, start: u64) -> String {
        let pod = self.identity.clone().unwrap_or_else(|| controller.to_owned());
        format!("{pod}-{start:x}")
    }

    /// How long a holder of a Lease may be silent.
    pub fn lease_duration(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    /// How long one reconcile may take.
    pub fn reconcile_limit(&self) -> Duration {
        Duration::from_secs(self.reconcile_seconds)
    }
}

/// Chooses the process-wide TLS implementation, once.
pub fn install_tls_provider() {
    static INSTALLED: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    INSTALLED.get_or_init(|| {
        // Somebody else's earlier choice is as good as ours.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ControllerArgs, LogFormat};
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ControllerArgs,
    }

    #[test]
    fn arguments_have_defaults_that_work_in_a_pod() {
        let cli = Cli::try_parse_from(["x", "--namespaces", "a,b", "--identity", "pod-1"]).expect("arguments");
        assert_eq!(cli.args.namespaces, ["a", "b"]);
        assert_eq!(cli.args.log_format, LogFormat::Json);
        assert_eq!(cli.args.reconcile_limit(), Duration::from_secs(120));
        let election = cli.args.election("cluster-controller", 255);
        assert_eq!((election.name.as_str(), election.identity.as_str()), ("doris-operator.dev-cluster-controller", "pod-1-ff"));
    }

    #[test]
    fn only_who_looks_after_all_namespaces_claims_them() {
        let claim = |arguments: &[&str]| {
            let cli = Cli::try_parse_from([&["x", "--leader-namespace", "ops"], arguments].concat()).expect("arguments");
            cli.args.claim("cluster-controller", &cli.args.reach().expect("a reach"))
        };
        let plain = claim(&["--denied-namespaces", "a"]).expect("a claim");
        assert_eq!((plain.namespace.as_str(), plain.name.as_str()), ("default", "doris-operator.dev-cluster-controller-everywhere"));
        assert_eq!(plain.leader, ("ops".to_owned(), "doris-operator.dev-cluster-controller".to_owned()));
        assert_eq!(claim(&["--installation", ""]), Some(plain));
        let green = claim(&["--installation", "green"]).expect("a claim");
        assert_eq!(green.name, "doris-operator.dev-cluster-controller-everywhere-green");
        assert_eq!(claim(&["--namespaces", "a"]), None);
        assert_eq!(claim(&["--namespace-selector", "a"]), None);
    }

    #[test]
    fn a_lease_of_no_time_is_refused() {
        assert!(Cli::try_parse_from(["x", "--lease-seconds", "0"]).is_err());
        assert!(Cli::try_parse_from(["x", "--concurrency", "0"]).is_err());
        assert!(Cli::try_parse_from(["x", "--reconcile-seconds", "1"]).is_err());
    }
}
