//! What a scale in sees.

use std::collections::{BTreeMap, BTreeSet};

use doris_api::Component;
use jiff::{SignedDuration, Timestamp};

/// The pod of a member that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Which pod of that name.
    pub uid: String,
    /// It has a deletion timestamp.
    pub leaving: bool,
    /// Its main container runs.
    pub running: bool,
    /// The access Service sends clients to it.
    pub serving: bool,
}

/// A member that leaves, as Doris has it registered.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// It answers.
    pub alive: bool,
    /// It is the accepted master.
    pub is_master: bool,
    /// Doris says that it stores tablets.
    pub stores: bool,
    /// Replicas on it, as the master counts them.
    pub tablets: u64,
    /// It is being emptied.
    pub emptying: bool,
    /// It has been empty for so long that Doris will not drop it by itself.
    pub overdue: bool,
    /// Queries and loads are kept away, by the master.
    pub drained: bool,
    /// The same by every frontend that is alive.
    pub drained_everywhere: bool,
    /// Statements, fragments or loads that need it; `None` if nobody can tell.
    pub busy: Option<u64>,
}

/// What becomes of a volume of a member that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It stays.
    Kept,
    /// It is deleted once its pod is gone.
    Discarded,
}

/// A volume claim of a member that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// Which claim of that name.
    pub uid: String,
    /// What was decided about it, if anything was.
    pub mark: Option<Mark>,
}

/// A member that the spec does not ask for, or what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaver {
    /// Of which component.
    pub component: Component,
    /// Its pod's name.
    pub pod: String,
    /// Ordinal in its StatefulSet.
    pub ordinal: u32,
    /// The name that it is registered with.
    pub host: String,
    /// As Doris has it; `None` once it is not registered any more.
    pub row: Option<Row>,
    /// Its pod, if there is one.
    pub present: Option<Pod>,
    /// Its StatefulSet still asks for the pod.
    pub slot: bool,
    /// The identity knows it as a member.
    pub on_record: bool,
    /// The name that Doris had its frontend under, if that is not on record among those that left yet.
    pub left_as: Option<String>,
    /// Its volumes.
    pub claims: Vec<Claim>,
}

impl Leaver {
    /// It does nothing for anybody: Doris does not know it, or hears nothing of it.
    pub fn is_down(&self) -> bool {
        self.row.as_ref().is_none_or(|row| !row.alive)
    }

    /// Neither pod nor a set that would make one.
    pub fn has_no_pod(&self) -> bool {
        self.present.is_none() && !self.slot
    }
}

/// A member that was to leave and stays.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stayer {
    /// Its pod's name.
    pub pod: String,
    /// The name that it is registered with.
    pub host: String,
    /// It is being emptied.
    pub emptying: bool,
    /// Queries or loads are kept away.
    pub drained: bool,
    /// No clients are sent to it.
    pub silenced: bool,
    /// It is a frontend.
    pub is_frontend: bool,
}

/// A StatefulSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// Pods that it is to have.
    pub pods: u32,
    /// Members that the spec asks for.
    pub wanted: u32,
    /// The spec has the component.
    pub specified: bool,
}

/// Whose turn it is, as written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Focus {
    /// Its pod's name.
    pub pod: String,
    /// Uid of its pod then.
    pub uid: String,
    /// Since when.
    pub since: Timestamp,
    /// How often it was restarted, so that another frontend becomes master.
    pub restarts: i32,
}

/// What is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Pods of all that leave.
    pub targets: BTreeSet<String>,
    /// Whose turn it is.
    pub focus: Option<Focus>,
}

/// Whether backends that are not being emptied yet may begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// There are none, or they may.
    #[default]
    Free,
    /// Something is in the way; a sentence.
    Blocked(String),
}

/// How long things may take, and what keeps others from beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For running statements.
    pub drain: SignedDuration,
    /// Between two changes of the frontends' group.
    pub between_drops: SignedDuration,
    /// Why no further member may begin to leave, if so.
    pub held_by: Option<String>,
}

/// All that the plan looks at.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// Members that leave.
    pub leavers: &'a [Leaver],
    /// Members on record as leaving that stay, and what is to be taken back from them.
    pub stayers: &'a [Stayer],
    /// StatefulSets.
    pub sets: &'a BTreeMap<Component, Set>,
    /// What is written down.
    pub record: Option<&'a Record>,
    /// Whether backends may begin to leave.
    pub backends: Admission,
    /// Followers that are registered.
    pub followers: usize,
    /// The second of two followers can be taken out of the group for certain.
    pub one_follower_is_safe: bool,
    /// Somebody confirmed that one follower is enough.
    pub one_follower_is_meant: bool,
    /// How far the backends are, as a sentence.
    pub progress: Option<String>,
    /// Times and holds.
    pub limits: &'a Limits,
    /// Now.
    pub now: Timestamp,
}

impl Scene<'_> {
    /// Members of a component that leave, the highest ordinal first.
    pub fn of(&self, component: Component) -> impl Iterator<Item = &Leaver> {
        self.leavers.iter().filter(move |leaver| leaver.component == component)
    }

    /// What is written down of the member whose turn it is.
    pub fn focus(&self) -> Option<&Focus> {
        self.record.and_then(|record| record.focus.as_ref())
    }

    /// How long it has been somebody's turn.
    pub fn elapsed(&self, focus: &Focus) -> SignedDuration {
        self.now.duration_since(focus.since)
    }
}
