//! The command lines of the four programs, as a pure function of where things are.

use std::path::{Path, PathBuf};

use super::{AuditLevel, Options};

/// Service addresses; nothing routes them, they only have to be allocated.
const SERVICE_RANGE: &str = "10.96.0.0/16";
/// What the server tells others to reach it by. It refuses loopback for that, and a machine without a default route has nothing else
/// to offer; this one is set aside for documentation and belongs to nobody.
const ADVERTISED_ADDRESS: &str = "192.0.2.1";
/// The built-in controllers' own request limits are lifted, so that they are not what a benchmark measures.
const REQUESTS_PER_SECOND: u32 = 2_000;

/// The loopback ports that one control plane uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub etcd: u16,
    pub etcd_peer: u16,
    pub apiserver: u16,
    pub controller_manager: u16,
    pub scheduler: u16,
}

/// Where everything of one control plane lies.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub root: PathBuf,
    pub ports: Ports,
}

impl Layout {
    pub(super) fn etcd_data(&self) -> PathBuf {
        self.root.join("etcd")
    }
    pub(super) fn certificates(&self) -> PathBuf {
        self.root.join("certificates")
    }
    /// The certificate that the API server makes for itself, with its issuer in the same file.
    pub(super) fn serving_certificate(&self) -> PathBuf {
        self.certificates().join("apiserver.crt")
    }
    pub(super) fn signing_key(&self) -> PathBuf {
        self.root.join("service-accounts.key")
    }
    pub(super) fn verification_key(&self) -> PathBuf {
        self.root.join("service-accounts.pub")
    }
    pub(super) fn tokens(&self) -> PathBuf {
        self.root.join("tokens.csv")
    }
    pub(super) fn audit_policy(&self) -> PathBuf {
        self.root.join("audit-policy.json")
    }
    pub(super) fn audit_log(&self) -> PathBuf {
        self.root.join("audit.log")
    }
    pub(super) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }
    pub(super) fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }
    pub(super) fn controller_manager_kubeconfig(&self) -> PathBuf {
        self.root.join("controller-manager.kubeconfig")
    }
    pub(super) fn scheduler_kubeconfig(&self) -> PathBuf {
        self.root.join("scheduler.kubeconfig")
    }
    pub(super) fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.apiserver)
    }

    pub(super) fn etcd_arguments(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.ports.etcd);
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer);
        vec![
            option("data-dir", self.etcd_data().display()),
            option("listen-client-urls", &client),
            option("advertise-client-urls", &client),
            option("listen-peer-urls", &peer),
            option("initial-advertise-peer-urls", &peer),
            option("initial-cluster", format!("default={peer}")),
            option("log-level", "warn"),
            // The data dies with the control plane: waiting for the disk would only make every write slow.
            "--unsafe-no-fsync".to_owned(),
        ]
    }

    pub(super) fn apiserver_arguments(&self, options: &Options) -> Vec<String> {
        let mut arguments = vec![
            option("etcd-servers", format!("http://127.0.0.1:{}", self.ports.etcd)),
            option("cert-dir", self.certificates().display()),
            option("bind-address", "127.0.0.1"),
            option("advertise-address", ADVERTISED_ADDRESS),
            option("secure-port", self.ports.apiserver),
            option("service-account-key-file", self.verification_key().display()),
            option("service-account-signing-key-file", self.signing_key().display()),
            option("service-account-issuer", "https://kubernetes.default.svc"),
            option("token-auth-file", self.tokens().display()),
            option("authorization-mode", "RBAC"),
            option("service-cluster-ip-range", SERVICE_RANGE),
            option("allow-privileged", true),
        ];
        if options.audit != AuditLevel::None {
            arguments.push(option("audit-policy-file", self.audit_policy().display()));
            arguments.push(option("audit-log-path", self.audit_log().display()));
            // Written before the answer goes out: who has the answer finds the request in the log.
            arguments.push(option("audit-log-mode", "blocking"));
        }
        if !options.service_account_admission {
            arguments.push(option("disable-admission-plugins", "ServiceAccount"));
        }
        arguments
    }

    pub(super) fn controller_manager_arguments(&self) -> Vec<String> {
        let mut arguments = client_arguments(&self.controller_manager_kubeconfig(), self.ports.controller_manager);
        arguments.extend([
            option("service-account-private-key-file", self.signing_key().display()),
            option("root-ca-file", self.serving_certificate().display()),
            option("use-service-account-credentials", true),
        ]);
        arguments
    }

    pub(super) fn scheduler_arguments(&self) -> Vec<String> {
        client_arguments(&self.scheduler_kubeconfig(), self.ports.scheduler)
    }
}

fn client_arguments(kubeconfig: &Path, port: u16) -> Vec<String> {
    vec![
        option("kubeconfig", kubeconfig.display()),
        option("leader-elect", false),
        option("bind-address", "127.0.0.1"),
        option("secure-port", port),
        option("kube-api-qps", REQUESTS_PER_SECOND),
        option("kube-api-burst", REQUESTS_PER_SECOND * 2),
    ]
}

fn option(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

#[cfg(test)]
mod tests {
    use super::{AuditLevel, Layout, Options, Ports};

    fn layout() -> Layout {
        Layout { root: "/r".into(), ports: Ports { etcd: 1, etcd_peer: 2, apiserver: 3, controller_manager: 4, scheduler: 5 } }
    }

    #[test]
    fn nothing_listens_anywhere_but_on_loopback() {
        let layout = layout();
        for (program, arguments) in [
            ("kube-apiserver", layout.apiserver_arguments(&Options::default())),
            ("kube-controller-manager", layout.controller_manager_arguments()),
            ("kube-scheduler", layout.scheduler_arguments()),
        ] {
            assert!(arguments.contains(&"--bind-address=127.0.0.1".to_owned()), "{program}: {arguments:?}");
        }
        let etcd = layout.etcd_arguments();
        assert!(
            etcd.iter().filter(|argument| argument.contains("-urls=")).all(|argument| argument.contains("=http://127.0.0.1:")),
            "{etcd:?}"
        );
    }

    #[test]
    fn every_program_has_a_port_of_its_own() {
        let layout = layout();
        assert!(layout.apiserver_arguments(&Options::default()).contains(&"--secure-port=3".to_owned()));
        assert!(layout.controller_manager_arguments().contains(&"--secure-port=4".to_owned()));
        assert!(layout.scheduler_arguments().contains(&"--secure-port=5".to_owned()));
    }

    #[test]
    fn the_audit_log_is_written_only_when_asked_for() {
        let audited = |audit| {
            let options = Options { audit, ..Options::default() };
            layout().apiserver_arguments(&options).iter().any(|argument| argument.starts_with("--audit-log-path="))
        };
        assert!(!audited(AuditLevel::None));
        assert!(audited(AuditLevel::Metadata));
    }
}
