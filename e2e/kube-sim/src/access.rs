//! Who asks, and what they may do.

pub mod escalation;
pub mod rbac;
pub mod reviews;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::status::{ApiStatus, Details};
use crate::store::{Store, text};

/// Group of those who may do everything.
const MASTERS: &str = "system:masters";

/// An authenticated user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

impl User {
    /// Somebody by name and groups; everybody authenticated is in `system:authenticated`.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        groups.push("system:authenticated".to_owned());
        Self { name: name.into(), groups }
    }

    /// The administrator.
    pub fn admin() -> Self {
        Self::new("kubernetes-admin", &[MASTERS])
    }

    /// Somebody without credentials.
    pub fn anonymous() -> Self {
        Self { name: "system:anonymous".to_owned(), groups: vec!["system:unauthenticated".to_owned()] }
    }

    /// A service account.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let group = format!("system:serviceaccounts:{namespace}");
        Self::new(format!("system:serviceaccount:{namespace}:{name}"), &["system:serviceaccounts", &group])
    }

    /// A built-in controller.
    pub fn controller(name: &str) -> Self {
        let mut user = Self::service_account("kube-system", name);
        user.groups.push(MASTERS.to_owned());
        user
    }

    /// Namespace and name, if this is a service account.
    pub fn as_service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }

    /// RBAC does not bind administrators, built-in controllers and nodes.
    pub fn is_unbound(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS || group == "system:nodes")
    }
}

/// A token that was issued for a service account.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// Namespace of the service account.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: a re-created namesake is somebody else.
    pub uid: String,
    /// When the token ends, if it does.
    pub expires: Option<Timestamp>,
}

/// Issued tokens by their text.
pub type Tokens = BTreeMap<String, IssuedToken>;

/// The user of a token that was issued to a service account which still exists.
pub fn service_account_of(tokens: &Tokens, store: &Store, token: &str, now: Timestamp) -> Option<User> {
    let issued = tokens.get(token)?;
    if issued.expires.is_some_and(|end| end <= now) {
        return None;
    }
    let account = store.get("serviceaccounts.", &issued.namespace, &issued.name)?;
    (text(account, "uid") == issued.uid).then(|| User::service_account(&issued.namespace, &issued.name))
}

/// What somebody wants to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or another word.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Plural of the resource; empty for a path that is no resource.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace, empty for the whole cluster.
    pub namespace: String,
    /// Name of the object, if the request has one.
    pub name: String,
    /// The path, when no resource is asked for.
    pub path: String,
}

impl Attributes {
    /// `statefulsets/scale`.
    pub fn resource_path(&self) -> String {
        if self.subresource.is_empty() { self.resource.clone() } else { format!("{}/{}", self.resource, self.subresource) }
    }

    /// The refusal of an unauthorised request.
    pub fn refusal(&self, user: &User) -> ApiStatus {
        if self.resource.is_empty() {
            let text = format!("forbidden: User \"{}\" cannot {} path \"{}\"", user.name, self.verb, self.path);
            return ApiStatus::new(403, "Forbidden", text).with(Details::default());
        }
        let qualified = if self.group.is_empty() { self.resource.clone() } else { format!("{}.{}", self.resource, self.group) };
        let what = if self.name.is_empty() { qualified } else { format!("{qualified} \"{}\"", self.name) };
        let scope =
            if self.namespace.is_empty() { "at the cluster scope".to_owned() } else { format!("in the namespace \"{}\"", self.namespace) };
        let text = format!(
            "{what} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {scope}",
            user.name,
            self.verb,
            self.resource_path(),
            self.group
        );
        ApiStatus::new(403, "Forbidden", text).with(Details {
            name: self.name.clone(),
            group: self.group.clone(),
            kind: self.resource.clone(),
            ..Details::default()
        })
    }
}
