//! Asking every frontend about itself, and finding the one that may be told to change something.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use crate::elect::{MasterVerdict, NoMaster, find_master};
use crate::error::Error;
use crate::http;
use crate::rows::Frontend;
use crate::session::Session;
use crate::transport::{Endpoint, Login, Transport};

/// Where to ask a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendTarget {
    /// The host it is registered with: the pod's fully qualified name.
    pub host: String,
    /// Its HTTP port at the pod's address.
    pub http: Endpoint,
    /// Its query port at the pod's address.
    pub query: Endpoint,
}

/// What a frontend said of itself, just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendView {
    /// Whom we asked.
    pub target: FrontendTarget,
    /// Role and metadata group; an error if it did not tell in time.
    pub group: Result<http::HighAvailability, Error>,
    /// Leadership and journal by its metrics; an error if it did not tell in time.
    pub metrics: Result<http::FrontendMetrics, Error>,
    /// The last smaller journal id that we saw there within [`JOURNAL_WINDOW`].
    pub earlier_journal_id: Option<u64>,
    /// How long we have been seeing the journal id that it has now.
    pub journal_unchanged_for: Duration,
}

impl FrontendView {
    /// Whether it says of itself, in any way, that it is the master.
    pub fn claims_to_be_master(&self) -> bool {
        let by_group = self.group.as_ref().is_ok_and(|group| group.role == "MASTER");
        let by_metrics = self.metrics.as_ref().is_ok_and(|metrics| metrics.is_master == Some(true));
        by_group || by_metrics
    }

    /// The newest journal entry it has.
    pub fn journal_id(&self) -> Option<u64> {
        self.metrics.as_ref().ok().and_then(|metrics| metrics.max_journal_id)
    }
}

/// A master moves its journal about every 10 s; one that did not for this long stands still.
pub const JOURNAL_WINDOW: Duration = Duration::from_secs(30);

/// Journal ids seen before: a master proves itself by a journal that rises.
#[derive(Clone, Debug, Default)]
pub struct Journals {
    seen: BTreeMap<String, VecDeque<(Instant, u64)>>,
}

impl Journals {
    /// Remembers what the views say and completes them by what was seen before.
    pub fn observe(&mut self, now: Instant, views: &mut [FrontendView]) {
        self.seen.retain(|host, _| views.iter().any(|view| view.target.host == *host));
        for view in views {
            let Some(id) = view.journal_id() else { continue };
            let history = self.seen.entry(view.target.host.clone()).or_default();
            if history.back().is_some_and(|(_, last)| *last > id) {
                // A frontend whose journal went back is not the one that was seen before.
                history.clear();
            }
            if history.back().is_none_or(|(_, last)| *last < id) {
                history.push_back((now, id));
            }
            view.journal_unchanged_for = history.back().map_or(Duration::ZERO, |(since, _)| now.duration_since(*since));
            let has_risen_lately = view.journal_unchanged_for <= JOURNAL_WINDOW;
            view.earlier_journal_id =
                history.len().checked_sub(2).and_then(|index| history.get(index)).map(|(_, earlier)| *earlier).filter(|_| has_risen_lately);
            while history.len() > 2 {
                history.pop_front();
            }
        }
    }
}

/// Asks each frontend about itself, all at once. Takes as long as the slowest, at most
/// [`http::PROBE_LIMIT`].
pub async fn probe_frontends(transport: &dyn Transport, targets: &[FrontendTarget], login: Option<&Login>) -> Vec<FrontendView> {
    let asked = targets.iter().map(|target| async move {
        let (group, metrics) =
            tokio::join!(http::high_availability(transport, target.http, login), http::frontend_metrics(transport, target.http));
        FrontendView { target: target.clone(), group, metrics, earlier_journal_id: None, journal_unchanged_for: Duration::ZERO }
    });
    join_all(asked).await
}

/// What a search for the master found.
pub struct MasterSearch {
    /// What every frontend said of itself.
    pub views: Vec<FrontendView>,
    /// The rows on the connection of the only one that claims to be master.
    pub frontends: Vec<Frontend>,
    /// Whether it may be given statements.
    pub verdict: MasterVerdict,
    /// The session with it, only if it was accepted: read, check and act on this one.
    pub session: Option<Session>,
}

/// Searches for the master and proves it. Reads only.
pub async fn find_and_prove_master(
    transport: &dyn Transport,
    targets: &[FrontendTarget],
    login: &Login,
    journals: &mut Journals,
) -> MasterSearch {
    let mut views = probe_frontends(transport, targets, None).await;
    journals.observe(Instant::now(), &mut views);
    let claimed = views.iter().find(|view| view.claims_to_be_master()).map(|view| view.target.query);
    let Some(endpoint) = claimed.filter(|_| views.iter().filter(|view| view.claims_to_be_master()).count() == 1) else {
        let verdict = find_master(&views, &[]);
        return MasterSearch { views, frontends: Vec::new(), verdict, session: None };
    };
    match rows_of(transport, endpoint, login).await {
        Ok((session, frontends)) => {
            let verdict = find_master(&views, &frontends);
            let session = matches!(verdict, MasterVerdict::Accepted { .. }).then_some(session);
            MasterSearch { views, frontends, verdict, session }
        }
        Err(error) => {
            MasterSearch { views, frontends: Vec::new(), verdict: MasterVerdict::Refused(NoMaster::NoSession { error }), session: None }
        }
    }
}

async fn rows_of(transport: &dyn Transport, endpoint: Endpoint, login: &Login) -> Result<(Session, Vec<Frontend>), Error> {
    let mut session = Session::open(transport, endpoint, login).await?;
    let frontends = session.frontends().await?;
    Ok((session, frontends))
}
