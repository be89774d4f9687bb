//! One process: what it says of its settings, and how it is told another value.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use doris_api::{Component, ports};
use doris_client::{Endpoint, Error, Login, http};

use super::{Run, run_of};
use crate::act::accounts;
use crate::observe::doris::Doris;
use crate::round::Round;

/// A process that can be asked.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Its pod.
    pub pod: String,
    /// Its own name.
    pub fqdn: String,
    /// What it is.
    pub component: Component,
    /// Its address.
    ip: IpAddr,
    /// Which run.
    pub run: Run,
    /// It was made from the present template.
    pub is_present: bool,
}

/// A setting as a process has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub value: String,
    pub kind: String,
    pub mutable: bool,
}

impl Round<'_> {
    /// Processes of a component that Doris takes for alive.
    pub(super) fn targets_of(&self, owner: Component, doris: &Doris) -> Vec<Target> {
        let sets = self.ctx.caches.sets.of(self.key);
        let is_alive = |fqdn: &str| match owner {
            Component::Fe => {
                doris.frontends.iter().any(|row| row.host == fqdn && row.alive)
                    && doris.views.iter().any(|view| view.target.host == fqdn && view.metrics.is_ok())
            }
            _ => doris.backends.iter().any(|row| row.host == fqdn && row.alive),
        };
        let target = |(component, pod): (Component, &crate::view::MemberPod)| {
            let revision = sets.get(&doris_api::names::set(&self.key.name, component)).and_then(|set| set.revision.clone());
            let ip = pod.ip.filter(|_| pod.running && !pod.deleting && is_alive(&pod.fqdn))?;
            Some(Target {
                pod: pod.name.clone(),
                fqdn: pod.fqdn.clone(),
                component,
                ip,
                run: run_of(pod),
                is_present: revision.is_some() && pod.revision == revision,
            })
        };
        self.readers(owner).filter_map(target).collect()
    }

    /// The settings of a process, of the keys that are looked at.
    pub(super) async fn settings_of(&self, target: &Target, keys: &BTreeSet<String>) -> Result<BTreeMap<String, Setting>, String> {
        let told = |error: Error| error.to_string();
        if target.component.process() == doris_api::Process::Be {
            let rows = http::backend_settings(self.ctx.transport.as_ref(), self.http_of(target), &self.login()?).await.map_err(told)?;
            let rows = rows.into_iter().filter(|row| keys.contains(&row.key));
            return Ok(rows.map(|row| (row.key, Setting { value: row.value, kind: row.kind, mutable: row.mutable })).collect());
        }
        let mut session = self.own_session(&target.fqdn).await.ok_or("it does not let us in")?;
        let rows = match session.set_forward_to_master(false).await {
            Ok(()) => session.frontend_settings(pattern(keys)).await,
            Err(error) => Err(error),
        };
        session.close().await;
        let rows = rows.map_err(told)?.into_iter().filter(|row| keys.contains(&row.key));
        Ok(rows.map(|row| (row.key, Setting { value: row.value, kind: row.kind, mutable: row.mutable })).collect())
    }

    /// Tells a process another value, until its next start. `Err` of `Some` is Doris' own refusal.
    pub(super) async fn set(&self, target: &Target, key: &str, value: &str) -> Result<(), Option<String>> {
        let login = self.login().map_err(|_| None)?;
        let transport = self.ctx.transport.as_ref();
        let set = if target.component.process() == doris_api::Process::Be {
            http::set_backend_config(transport, self.http_of(target), &login, (key, value)).await
        } else {
            http::set_frontend_config(transport, self.http_of(target), &login, (key, value), false).await
        };
        match set {
            Ok(()) => Ok(()),
            Err(Error::Refused { message, .. }) => Err(Some(message)),
            // It may have been done: the next reading tells.
            Err(error) => {
                tracing::debug!(pod = target.pod, key, %error, "a setting may not have been changed");
                Err(None)
            }
        }
    }

    fn http_of(&self, target: &Target) -> Endpoint {
        let port = if target.component.process() == doris_api::Process::Be { &ports::BE_HTTP } else { &ports::FE_HTTP };
        Endpoint { ip: target.ip, port: self.cluster.spec.port(target.component, port) }
    }

    fn login(&self) -> Result<Login, &'static str> {
        self.facts.identity.as_ref().map(accounts::operator).ok_or("the operator's account is not known")
    }
}

/// One key is asked for by its name, more of them are picked out of all.
fn pattern(keys: &BTreeSet<String>) -> &str {
    match (keys.first(), keys.len()) {
        (Some(key), 1) => key,
        _ => "%",
    }
}
