//! Registering backends, compute nodes and brokers.

use doris_api::conditions::reason;
use doris_api::{Component, ports};
use doris_client::{BackendChange, Error as DorisError, MemberAddress, Session};

use super::Round;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::tags::{self, LOCATION, Tagged};
use crate::plan::workers::{WorkerRow, to_register};

impl Round<'_> {
    /// Registers every running worker that Doris does not know, and reads the lists back.
    pub(super) async fn register_workers(&mut self, doris: &mut Doris, session: &mut Session) -> Result<(), Error> {
        let backends: Vec<WorkerRow> =
            doris.backends.iter().map(|row| WorkerRow { host: row.host.clone(), port: row.heartbeat_port }).collect();
        let brokers: Vec<WorkerRow> = doris.brokers.iter().map(|row| WorkerRow { host: row.host.clone(), port: row.port }).collect();
        let mut added = false;
        for component in [Component::Be, Component::Cn] {
            let members = self.missing(component, &backends, &ports::BE_HEARTBEAT);
            if members.is_empty() {
                continue;
            }
            if !self.may_change_members(doris, session).await? {
                return Ok(());
            }
            self.wait(reason::REGISTERING, format!("{} {component} members were registered and have to come alive", members.len()));
            settle(session.add_backends(&members, self.location(component)).await, "registering backends")?;
            added = true;
        }
        for member in self.missing(Component::Broker, &brokers, &ports::BROKER_IPC) {
            if !self.may_change_members(doris, session).await? {
                return Ok(());
            }
            let name = self.cluster.spec.broker.as_ref().map_or("broker", |broker| broker.name.as_str());
            self.wait(reason::REGISTERING, format!("broker {member} was registered and has to come alive"));
            settle(session.add_broker(name, &member).await, "registering a broker")?;
            added = true;
        }
        if added {
            read_back(session, &mut doris.backends, &mut doris.brokers).await?;
        }
        self.heed_tags(doris, session).await
    }

    /// Compute nodes get the location that the spec asks for; of backends it is told where they have another one.
    async fn heed_tags(&mut self, doris: &mut Doris, session: &mut Session) -> Result<(), Error> {
        let spec = &self.cluster.spec;
        let of_spec = [("be", spec.be.as_ref().map(|be| &be.tags)), ("cn", spec.cn.as_ref().map(|cn| &cn.tags))];
        let unheeded: Vec<String> = of_spec.into_iter().filter_map(|(name, all)| tags::unheeded(name, all?)).collect();
        let kept = self.location(Component::Be).and_then(|wanted| {
            let members = self.tagged(Component::Be, doris);
            tags::kept(&tags::elsewhere(&members, Some(wanted)), wanted)
        });
        for sentence in unheeded.into_iter().chain(kept) {
            self.stall(reason::SPEC_INVALID, sentence);
        }
        let Some(wanted) = self.location(Component::Cn).map(str::to_owned) else { return Ok(()) };
        let nodes = self.tagged(Component::Cn, doris);
        let nodes = tags::elsewhere(&nodes, Some(&wanted));
        if nodes.is_empty() || !self.may_change_members(doris, session).await? {
            return Ok(());
        }
        self.wait(reason::REGISTERING, format!("{} compute nodes get the tag location {wanted}", nodes.len()));
        let change = BackendChange { location: Some(wanted), ..BackendChange::default() };
        for node in nodes {
            let changed = session.modify_backend(&MemberAddress::new(node.host.clone(), node.port), &change).await;
            changed.map_err(|source| Error::Doris { what: "tagging a compute node", source })?;
        }
        read_back(session, &mut doris.backends, &mut doris.brokers).await
    }

    /// Wanted members of a component that Doris knows.
    fn tagged(&self, component: Component, doris: &Doris) -> Vec<Tagged> {
        let is_wanted = |host: &str| self.member_of(host).is_some_and(|(of, ordinal)| of == component && ordinal < self.wanted(component));
        let rows = doris.backends.iter().filter(|row| is_wanted(&row.host));
        let tagged =
            rows.map(|row| Tagged { host: row.host.clone(), port: row.heartbeat_port, location: tags::location(&row.tags).to_owned() });
        tagged.collect()
    }

    fn missing(&self, component: Component, rows: &[WorkerRow], port: &ports::Port) -> Vec<MemberAddress> {
        let port = self.cluster.spec.port(component, port);
        let wanted = u32::try_from(self.cluster.spec.replicas(component)).unwrap_or(0);
        let pods = to_register(self.facts.seen.of(component), rows, wanted, port);
        pods.into_iter().map(|pod| MemberAddress::new(pod.fqdn.clone(), port)).collect()
    }

    fn location(&self, component: Component) -> Option<&str> {
        let spec = &self.cluster.spec;
        let tags = match component {
            Component::Be => spec.be.as_ref().map(|be| &be.tags),
            Component::Cn => spec.cn.as_ref().map(|cn| &cn.tags),
            Component::Fe | Component::FeObserver | Component::Broker => None,
        };
        tags.and_then(|tags| tags.get(LOCATION)).map(String::as_str)
    }
}

/// What was done before is done: the read-back tells.
fn settle(result: Result<(), DorisError>, what: &'static str) -> Result<(), Error> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.says_already_exists() => Ok(()),
        Err(source) => Err(Error::Doris { what, source }),
    }
}

async fn read_back(
    session: &mut Session,
    backends: &mut Vec<doris_client::Backend>,
    brokers: &mut Vec<doris_client::Broker>,
) -> Result<(), Error> {
    let failed = |source| Error::Doris { what: "reading the members back", source };
    *backends = session.backends().await.map_err(failed)?;
    *brokers = session.brokers().await.map_err(failed)?;
    Ok(())
}
