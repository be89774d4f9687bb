//! The passwords that users give by Secret.

use doris_api::cluster::AuthSpec;
use doris_client::Password;
use k8s_openapi::api::core::v1::{Secret, SecretKeySelector};
use kube::{Api, Client};

use crate::act::accounts::UserPasswords;

/// A Secret that the spec names and that cannot be used. The sentence tells what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable(pub String);

/// Reads the Secrets that the spec names. The outer error is the API server's.
pub async fn read(client: &Client, namespace: &str, auth: &AuthSpec) -> Result<Result<UserPasswords, Unusable>, kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut given = UserPasswords::default();
    for (field, reference, place) in [
        ("spec.auth.rootPassword", &auth.root_password, &mut given.root),
        ("spec.auth.adminPassword", &auth.admin_password, &mut given.admin),
    ] {
        let Some(reference) = reference else { continue };
        let secret = secrets.get_opt(&reference.name).await?;
        match password(field, reference, secret.as_ref()) {
            Ok(password) => *place = password,
            Err(unusable) => return Ok(Err(unusable)),
        }
    }
    Ok(Ok(given))
}

fn password(field: &str, reference: &SecretKeySelector, secret: Option<&Secret>) -> Result<Option<Password>, Unusable> {
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
    use super::password;
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
}
