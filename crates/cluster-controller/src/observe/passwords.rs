//! The passwords that users give by Secret.

use doris_api::cluster::AuthSpec;
use doris_client::Password;
use k8s_openapi::api::core::v1::{Secret, SecretKeySelector};
use kube::{Api, Client};

use crate::act::accounts::UserPasswords;
use crate::identity::Accounts;

/// A Secret that the spec names and that cannot be used. The sentence tells what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable(pub String);

/// What the spec and the Secrets that it names say of one account's password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Given {
    /// The spec names no Secret.
    #[default]
    NotNamed,
    /// This one.
    Password(Password),
    /// The spec names a Secret that may be missing, and it is.
    Missing,
    /// The Secret that the spec names cannot be used.
    Unusable(Unusable),
}

/// What was read for both accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// For root.
    pub root: Given,
    /// For admin.
    pub admin: Given,
}

impl Reading {
    /// Whether a Secret that the spec names gives no password.
    pub fn lacks_one(&self) -> bool {
        [&self.root, &self.admin].into_iter().any(|given| matches!(given, Given::Missing | Given::Unusable(_)))
    }

    /// What a person has to mend.
    pub fn complaints(&self) -> impl Iterator<Item = &str> {
        [&self.root, &self.admin].into_iter().filter_map(|given| match given {
            Given::Unusable(Unusable(sentence)) => Some(sentence.as_str()),
            _ => None,
        })
    }

    /// The passwords that the accounts are to have. In a cluster that has accounts, one that cannot be read now stays
    /// as it is: a deleted Secret changes no password.
    pub fn passwords(&self, in_force: Option<&Accounts>) -> UserPasswords {
        let taken = |given: &Given, applied: Option<&Password>| match given {
            Given::NotNamed => None,
            Given::Password(password) => Some(password.clone()),
            Given::Missing | Given::Unusable(_) => applied.cloned(),
        };
        UserPasswords {
            root: taken(&self.root, in_force.and_then(|accounts| accounts.root_applied.as_ref())),
            admin: taken(&self.admin, in_force.and_then(|accounts| accounts.admin_applied.as_ref())),
        }
    }
}

/// Reads the Secrets that the spec names; one that is named twice once.
pub async fn read(client: &Client, namespace: &str, auth: &AuthSpec) -> Result<Reading, kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut reading = Reading::default();
    let mut last: Option<(String, Option<Secret>)> = None;
    for (field, reference, place) in [
        ("spec.auth.rootPassword", &auth.root_password, &mut reading.root),
        ("spec.auth.adminPassword", &auth.admin_password, &mut reading.admin),
    ] {
        let Some(reference) = reference else { continue };
        let secret = match last.take() {
            Some((name, secret)) if name == reference.name => secret,
            _ => secrets.get_opt(&reference.name).await?,
        };
        *place = match password(field, reference, secret.as_ref()) {
            Ok(Some(password)) => Given::Password(password),
            Ok(None) => Given::Missing,
            Err(unusable) => Given::Unusable(unusable),
        };
        last = Some((reference.name.clone(), secret));
    }
    Ok(reading)
}

/// The password that a reference of the spec leads to; none if it may lead nowhere and does.
pub fn password(field: &str, reference: &SecretKeySelector, secret: Option<&Secret>) -> Result<Option<Password>, Unusable> {
    let (name, key) = (&reference.name, &reference.key);
    let is_optional = reference.optional.unwrap_or(false);
    let unusable = |problem: &str| Err(Unusable(format!("Secret {name}, which {field} names, {problem}")));
    let Some(secret) = secret else {
        return if is_optional { Ok(None) } else { unusable(&format!("does not exist; create it with the key {key}")) };
    };
    let Some(value) = secret.data.as_ref().and_then(|data| data.get(key)) else {
        return if is_optional { Ok(None) } else { unusable(&format!("has no key {key}; add it")) };
    };
    let Ok(text) = std::str::from_utf8(&value.0) else { return unusable(&format!("holds no text under the key {key}")) };
    if text.is_empty() {
        return unusable(&format!("is empty under the key {key}; an administrator needs a password"));
    }
    if text.chars().any(char::is_control) {
        return unusable(&format!(
            "has a line break or another control character under the key {key}, often from `echo` without `-n`; store the password alone"
        ));
    }
    Ok(Some(Password::new(text)))
}

#[cfg(test)]
mod tests {
    use super::{Given, Reading, Unusable, password};
    use crate::identity::Accounts;
    use doris_client::Password;
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::{Secret, SecretKeySelector};

    fn reference(optional: bool) -> SecretKeySelector {
        SecretKeySelector { name: "s".into(), key: "root".into(), optional: Some(optional) }
    }

    fn secret(key: &str, value: &[u8]) -> Secret {
        Secret { data: Some([(key.to_owned(), ByteString(value.to_vec()))].into()), ..Secret::default() }
    }

    #[test]
    fn a_password_is_taken_as_it_is() {
        let taken = password("f", &reference(false), Some(&secret("root", b"p w"))).expect("usable").expect("given");
        assert_eq!(taken.reveal(), "p w");
    }

    #[test]
    fn what_cannot_be_used_is_told_with_secret_and_key() {
        let cases = [
            (None, "does not exist"),
            (Some(secret("other", b"x")), "has no key root"),
            (Some(secret("root", b"")), "is empty"),
            (Some(secret("root", b"x\n")), "line break"),
            (Some(secret("root", &[0xff])), "holds no text"),
        ];
        for (given, words) in cases {
            let problem = password("spec.auth.rootPassword", &reference(false), given.as_ref()).expect_err(words).0;
            assert!(problem.starts_with("Secret s, which spec.auth.rootPassword names, ") && problem.contains(words), "{problem}");
            assert!(!problem.contains('x') || !problem.contains("x\n"), "{problem}");
        }
    }

    #[test]
    fn an_optional_reference_may_lead_nowhere() {
        assert_eq!(password("f", &reference(true), None), Ok(None));
        assert_eq!(password("f", &reference(true), Some(&secret("other", b"x"))), Ok(None));
    }

    #[test]
    fn a_secret_that_is_gone_changes_no_password_of_a_cluster_that_is_there() {
        let in_force = Accounts { root_applied: Some(Password::new("old")), ..Accounts::default() };
        for gone in [Given::Missing, Given::Unusable(Unusable("Secret s does not exist".into()))] {
            let reading = Reading { root: gone, admin: Given::NotNamed };
            assert!(reading.lacks_one());
            assert_eq!(reading.passwords(Some(&in_force)).root, Some(Password::new("old")));
            assert_eq!(reading.passwords(None).root, None);
        }
        let reading = Reading { root: Given::Password(Password::new("new")), admin: Given::NotNamed };
        assert_eq!(reading.passwords(Some(&in_force)).root, Some(Password::new("new")));
        assert!(!reading.lacks_one());
    }
}
