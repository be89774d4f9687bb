//! What a request's method and path ask for.

use http::Method;

use crate::access::Attributes;

/// A request for a resource, or for another path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// The verb, as access control and audit name it.
    pub verb: &'static str,
    /// API group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural; empty for a path that is no resource.
    pub plural: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The whole path.
    pub path: String,
}

impl RequestInfo {
    /// Reads method and path. `watch` says that the query asks for a watch, `named` gives a name that a field selector fixes.
    pub fn parse(method: &Method, path: &str, watch: bool) -> Self {
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        let mut info = Self { path: path.to_owned(), verb: plain_verb(method), ..Self::default() };
        let rest = match parts.first().map(String::as_str) {
            Some("api") if parts.len() > 2 => {
                info.version.clone_from(&parts[1]);
                &parts[2..]
            }
            Some("apis") if parts.len() > 3 => {
                info.group.clone_from(&parts[1]);
                info.version.clone_from(&parts[2]);
                &parts[3..]
            }
            _ => return info,
        };
        info.resource_path(rest);
        info.verb = verb(method, !info.name.is_empty(), watch);
        info
    }

    fn resource_path(&mut self, parts: &[String]) {
        let mut parts = parts;
        if parts.len() > 1 && parts[0] == "namespaces" {
            let is_subresource = parts.len() == 3 && matches!(parts[2].as_str(), "status" | "finalize");
            self.namespace.clone_from(&parts[1]);
            if parts.len() > 2 && !is_subresource {
                parts = &parts[2..];
            }
        }
        let mut parts = parts.iter();
        self.plural = parts.next().cloned().unwrap_or_default();
        self.name = parts.next().cloned().unwrap_or_default();
        self.subresource = parts.next().cloned().unwrap_or_default();
    }

    /// A resource is asked for.
    pub fn is_resource(&self) -> bool {
        !self.plural.is_empty()
    }

    /// What access control is asked.
    pub fn attributes(&self) -> Attributes {
        Attributes {
            verb: self.verb.to_owned(),
            group: self.group.clone(),
            resource: self.plural.clone(),
            subresource: self.subresource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            path: if self.is_resource() { String::new() } else { self.path.clone() },
        }
    }
}

fn plain_verb(method: &Method) -> &'static str {
    match method.as_str() {
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        "HEAD" => "head",
        _ => "get",
    }
}

fn verb(method: &Method, named: bool, watch: bool) -> &'static str {
    match (method.as_str(), named) {
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        ("GET" | "HEAD", _) if watch => "watch",
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) => "list",
        _ => "",
    }
}

fn decode(part: &str) -> String {
    if !part.contains('%') {
        return part.to_owned();
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(part.len()), part.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok()))
            .flatten();
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_the_server_does() {
        let cases = [
            ("GET", "/api/v1/namespaces/n/pods/p/log", false, "get //v1 pods/log n p"),
            ("GET", "/api/v1/namespaces/n", false, "get //v1 namespaces/ n n"),
            ("PUT", "/api/v1/namespaces/n/status", false, "update //v1 namespaces/status n n"),
            ("GET", "/api/v1/namespaces/n/pods", true, "watch //v1 pods/ n "),
            ("DELETE", "/apis/apps/v1/namespaces/n/statefulsets", false, "deletecollection /apps/v1 statefulsets/ n "),
            ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", false, "create /rbac.authorization.k8s.io/v1 clusterroles/  "),
            (
                "PATCH",
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Ab",
                false,
                "patch /rbac.authorization.k8s.io/v1 clusterroles/  a:b",
            ),
        ];
        for (method, path, watch, wanted) in cases {
            let method: Method = method.parse().expect("a method");
            let info = RequestInfo::parse(&method, path, watch);
            let got = format!(
                "{} /{}/{} {}/{} {} {}",
                info.verb, info.group, info.version, info.plural, info.subresource, info.namespace, info.name
            );
            assert_eq!(got, wanted, "{path}");
        }
        assert!(!RequestInfo::parse(&Method::GET, "/apis/apps/v1", false).is_resource());
    }
}
