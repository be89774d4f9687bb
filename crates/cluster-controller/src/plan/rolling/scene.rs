//! What a roll sees.

use doris_api::Component;
use jiff::{SignedDuration, Timestamp};

use super::{Order, Step};

/// A member's pod.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Which pod of that name.
    pub uid: String,
    /// It was made from another template than the present one.
    pub outdated: bool,
    /// Why only another pod goes on, whatever its template.
    pub worn_out: Option<String>,
    /// It has a deletion timestamp.
    pub leaving: bool,
    /// Its main container runs.
    pub running: bool,
    /// Kubernetes' readiness.
    pub ready: bool,
    /// The access Service sends clients to it.
    pub serving: bool,
    /// Why it does not run, in the words of whoever holds it up.
    pub trouble: Option<String>,
    /// When its main container last started.
    pub started_at: Option<Timestamp>,
    /// Where it runs: what fails there fails with it.
    pub domain: Option<String>,
}

/// A switch of a backend: what the master has, and whether every frontend has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    /// On, by the master.
    pub on: bool,
    /// On, by every frontend that is alive.
    pub on_everywhere: bool,
}

/// A member as a roll sees it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Of which component.
    pub component: Component,
    /// Its pod's name.
    pub name: String,
    /// Ordinal in its StatefulSet.
    pub ordinal: u32,
    /// The pod, if there is one.
    pub pod: Option<Pod>,
    /// Doris knows it.
    pub registered: bool,
    /// It answers: its heartbeat, and for a frontend our own question too.
    pub alive: bool,
    /// Start of its process in Doris' words, if Doris tells.
    pub process_start: Option<String>,
    /// It is the accepted master.
    pub is_master: bool,
    /// Its journal is where the master's was a moment ago.
    pub caught_up: bool,
    /// Queries are kept away.
    pub query_off: Switch,
    /// Loads are kept away.
    pub load_off: Switch,
    /// Statements, loads and logs of loads that it works on; `None` if nobody can tell.
    pub busy: Option<u64>,
    /// It told which tablets it has since its process began.
    pub reported: bool,
}

impl Member {
    /// A switch of ours is on, for some frontend at least.
    pub fn is_drained_in_part(&self) -> bool {
        self.query_off.on || self.load_off.on
    }

    /// Every frontend keeps away from it what is to be kept away: loads, and queries if others can answer them.
    pub fn is_drained(&self, record: &Record) -> bool {
        self.load_off.on_everywhere && (record.keeps_queries || self.query_off.on_everywhere)
    }

    /// It does not work, and its pod will not change that: a restart takes nothing away. That no node takes the pod counts
    /// as well, for the present template may ask for less.
    pub fn is_down(&self) -> bool {
        let cannot_run = self.pod.as_ref().is_some_and(|pod| !pod.leaving && !pod.running && pod.trouble.is_some());
        cannot_run && !self.alive
    }

    /// It is wanted and does not work now.
    pub fn is_away(&self) -> bool {
        !(self.registered && self.alive && self.pod.as_ref().is_some_and(|pod| pod.ready && !pod.leaving))
    }

    /// Why its pod does not run.
    pub fn trouble(&self) -> Option<&str> {
        self.pod.as_ref().and_then(|pod| pod.trouble.as_deref())
    }
}

/// Whose turn it is, as written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its pod's name.
    pub pod: String,
    /// Uid of the pod that was to go.
    pub uid: String,
    /// Since when.
    pub since: Timestamp,
    /// Start of its process before.
    pub process_start: Option<String>,
    /// Queries reach it until it stops: nobody else serves some table.
    pub keeps_queries: bool,
    /// Work of others still runs on it when it is stopped.
    pub cut_short: bool,
}

/// Tablets, and the switch that keeps Doris from repairing them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Tablets that are not healthy now and were when the roll began; `None` if it was not asked.
    pub unhealthy: Option<u64>,
    /// The master's `disable_tablet_scheduler`; `None` if it was not asked.
    pub hold: Option<bool>,
}

/// How long things may take, and who keeps the roll from going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For running queries.
    pub drain: SignedDuration,
    /// Until a frontend is back.
    pub frontend: SignedDuration,
    /// Until a backend, compute node or broker is back.
    pub backend: SignedDuration,
    /// Why no further member may be restarted, if so.
    pub held_by: Option<String>,
    /// Members with a lower ordinal keep what they run.
    pub partition: u32,
    /// For so long frontends leave a backend alone that did not answer them.
    pub avoided: SignedDuration,
    /// Components whose turn it is in an upgrade; others wait for theirs, unless they cannot run anyway.
    pub only: Option<Vec<Component>>,
}

/// All that the plan looks at.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// Every wanted member.
    pub members: &'a [Member],
    /// Who is restarted, and in which order.
    pub order: Order,
    /// Whose turn it is.
    pub record: Option<&'a Record>,
    /// Tablets.
    pub health: Health,
    /// Safety rules have refused the restart of the member under work for so long that it is let go.
    pub let_go: bool,
    /// The user's own settings keep the scheduler off.
    pub hold_is_specified: bool,
    /// Times and holds.
    pub limits: &'a Limits,
    /// Now.
    pub now: Timestamp,
}

/// Where a member is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts<'a> {
    /// The pod that is to go is still there.
    Before(&'a Pod),
    /// It is going, or gone, or its successor does not run yet.
    Away(String),
    /// Its successor runs.
    After(&'a Pod),
}

impl Scene<'_> {
    /// Where the member under work is.
    pub fn whereabouts<'a>(&self, member: &'a Member, record: &Record) -> Whereabouts<'a> {
        match &member.pod {
            None => Whereabouts::Away("its pod is being made anew".to_owned()),
            Some(pod) if pod.leaving => Whereabouts::Away("its pod is stopping".to_owned()),
            Some(pod) if pod.uid == record.uid => Whereabouts::Before(pod),
            Some(pod) if !pod.running => Whereabouts::Away(pod.trouble.clone().unwrap_or_else(|| "its new pod is starting".to_owned())),
            Some(pod) => Whereabouts::After(pod),
        }
    }

    /// The scheduler is kept off, and not by the user's own settings.
    pub fn is_held_by_us(&self) -> bool {
        self.health.hold == Some(true) && !self.hold_is_specified
    }

    /// How long the member has been under work.
    pub fn elapsed(&self, record: &Record) -> SignedDuration {
        self.now.duration_since(record.since)
    }

    /// Waits for a member that is away, as long as it may take; a pod that the spec has overtaken
    /// meanwhile is replaced at once.
    pub fn patience(&self, member: &Member, record: &Record, what: &str) -> Step {
        if let Some(pod) = member.pod.as_ref().filter(|pod| pod.outdated && !pod.leaving && pod.uid != record.uid && !member.alive) {
            return Step::Restart { pod: member.name.clone(), uid: pod.uid.clone() };
        }
        let limit = match member.component {
            Component::Fe | Component::FeObserver => self.limits.frontend,
            Component::Be | Component::Cn | Component::Broker => self.limits.backend + self.limits.drain,
        };
        if self.elapsed(record) < limit {
            return Step::Wait(format!("{} is restarted: {what}", member.name));
        }
        if self.is_held_by_us() {
            return Step::ReleaseScheduler;
        }
        Step::Stop {
            pod: member.name.clone(),
            message: format!(
                "{} did not come back within {} s: {what}. No other member is restarted. Put the spec back to what it was, or mend what \
                 keeps the pod: the roll goes on by itself once the member works",
                member.name,
                limit.as_secs()
            ),
        }
    }
}
