//! What the API server writes down of the requests it gets.

use serde_json::{Value, json};

/// How much of a request the audit log holds. Reads are logged without bodies at every level, and so is whatever carries a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditLevel {
    /// No audit log.
    None,
    /// Who did what to which object, and the status code.
    Metadata,
    /// That and, of a write, the body that was sent.
    #[default]
    Request,
    /// That and, of a write, the body of the answer.
    RequestResponse,
}

impl AuditLevel {
    fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }

    /// The policy file's content. The first rule that fits a request decides.
    pub(super) fn policy(self) -> Value {
        json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            // One line a request, written when it is answered.
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
                {"level": "None", "users": ["system:apiserver"]},
                {"level": "Metadata", "users": ["system:kube-controller-manager", "system:kube-scheduler"]},
                {"level": "Metadata", "userGroups": ["system:serviceaccounts:kube-system"]},
                {"level": "Metadata", "resources": [
                    {"group": "", "resources": ["secrets", "serviceaccounts/token"]},
                    {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
                ]},
                {"level": self.name(), "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
                {"level": "Metadata"},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::AuditLevel;

    #[test]
    fn a_secret_is_never_logged_with_its_content() {
        let policy = AuditLevel::RequestResponse.policy();
        let rules = policy["rules"].as_array().expect("rules");
        let position = |wanted: &dyn Fn(&serde_json::Value) -> bool| rules.iter().position(wanted).expect("a rule");
        let secrets = position(&|rule| rule["resources"][0]["resources"][0] == "secrets");
        let bodies = position(&|rule| rule["level"] == "RequestResponse");
        assert!(secrets < bodies, "the first rule that fits decides: {policy}");
        assert_eq!(rules[secrets]["level"], "Metadata");
    }
}
