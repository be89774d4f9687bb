//! What to try in a world that runs.

use std::net::IpAddr;
use std::path::Path;

/// What the hints are about.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// Kubeconfig of the world.
    pub kubeconfig: &'a Path,
    /// Log of the controller.
    pub log: &'a Path,
    /// A cluster.
    pub cluster: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Address of one of its frontends.
    pub frontend: Option<IpAddr>,
    /// Whether the user names the password of root: then it is in their Secret.
    pub root_is_given: bool,
    /// How many backends it has.
    pub backends: i32,
}

/// Lines for people.
pub fn hints(about: &About<'_>) -> String {
    let About { cluster, namespace, .. } = about;
    let place = if *namespace == "default" { String::new() } else { format!(" -n {namespace}") };
    let mut lines = vec![
        "In another terminal:".to_owned(),
        String::new(),
        format!("  export KUBECONFIG={}", about.kubeconfig.display()),
        format!("  kubectl get dcr,sts,pods,pvc,svc{place}"),
        format!("  kubectl describe dcr {cluster}{place}"),
        format!("  kubectl delete pod {cluster}-fe-0{place}           # it comes back on its volume, and another frontend leads meanwhile"),
    ];
    if about.backends > 0 {
        let more = about.backends + 1;
        lines.push(format!("  kubectl patch dcr {cluster}{place} --type merge -p '{{\"spec\":{{\"be\":{{\"replicas\":{more}}}}}}}'"));
    }
    lines.push(format!(
        "  kubectl patch dcr {cluster}{place} --type merge -p '{{\"spec\":{{\"fe\":{{\"replicas\":2}}}}}}'   # refused, and why"
    ));
    if let Some(frontend) = about.frontend {
        lines.extend([String::new(), "Doris itself, with any MySQL client:".to_owned(), String::new()]);
        let password = if about.root_is_given { String::from("<as in your Secret>") } else { String::from("$PASSWORD") };
        if !about.root_is_given {
            lines.push(format!(
                "  PASSWORD=$(kubectl get secret {cluster}-identity{place} -o jsonpath='{{.data.root\\.generated}}' | base64 -d)"
            ));
        }
        lines.push(format!("  mysql -h {frontend} -P 9030 -u root -p\"{password}\" -e 'SHOW FRONTENDS; SHOW BACKENDS'"));
    }
    lines.extend([String::new(), format!("Log of the controller: {}", about.log.display())]);
    lines.push("Changes are told here as they happen. Ctrl-C ends everything and leaves nothing behind.".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{About, hints};
    use std::path::Path;

    #[test]
    fn the_password_is_where_the_user_put_it() {
        let about = About {
            kubeconfig: Path::new("/tmp/k"),
            log: Path::new("/tmp/l"),
            cluster: "demo",
            namespace: "prod",
            frontend: Some([127, 65, 0, 1].into()),
            root_is_given: false,
            backends: 3,
        };
        let text = hints(&about);
        assert!(text.contains("get secret demo-identity -n prod -o jsonpath='{.data.root\\.generated}'"), "{text}");
        assert!(text.contains("\"replicas\":4"), "{text}");
        assert!(!hints(&About { root_is_given: true, ..about }).contains("demo-identity"));
    }
}
