//! What operations of every kind ask of one member, and do to it.

use controller_kit::lease::Fence;
use doris_api::{Component, names};
use doris_client::{Backend, BackendChange, MemberAddress, Session, http};

use super::Round;
use crate::act::{accounts, pods};
use crate::error::Error;
use crate::observe::doris::Doris;

impl Round<'_> {
    /// The name by which Doris knows a member.
    pub(super) fn host(&self, component: Component, ordinal: u32) -> String {
        names::member_fqdn(&self.key.name, component, ordinal, &self.key.namespace, &self.cluster.spec.cluster_domain)
    }

    /// The member that a host is the own name of.
    pub(super) fn member_of(&self, host: &str) -> Option<(Component, u32)> {
        let (component, ordinal) = names::parse_pod(&self.key.name, host.split('.').next()?)?;
        (self.host(component, ordinal) == host).then_some((component, ordinal))
    }

    /// Has a pod behind the access Service, or takes it from there, if the Lease is ours by a fresh look.
    pub(super) async fn set_serving(&mut self, name: &str, uid: &str, serving: bool, fence: &Fence) -> Result<(), Error> {
        self.ctx.operations.check_just_before_act(&self.key.namespace, &self.key.name, fence).await?;
        pods::set_serving(self.ctx, self.key, name, uid, serving).await?;
        self.see_pods();
        Ok(())
    }

    /// The user's own configuration of frontends switches this on.
    pub(super) fn is_specified(&self, key: &str) -> bool {
        self.cluster.spec.fe.member.config.get(key).is_some_and(|value| value.as_str().trim().eq_ignore_ascii_case("true"))
    }

    /// The backends by each living frontend's own word; `None` for one that does not tell.
    pub(super) async fn backends_by_every_frontend(&self, doris: &Doris) -> Vec<Option<Vec<Backend>>> {
        let asked = doris.frontends.iter().filter(|row| row.alive).map(|row| async {
            let mut session = self.own_session(&row.host).await?;
            let rows = match session.set_forward_to_master(false).await {
                Ok(()) => session.backends().await,
                Err(error) => Err(error),
            };
            session.close().await;
            rows.ok()
        });
        futures::future::join_all(asked).await
    }

    /// Bytes of loads in a backend's write-ahead log, by the master's word; `None` if it does not tell.
    pub(super) async fn wal_size(&self, doris: &Doris, row: &Backend) -> Option<u64> {
        let identity = self.facts.identity.as_ref()?;
        let master = doris.master().and_then(|host| doris.views.iter().find(|view| view.target.host == host))?;
        let (account, backend) = (accounts::operator(identity), MemberAddress::new(row.host.clone(), row.heartbeat_port));
        let sizes = http::wal_sizes(self.ctx.transport.as_ref(), master.target.http, &account, &[backend]).await.ok()?;
        Some(sizes.iter().map(|(_, size)| *size).sum())
    }
}

/// Keeps loads, and queries too if asked for, away from a backend.
pub(super) async fn keep_work_away(session: &mut Session, backend: &MemberAddress, queries_too: bool) -> Result<(), Error> {
    let disable_query = queries_too.then_some(true);
    set_switches(session, backend, BackendChange { disable_query, disable_load: Some(true), ..BackendChange::default() }).await
}

/// Gives a backend work again. Loads first: one that answers queries and misses loads falls behind.
pub(super) async fn give_work_again(session: &mut Session, backend: &MemberAddress) -> Result<(), Error> {
    set_switches(session, backend, BackendChange { disable_load: Some(false), ..BackendChange::default() }).await?;
    set_switches(session, backend, BackendChange { disable_query: Some(false), ..BackendChange::default() }).await
}

async fn set_switches(session: &mut Session, backend: &MemberAddress, change: BackendChange) -> Result<(), Error> {
    let what = "changing the switches of a backend";
    session.modify_backend(backend, &change).await.map_err(|source| Error::Doris { what, source })
}
