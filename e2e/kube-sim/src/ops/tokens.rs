//! Tokens of service accounts: on request, and in Secrets of their type.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::access::IssuedToken;
use crate::call::{Call, Target};
use crate::clock::seconds;
use crate::cluster::Cluster;
use crate::status::{ApiStatus, Cause};
use crate::store::text;

const SECRET_TYPE: &str = "kubernetes.io/service-account-token";

impl Cluster {
    /// Answers a `TokenRequest`.
    pub fn request_token(&mut self, call: &Call, target: &Target, mut request: Value) -> Result<Value, ApiStatus> {
        let resource = &target.resource;
        let account = self.store.get(&resource.key, &target.namespace, &target.name).cloned();
        let account = account.ok_or_else(|| ApiStatus::not_found(resource, &target.name))?;
        let lifetime = request["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
        if lifetime < 600 {
            let text = format!("Invalid value: {lifetime}: may not specify a duration less than 10 minutes");
            let cause = Cause::new("FieldValueInvalid", "spec.expirationSeconds", text);
            return Err(ApiStatus::invalid("authentication.k8s.io", "TokenRequest", &target.name, vec![cause]));
        }
        let expires = call.now.checked_add(SignedDuration::from_secs(lifetime)).unwrap_or(call.now);
        let token = self.issue(&account, Some(expires));
        if !request["metadata"].is_object() {
            request["metadata"] = json!({});
        }
        request["metadata"]["name"] = target.name.clone().into();
        request["metadata"]["namespace"] = target.namespace.clone().into();
        request["metadata"]["creationTimestamp"] = seconds(call.now).into();
        if !request["spec"].is_object() {
            request["spec"] = json!({});
        }
        request["spec"]["expirationSeconds"] = lifetime.into();
        if request["spec"]["audiences"].is_null() {
            request["spec"]["audiences"] = json!(["https://kubernetes.default.svc"]);
        }
        request["status"] = json!({"token": token, "expirationTimestamp": seconds(expires)});
        Ok(request)
    }

    fn issue(&mut self, account: &Value, expires: Option<jiff::Timestamp>) -> String {
        let token = format!("sa-{}", self.ids.secret());
        let issued = IssuedToken {
            namespace: text(account, "namespace").to_owned(),
            name: text(account, "name").to_owned(),
            uid: text(account, "uid").to_owned(),
            expires,
        };
        self.tokens.insert(token.clone(), issued);
        token
    }

    /// Fills a Secret that asks for a token.
    pub(super) fn issue_secret_token(&mut self, secret: &Arc<Value>) {
        if secret["type"] != SECRET_TYPE || secret["data"]["token"].is_string() {
            return;
        }
        let namespace = text(secret, "namespace").to_owned();
        let name = secret["metadata"]["annotations"]["kubernetes.io/service-account.name"].as_str().unwrap_or_default();
        let Some(account) = self.core("serviceaccounts", &namespace, name).cloned() else { return };
        let token = self.issue(&account, None);
        let mut filled = (**secret).clone();
        filled["metadata"]["annotations"]["kubernetes.io/service-account.uid"] = account["metadata"]["uid"].clone();
        filled["data"] = json!({"token": STANDARD.encode(token), "namespace": STANDARD.encode(namespace)});
        self.store.put(&"secrets.".into(), filled);
    }

    /// A token ends with its Secret.
    pub(super) fn forget_secret_token(&mut self, secret: &Value) {
        if secret["type"] != SECRET_TYPE {
            return;
        }
        let token = secret["data"]["token"].as_str().and_then(|token| STANDARD.decode(token).ok());
        if let Some(token) = token.and_then(|token| String::from_utf8(token).ok()) {
            self.tokens.remove(&token);
        }
    }
}
