//! The frontends and how far each has got.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;

use crate::elect::MasterVerdict;
use crate::http;
use crate::probe::{FrontendView, MasterSearch};
use crate::rows::{Frontend, FrontendRole};
use crate::transport::Transport;

/// What Kubernetes and the operation under way say of a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendPod {
    /// What it is to be registered as.
    pub role: FrontendRole,
    /// Whether its process does not run.
    pub stopped: bool,
    /// Whether the operation has nothing more to do to it.
    pub done: bool,
    /// Time since its process was last seen to start, or to join.
    pub steady_for: Option<Duration>,
    /// Whether it keeps a copy of the metadata from before the upgrade.
    pub has_metadata_copy: bool,
}

/// What a search for the master found, without its session.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// What every frontend said of itself.
    pub views: &'a [FrontendView],
    /// The rows on the connection of the only one that claims to be master.
    pub frontends: &'a [Frontend],
    /// Whether it was accepted.
    pub verdict: &'a MasterVerdict,
}

impl MasterSearch {
    /// What was found, without the session.
    pub fn found(&self) -> Found<'_> {
        Found { views: &self.views, frontends: &self.frontends, verdict: &self.verdict }
    }
}

/// The frontends, from a search for the master and one more look at each journal: the master's first,
/// then the others', so that whoever has as much was not behind when the master was asked.
pub async fn frontends(transport: &dyn Transport, search: Found<'_>, pods: &BTreeMap<String, FrontendPod>) -> doris_safety::Frontends {
    let target = |host: &str| search.views.iter().map(|view| &view.target).find(|target| target.host == host);
    let master = match search.verdict {
        MasterVerdict::Accepted { host } => match target(host) {
            Some(target) => http::frontend_metrics(transport, target.http).await.map_err(|error| error.to_string()).and_then(|metrics| {
                let journal = metrics.max_journal_id.ok_or_else(|| format!("{host} does not tell its journal id"))?;
                Ok(doris_safety::Master { host: host.clone(), journal, group: group(search, host) })
            }),
            None => Err(format!("{host} was not asked")),
        },
        MasterVerdict::Refused(why) => Err(why.to_string()),
    };
    let asked = search.views.iter().map(|view| async move {
        let metrics = http::frontend_metrics(transport, view.target.http).await;
        Some((view.target.host.clone(), metrics.ok()?.max_journal_id))
    });
    let journals: Answers = join_all(asked).await.into_iter().flatten().collect();
    let registered: Vec<(String, FrontendRole, bool)> = if search.frontends.is_empty() {
        // Nobody gave a list that can be believed; without a master no rule takes this one for more than it is.
        pods.iter().map(|(host, pod)| (host.clone(), pod.role, false)).collect()
    } else {
        search.frontends.iter().map(|row| (row.host.clone(), row.role, row.joined)).collect()
    };
    let members = registered
        .into_iter()
        .map(|(host, role, joined)| member(search, &journals, pods.get(&host), (host.clone(), role, joined)))
        .collect();
    doris_safety::Frontends { members, master }
}

/// Voting members of the master's replication group, itself included. Members are named by host there.
fn group(search: Found<'_>, master: &str) -> BTreeSet<String> {
    let view = search.views.iter().find(|view| view.target.host == master);
    let others = view.and_then(|view| view.group.as_ref().ok()).map(|group| group.electable_nodes.clone()).unwrap_or_default();
    others.into_iter().chain([master.to_owned()]).collect()
}

/// Journal ids of the frontends that answered, as far as they tell them.
type Answers = BTreeMap<String, Option<u64>>;

fn member(
    search: Found<'_>,
    journals: &Answers,
    pod: Option<&FrontendPod>,
    (host, role, joined): (String, FrontendRole, bool),
) -> doris_safety::Frontend {
    let answer = journals.get(&host);
    let view = search.views.iter().find(|view| view.target.host == host);
    doris_safety::Frontend {
        role: match role {
            FrontendRole::Follower => doris_safety::FrontendRole::Follower,
            FrontendRole::Observer => doris_safety::FrontendRole::Observer,
        },
        joined,
        alive: answer.is_some(),
        stopped: answer.is_none() && pod.is_some_and(|pod| pod.stopped),
        journal: answer.copied().flatten(),
        done: pod.is_some_and(|pod| pod.done),
        steady_for: pod.and_then(|pod| pod.steady_for),
        checkpoint: view.and_then(|view| view.group.as_ref().ok()).and_then(|group| group.last_checkpoint_version),
        has_metadata_copy: pod.is_some_and(|pod| pod.has_metadata_copy),
        host,
    }
}
