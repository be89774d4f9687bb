//! The identity of a cluster: Secret `<cluster>-identity`, kept when the cluster is deleted.
//!
//! It is what makes founding once, and recreating a deleted cluster on its volumes, possible:
//! the phase of founding, Doris' cluster id, the members ever registered and the accounts. Status
//! shows a copy; the truth is here and on the volumes.

use std::collections::{BTreeMap, BTreeSet};

use doris_api::names::INITIAL_ROOT_KEY;
use doris_client::{Password, initial_root_password};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};

use crate::release::Release;

/// How far founding has come. Only `Founding` allows a start on empty metadata without helper.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Phase {
    /// No frontend was ever told to found.
    #[default]
    Unfounded,
    /// This pod, on this claim, was chosen to found.
    Founding {
        /// Counts from 1; a higher one lets the gate move half-founded files aside.
        attempt: u32,
        /// Uid of the founding pod.
        pod_uid: String,
        /// Uid of its claim.
        claim_uid: String,
        /// When this attempt was decided.
        since: Timestamp,
        /// How often the pod's container had been restarted by then.
        restarts: i32,
    },
    /// The cluster exists. Nothing founds again under this identity.
    Founded {
        /// Doris' cluster id.
        cluster_id: String,
    },
}

/// A frontend that was seen as a registered member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFrontend {
    /// Doris' node name, new at every registration.
    pub name: String,
    /// `FOLLOWER` or `OBSERVER`.
    pub role: String,
}

/// The passwords the operator keeps. Every one is stored here before Doris learns it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Accounts {
    /// Password of the operator's own account.
    pub operator: Password,
    /// The one it is being changed to.
    pub operator_next: Option<Password>,
    /// The last wish for a new one that was taken up, by its digest.
    pub operator_rotation: Option<String>,
    /// Root's password when the user names none.
    pub root_generated: Password,
    /// Root's password that Doris last took.
    pub root_applied: Option<Password>,
    /// The one that root's is being changed to.
    pub root_next: Option<Password>,
    /// Admin's password when the user names none.
    pub admin_generated: Password,
    /// Admin's password that Doris last took.
    pub admin_applied: Option<Password>,
}

/// All that the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// Random id, on every claim and in every marker of the cluster.
    pub id: String,
    /// How far founding has come.
    pub phase: Phase,
    /// Raised by a recovery; members of an older epoch park themselves.
    pub epoch: u64,
    /// Frontends seen registered, by FQDN.
    pub frontends: BTreeMap<String, KnownFrontend>,
    /// Names that Doris had frontends under which left the group, by FQDN, until they are members again: what is on their
    /// volumes is of no use.
    pub left: BTreeMap<String, BTreeSet<String>>,
    /// Backends seen registered and alive, by FQDN, with their Doris id: their claims hold data.
    pub backends: BTreeMap<String, String>,
    /// Disks that backends were seen alive with, by FQDN: another one is new, and may be empty.
    pub disks: BTreeMap<String, BTreeSet<String>>,
    /// Ports that members are registered with, by component.
    pub ports: BTreeMap<String, u16>,
    /// Domain part of every member's FQDN when the cluster was founded; a change would orphan
    /// every registration.
    pub fqdn_suffix: String,
    /// Builds of Doris that it runs; none before it is founded.
    pub release: Option<Release>,
    /// Passwords.
    pub accounts: Accounts,
}

/// A Secret of that name which does not hold an identity. Nothing is done until a person mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {key} of the identity Secret {problem}")]
pub struct IdentityError {
    key: &'static str,
    problem: &'static str,
}

impl Identity {
    /// Doris' cluster id, once founded.
    pub fn cluster_id(&self) -> Option<&str> {
        match &self.phase {
            Phase::Founded { cluster_id } => Some(cluster_id),
            Phase::Unfounded | Phase::Founding { .. } => None,
        }
    }

    /// Followers ever registered: a cluster on kept volumes needs that many to elect a master.
    pub fn follower_count(&self) -> usize {
        self.frontends.values().filter(|frontend| frontend.role == "FOLLOWER").count()
    }

    /// Notes that Doris has no frontend of this name at this host any more.
    pub fn note_left(&mut self, host: &str, name: &str) {
        self.left.entry(host.to_owned()).or_default().insert(name.to_owned());
    }

    /// Password that root is to have: the user's, or the generated one.
    pub fn root_wanted<'a>(&'a self, of_user: Option<&'a Password>) -> &'a Password {
        of_user.unwrap_or(&self.accounts.root_generated)
    }

    /// Password that admin is to have: the user's, or the generated one.
    pub fn admin_wanted<'a>(&'a self, of_user: Option<&'a Password>) -> &'a Password {
        of_user.unwrap_or(&self.accounts.admin_generated)
    }

    /// The Secret's data.
    pub fn to_data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut put = |key: &str, value: &str| {
            data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
        };
        put("identity", &self.id);
        put("epoch", &self.epoch.to_string());
        put("fqdn-suffix", &self.fqdn_suffix);
        put("frontends", &json(&self.frontends));
        put("backends", &json(&self.backends));
        if !self.left.is_empty() {
            put("left", &json(&self.left));
        }
        if let Some(release) = &self.release {
            put("release", &json(release));
        }
        put("disks", &json(&self.disks));
        put("ports", &json(&self.ports));
        match &self.phase {
            Phase::Unfounded => put("phase", "Unfounded"),
            Phase::Founding { attempt, pod_uid, claim_uid, since, restarts } => {
                put("phase", "Founding");
                put("founding.since", &since.to_string());
                put("founding.restarts", &restarts.to_string());
                put("founding.attempt", &attempt.to_string());
                put("founding.pod", pod_uid);
                put("founding.claim", claim_uid);
            }
            Phase::Founded { cluster_id } => {
                put("phase", "Founded");
                put("cluster-id", cluster_id);
            }
        }
        let accounts = &self.accounts;
        put("operator.current", accounts.operator.reveal());
        put("root.generated", accounts.root_generated.reveal());
        put("admin.generated", accounts.admin_generated.reveal());
        let root = accounts.root_applied.as_ref().unwrap_or(&accounts.root_generated);
        put(INITIAL_ROOT_KEY, &initial_root_password(root));
        for (key, password) in [
            ("operator.next", &accounts.operator_next),
            ("root.applied", &accounts.root_applied),
            ("root.next", &accounts.root_next),
            ("admin.applied", &accounts.admin_applied),
        ] {
            if let Some(password) = password {
                put(key, password.reveal());
            }
        }
        if let Some(digest) = &accounts.operator_rotation {
            put("operator.rotation", digest);
        }
        data
    }

    /// Reads the Secret's data.
    pub fn from_data(data: &BTreeMap<String, ByteString>) -> Result<Self, IdentityError> {
        let phase = match text(data, "phase")? {
            "Unfounded" => Phase::Unfounded,
            "Founding" => Phase::Founding {
                attempt: number(data, "founding.attempt")?,
                pod_uid: text(data, "founding.pod")?.to_owned(),
                claim_uid: text(data, "founding.claim")?.to_owned(),
                since: number(data, "founding.since")?,
                restarts: number(data, "founding.restarts")?,
            },
            "Founded" => Phase::Founded { cluster_id: text(data, "cluster-id")?.to_owned() },
            _ => return Err(IdentityError { key: "phase", problem: "is none of Unfounded, Founding, Founded" }),
        };
        Ok(Self {
            id: text(data, "identity")?.to_owned(),
            phase,
            epoch: number(data, "epoch")?,
            frontends: parse_json(data, "frontends")?,
            backends: parse_json(data, "backends")?,
            // Identities of older versions lack these.
            left: if data.contains_key("left") { parse_json(data, "left")? } else { BTreeMap::new() },
            disks: if data.contains_key("disks") { parse_json(data, "disks")? } else { BTreeMap::new() },
            ports: if data.contains_key("ports") { parse_json(data, "ports")? } else { BTreeMap::new() },
            fqdn_suffix: text(data, "fqdn-suffix")?.to_owned(),
            release: if data.contains_key("release") { Some(parse_json(data, "release")?) } else { None },
            accounts: Accounts {
                operator: Password::new(text(data, "operator.current")?),
                operator_next: optional(data, "operator.next")?,
                operator_rotation: raw(data, "operator.rotation")?.map(str::to_owned),
                root_generated: Password::new(text(data, "root.generated")?),
                root_applied: optional(data, "root.applied")?,
                root_next: optional(data, "root.next")?,
                admin_generated: Password::new(text(data, "admin.generated")?),
                admin_applied: optional(data, "admin.applied")?,
            },
        })
    }
}

/// Maps with string keys, and values that are strings or such maps, always have a JSON form.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("a map with string keys and string values is JSON")
}

fn raw<'a>(data: &'a BTreeMap<String, ByteString>, key: &'static str) -> Result<Option<&'a str>, IdentityError> {
    data.get(key).map(|bytes| std::str::from_utf8(&bytes.0).map_err(|_| IdentityError { key, problem: "is not text" })).transpose()
}

fn text<'a>(data: &'a BTreeMap<String, ByteString>, key: &'static str) -> Result<&'a str, IdentityError> {
    raw(data, key)?.ok_or(IdentityError { key, problem: "is missing" })
}

fn optional(data: &BTreeMap<String, ByteString>, key: &'static str) -> Result<Option<Password>, IdentityError> {
    Ok(raw(data, key)?.map(Password::new))
}

fn number<T: std::str::FromStr>(data: &BTreeMap<String, ByteString>, key: &'static str) -> Result<T, IdentityError> {
    text(data, key)?.parse().map_err(|_| IdentityError { key, problem: "is not the number or time that is kept there" })
}

fn parse_json<T: serde::de::DeserializeOwned>(data: &BTreeMap<String, ByteString>, key: &'static str) -> Result<T, IdentityError> {
    serde_json::from_str(text(data, key)?).map_err(|_| IdentityError { key, problem: "is not the JSON that is kept there" })
}

#[cfg(test)]
mod tests {
    use super::{Accounts, Identity, KnownFrontend, Phase};
    use crate::release::Release;
    use doris_client::Password;
    use jiff::Timestamp;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    /// Keys that may be missing, or are derived from others.
    const DISPENSABLE: [&str; 10] = [
        "operator.next",
        "operator.rotation",
        "root.applied",
        "root.next",
        "admin.applied",
        "initial-root-password",
        "release",
        "disks",
        "ports",
        "left",
    ];

    fn identity(phase: Phase) -> Identity {
        Identity {
            id: "0f3a".into(),
            phase,
            epoch: 2,
            frontends: [("c-fe-0.x".to_owned(), KnownFrontend { name: "fe_1".into(), role: "FOLLOWER".into() })].into(),
            left: [("c-fe-1.x".to_owned(), ["fe_2".to_owned()].into())].into(),
            backends: [("c-be-0.x".to_owned(), "10001".to_owned())].into(),
            disks: [("c-be-0.x".to_owned(), ["data".to_owned()].into())].into(),
            ports: [("fe".to_owned(), 9010)].into(),
            fqdn_suffix: "c-fe-members.ns.svc.cluster.local".into(),
            release: Some(Release::default()),
            accounts: Accounts {
                operator: Password::new("o"),
                operator_next: Some(Password::new("n")),
                operator_rotation: Some("d".into()),
                root_generated: Password::new("r"),
                root_applied: None,
                root_next: Some(Password::new("s")),
                admin_generated: Password::new("a"),
                admin_applied: Some(Password::new("b")),
            },
        }
    }

    #[test]
    fn an_identity_reads_back_as_it_was_written() {
        for phase in [
            Phase::Unfounded,
            Phase::Founding { attempt: 3, pod_uid: "p".into(), claim_uid: "c".into(), since: Timestamp::UNIX_EPOCH, restarts: 2 },
            Phase::Founded { cluster_id: "17".into() },
        ] {
            let written = identity(phase);
            assert_eq!(Identity::from_data(&written.to_data()), Ok(written));
        }
    }

    #[test]
    fn every_missing_key_is_named() {
        let whole =
            identity(Phase::Founding { attempt: 1, pod_uid: "p".into(), claim_uid: "c".into(), since: Timestamp::UNIX_EPOCH, restarts: 0 })
                .to_data();
        for key in whole.keys().filter(|key| !DISPENSABLE.contains(&key.as_str())) {
            let mut data = whole.clone();
            data.remove(key);
            let error = Identity::from_data(&data).expect_err(key);
            assert!(error.to_string().contains(key.as_str()), "{error}");
        }
    }

    #[test]
    fn no_password_is_in_the_debug_output() {
        let mut secret = identity(Phase::Unfounded);
        secret.accounts.operator = Password::new("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn arbitrary_data_never_panics(key in "[a-z.-]{1,20}", value in any::<Vec<u8>>()) {
            let mut data = identity(Phase::Unfounded).to_data();
            data.insert(key.clone(), k8s_openapi::ByteString(value.clone()));
            let mut again = data.clone();
            again.insert(key, k8s_openapi::ByteString(value));
            prop_assert_eq!(Identity::from_data(&data).is_ok(), Identity::from_data(&again).is_ok());
        }
    }
}
