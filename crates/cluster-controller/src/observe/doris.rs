//! What Doris says: every frontend of itself, and the proven master of all the others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use doris_api::{Component, DorisClusterSpec, ports};
use doris_client::elect::{MasterVerdict, NoMaster};
use doris_client::{
    Backend, Broker, Endpoint, Error, Frontend, FrontendTarget, FrontendView, Journals, Login, Session, Transport, find_and_prove_master,
    probe_frontends,
};

use crate::plan::accounts::{self, Candidate, Outcome, Patience};
use crate::plan::founding::Founder;
use crate::view::MemberPod;

/// Doris' word for a wrong user or password.
const LOGIN_REFUSED: u16 = 1045;

/// The frontends' ports that we talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontendPorts {
    /// Journal.
    pub edit_log: u16,
    /// HTTP.
    pub http: u16,
    /// MySQL protocol.
    pub query: u16,
}

impl FrontendPorts {
    /// Those of the spec.
    pub fn of(spec: &DorisClusterSpec) -> Self {
        let port = |port: &ports::Port| spec.port(Component::Fe, port);
        Self { edit_log: port(&ports::FE_EDIT_LOG), http: port(&ports::FE_HTTP), query: port(&ports::FE_QUERY) }
    }

    /// Where every frontend with a running pod is asked.
    pub fn targets(self, pods: &BTreeMap<Component, Vec<MemberPod>>) -> Vec<FrontendTarget> {
        let frontends = [Component::Fe, Component::FeObserver].into_iter().filter_map(|component| pods.get(&component)).flatten();
        frontends.filter_map(|pod| Some(self.target(&pod.fqdn, pod.ip.filter(|_| pod.running)?))).collect()
    }

    /// Where to ask one frontend.
    pub fn target(self, host: &str, ip: IpAddr) -> FrontendTarget {
        FrontendTarget { host: host.to_owned(), http: Endpoint { ip, port: self.http }, query: Endpoint { ip, port: self.query } }
    }
}

/// What was seen of a founded cluster.
pub struct Doris {
    /// What every frontend says of itself.
    pub views: Vec<FrontendView>,
    /// The accepted master, or why there is none.
    pub verdict: MasterVerdict,
    /// The rows on the self-declared master's connection.
    pub frontends: Vec<Frontend>,
    /// Backends and compute nodes; only with a master.
    pub backends: Vec<Backend>,
    /// Brokers; only with a master.
    pub brokers: Vec<Broker>,
}

impl Doris {
    /// The accepted master's FQDN.
    pub fn master(&self) -> Option<&str> {
        match &self.verdict {
            MasterVerdict::Accepted { host } => Some(host),
            MasterVerdict::Refused(_) => None,
        }
    }

    /// The operator's account was refused by the one that says it is master.
    pub fn is_denied(&self) -> bool {
        matches!(&self.verdict, MasterVerdict::Refused(NoMaster::NoSession { error }) if error.is_login_refused())
    }

    /// The journal id that a frontend told of itself.
    pub fn journal_of(&self, host: &str) -> Option<u64> {
        self.views.iter().find(|view| view.target.host == host).and_then(FrontendView::journal_id)
    }
}

/// Looks at a founded cluster without a login: the operator's account was refused a moment ago.
pub async fn look(transport: &dyn Transport, targets: &[FrontendTarget], journals: &mut Journals) -> Doris {
    let mut views = probe_frontends(transport, targets, None).await;
    journals.observe(tokio::time::Instant::now(), &mut views);
    let claimants = views.iter().filter(|view| view.claims_to_be_master()).count();
    let verdict = if claimants == 1 {
        let message = "the operator's account was refused a moment ago".to_owned();
        let error = Error::Refused { code: LOGIN_REFUSED, state: String::new(), message };
        MasterVerdict::Refused(NoMaster::NoSession { error })
    } else {
        doris_client::elect::find_master(&views, &[])
    };
    Doris { views, verdict, frontends: Vec::new(), backends: Vec::new(), brokers: Vec::new() }
}

/// Which lists are asked for beside the frontends'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Backends and compute nodes.
    pub backends: bool,
    /// Brokers.
    pub brokers: bool,
}

/// Asks a founded cluster. Reads only, under the client's deadlines.
pub async fn observe(
    transport: &dyn Transport,
    targets: &[FrontendTarget],
    login: &Login,
    wanted: Wanted,
    journals: &mut Journals,
) -> Result<(Doris, Option<Session>), Error> {
    let search = find_and_prove_master(transport, targets, login, journals).await;
    let mut doris =
        Doris { views: search.views, verdict: search.verdict, frontends: search.frontends, backends: Vec::new(), brokers: Vec::new() };
    let mut session = search.session;
    if let Some(session) = &mut session {
        if wanted.backends {
            doris.backends = session.backends().await?;
        }
        if wanted.brokers {
            doris.brokers = session.brokers().await?;
        }
    }
    Ok((doris, session))
}

/// The one frontend of a cluster that is being founded, and a session with it.
pub struct Founding {
    /// What it says of itself.
    pub founder: Founder,
    /// A session as operator or root, and by which login.
    pub session: Option<(Session, Candidate)>,
    /// Every stored login was refused.
    pub locked_out: bool,
}

/// Asks the founding frontend about itself. `login` gives a candidate's account, if one is stored.
pub async fn observe_founder(
    transport: &dyn Transport,
    pod: &MemberPod,
    ports: FrontendPorts,
    (login, patience): (impl Fn(Candidate) -> Option<Login>, &mut Patience),
    journals: &mut Journals,
) -> Founding {
    let mut seen = Founding { founder: Founder::default(), session: None, locked_out: false };
    let Some(ip) = pod.ip else { return seen };
    seen.founder.port_open = transport.port_is_open(Endpoint { ip, port: ports.edit_log }).await;
    if !seen.founder.port_open {
        return seen;
    }
    let target = ports.target(&pod.fqdn, ip);
    let mut views = probe_frontends(transport, std::slice::from_ref(&target), None).await;
    journals.observe(tokio::time::Instant::now(), &mut views);
    if !views.iter().all(FrontendView::claims_to_be_master) {
        return seen;
    }
    match log_in(transport, target.query, &accounts::FOUNDING, login, patience).await {
        Entry::In(session, candidate) => seen.session = Some((session, candidate)),
        Entry::LockedOut => seen.locked_out = true,
        Entry::Unclear => {}
    }
    if let Some((session, _)) = &mut seen.session
        && let Ok(rows) = session.frontends().await
        && let [own] = rows.as_slice()
    {
        seen.founder.alone_and_master = own.host == pod.fqdn && own.is_master && own.current_connected;
        seen.founder.cluster_id = own.cluster_id.map(|id| id.to_string());
    }
    seen
}

/// How the tries to log in ended.
pub enum Entry {
    /// Logged in, by this candidate.
    In(Session, Candidate),
    /// Every candidate was denied.
    LockedOut,
    /// Something other than a password was in the way.
    Unclear,
}

/// Tries the stored logins in their order, once each. One that was refused lately counts as refused.
pub async fn log_in(
    transport: &dyn Transport,
    endpoint: Endpoint,
    order: &[Candidate],
    login: impl Fn(Candidate) -> Option<Login>,
    patience: &mut Patience,
) -> Entry {
    let now = tokio::time::Instant::now();
    let is_too_early = |candidate: &Candidate| login(*candidate).is_some_and(|login| !patience.allows(&login, now));
    let mut tried: Vec<(Candidate, Outcome)> =
        order.iter().copied().filter(is_too_early).map(|candidate| (candidate, Outcome::Denied)).collect();
    loop {
        let candidate = match accounts::plan(order, &tried, |candidate| login(candidate).is_some()) {
            accounts::Step::Try(candidate) => candidate,
            accounts::Step::Wait => return Entry::Unclear,
            accounts::Step::LockedOut => return Entry::LockedOut,
        };
        let Some(account) = login(candidate) else { return Entry::Unclear };
        match Session::open(transport, endpoint, &account).await {
            Ok(session) => {
                patience.forget(&account.user);
                return Entry::In(session, candidate);
            }
            Err(error) if error.is_login_refused() => {
                patience.refused(&account, true, now);
                tried.push((candidate, Outcome::Denied));
            }
            Err(_) => tried.push((candidate, Outcome::Unclear)),
        }
    }
}
