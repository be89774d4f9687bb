//! What an initializer's spec names: texts in ConfigMaps and Secrets, and the account to run them as.

use doris_api::conditions::reason;
use doris_api::initializer::{DorisInitializerSpec, SqlSource};
use doris_client::Login;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

use super::script::Source;
use crate::observe::passwords;
use crate::report::Finding;

/// What was read, or what a person has to mend first.
pub type Read<T> = Result<Result<T, Finding>, kube::Error>;

/// Reads every source of the spec, in order. The outer error is the API server's.
pub async fn read(client: &Client, namespace: &str, spec: &DorisInitializerSpec) -> Read<Vec<Source>> {
    let mut sources = Vec::new();
    for (index, source) in spec.sql.iter().enumerate() {
        let field = format!("spec.sql[{index}]");
        match text(client, namespace, &field, source).await? {
            Ok(Some((default_name, text, is_secret))) => {
                let name = source.name.clone().unwrap_or(default_name);
                sources.push(Source { name, text, is_secret });
            }
            Ok(None) => {}
            Err(finding) => return Ok(Err(finding)),
        }
    }
    Ok(Ok(sources))
}

/// Name, text, and whether it is secret; none if the reference may lead nowhere and does.
type Text = Option<(String, String, bool)>;

async fn text(client: &Client, namespace: &str, field: &str, source: &SqlSource) -> Read<Text> {
    if let Some(text) = &source.text {
        return Ok(Ok(Some((field.to_owned(), text.clone(), false))));
    }
    if let Some(reference) = &source.config_map {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let map = maps.get_opt(&reference.name).await?;
        let value = map.as_ref().and_then(|map| map.data.as_ref()?.get(&reference.key)).cloned();
        let what = Named { kind: "ConfigMap", name: &reference.name, key: &reference.key, reason: reason::CONFIG_MAP_MISSING };
        let told = what.checked(field, map.is_some(), value, reference.optional);
        return Ok(told.map(|text| text.map(|text| (what.place(), text, false))));
    }
    let Some(reference) = &source.secret else {
        return Ok(Err(Finding::new(reason::SPEC_INVALID, format!("{field} has none of text, configMap and secret"))));
    };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(&reference.name).await?;
    let value = secret.as_ref().and_then(|secret| secret.data.as_ref()?.get(&reference.key));
    let what = Named { kind: "Secret", name: &reference.name, key: &reference.key, reason: reason::SECRET_MISSING };
    let Ok(value) = value.map(|bytes| String::from_utf8(bytes.0.clone())).transpose() else {
        return Ok(Err(Finding::new(what.reason, format!("{}, which {field} names, holds no text", what.place()))));
    };
    let told = what.checked(field, secret.is_some(), value, reference.optional);
    Ok(told.map(|text| text.map(|text| (what.place(), text, true))))
}

/// A key of an object.
struct Named<'a> {
    kind: &'static str,
    name: &'a str,
    key: &'a str,
    reason: &'static str,
}

impl Named<'_> {
    fn place(&self) -> String {
        format!("{} {} key {}", self.kind, self.name, self.key)
    }

    fn checked(&self, field: &str, is_there: bool, value: Option<String>, optional: Option<bool>) -> Result<Option<String>, Finding> {
        let Self { kind, name, key, .. } = self;
        match value {
            Some(value) => Ok(Some(value)),
            None if optional == Some(true) => Ok(None),
            None if is_there => Err(Finding::new(self.reason, format!("{kind} {name}, which {field} names, has no key {key}; add it"))),
            None => {
                Err(Finding::new(self.reason, format!("{kind} {name}, which {field} names, does not exist; create it with the key {key}")))
            }
        }
    }
}

/// The account that the statements run as, if the spec names one.
pub async fn account(client: &Client, namespace: &str, spec: &DorisInitializerSpec) -> Read<Option<Login>> {
    let Some(user) = &spec.user else { return Ok(Ok(None)) };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(&user.password.name).await?;
    Ok(match passwords::password("spec.user.password", &user.password, secret.as_ref()) {
        Ok(password) => Ok(Some(Login { user: user.name.clone(), password: password.unwrap_or_default() })),
        Err(unusable) => Err(Finding::new(reason::SECRET_MISSING, unusable.0)),
    })
}
