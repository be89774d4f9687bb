//! `KeepReplica`, `ServeReplica` and `LoadQuorum`: what a tablet has left.

use std::collections::BTreeSet;

use doris_api::rules::SafetyRule;

use crate::blocked::Blocked;
use crate::observed::{Backend, Observed};
use crate::step::{NodeRole, Step};
use crate::tablets::{Allocation, Partition, PartitionKind, Placement, Table, TabletMap, Tablets};
use crate::text::{count, list};

const DATA_LOSS: &str = "what only this backend has would be lost, and nothing brings it back";

/// Tablets of a table that a step would hurt.
struct Hurt<'a> {
    table: &'a Table,
    partition: &'a Partition,
    tablets: u64,
    example: Option<u64>,
}

/// A question to every tablet: whether a step hurts the ones with this placement in that partition.
trait Harm {
    fn hurts(&self, placement: &Placement, table: &Table, partition: &Partition) -> bool;
    /// The same for a healthy partition of which only the number of replicas is known.
    fn may_hurt(&self, table: &Table, partition: &Partition) -> bool;
}

/// Partitions with tablets that a step hurts.
fn hurt<'a>(map: &'a TabletMap, harm: &impl Harm) -> Vec<Hurt<'a>> {
    let one = |(table, partition): (&'a Table, &'a Partition)| match &partition.tablets {
        Tablets::Healthy { count } => {
            harm.may_hurt(table, partition).then_some(Hurt { table, partition, tablets: u64::from(*count), example: None })
        }
        Tablets::Unknown { count } => {
            Some(Hurt { table, partition, tablets: u64::from(*count), example: None }).filter(|one| one.tablets > 0)
        }
        Tablets::Placed(_) => {
            let hit = map.placed(partition).filter(|(placement, _, _)| harm.hurts(placement, table, partition));
            let (tablets, example) =
                hit.fold((0, None), |(sum, first), (_, count, example)| (sum + u64::from(count), first.or(Some(example))));
            (tablets > 0).then_some(Hurt { table, partition, tablets, example })
        }
    };
    map.partitions().filter_map(one).collect()
}

/// Names of what is hurt, the number of tablets, and one of them.
fn named(hurt: &[Hurt<'_>]) -> (String, String) {
    let names: Vec<String> = hurt.iter().map(|one| one.table.partition_name(one.partition)).collect();
    let tablets: u64 = hurt.iter().map(|one| one.tablets).sum();
    let counted = count(usize::try_from(tablets).unwrap_or(usize::MAX), "tablet");
    let numbers = match hurt.iter().find_map(|one| one.example) {
        Some(example) if tablets == 1 => format!("tablet {example}"),
        Some(example) => format!("{counted}, for example {example}"),
        None => counted,
    };
    (list(&names), numbers)
}

/// Ids of backends that can answer queries, and of those that can take part in loads, without some.
struct Left {
    serving: BTreeSet<u64>,
    alive: BTreeSet<u64>,
    /// Backends that go or are not well: each of them may hold a replica of a healthy tablet.
    away: usize,
}

fn left(backends: &[Backend], without: &BTreeSet<u64>) -> Left {
    let stays = |backend: &&Backend| backend.alive && !without.contains(&backend.id);
    let alive: BTreeSet<u64> = backends.iter().filter(stays).map(|backend| backend.id).collect();
    let serving: BTreeSet<u64> =
        backends.iter().filter(stays).filter(|backend| !backend.query_disabled).map(|backend| backend.id).collect();
    let stores = |backend: &&Backend| backend.role != Some(NodeRole::Computation);
    let away = backends.iter().filter(stores).filter(|backend| !serving.contains(&backend.id)).count();
    Left { serving, alive, away }
}

fn names_of(backends: &[Backend], ids: &BTreeSet<u64>) -> String {
    let names: Vec<String> = ids
        .iter()
        .map(|id| {
            backends.iter().find(|backend| backend.id == *id).map_or_else(|| format!("backend {id}"), |backend| backend.name().to_owned())
        })
        .collect();
    list(&names)
}

/// No tablet's only healthy replica is destroyed.
pub(super) fn keep(observed: &Observed, step: &Step) -> Vec<Blocked> {
    let rule = SafetyRule::KeepReplica;
    let Some(backends) = &observed.backends else {
        return vec![Blocked { hard: Some(DATA_LOSS), ..Blocked::unread(rule, "the list of backends") }];
    };
    let by_host = |host: &str| backends.iter().find(|backend| backend.host == host);
    match step {
        Step::DropBackend { backend } => {
            let victim = backends.iter().find(|row| row.id == *backend);
            victim.map(|victim| drop_backend(observed, backends, victim)).unwrap_or_default()
        }
        Step::DeleteBackendClaim { host, .. } => by_host(host).map(|victim| destroy(observed, backends, victim)).unwrap_or_default(),
        Step::DropComputeNode { backend } => {
            let victim = backends.iter().find(|row| row.id == *backend);
            victim.and_then(|victim| must_be_empty(victim, "it can be dropped", true)).into_iter().collect()
        }
        Step::RemovePod { host } => by_host(host).and_then(|victim| must_be_empty(victim, "its pod can go", false)).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn must_be_empty(victim: &Backend, what: &str, as_compute_node: bool) -> Option<Blocked> {
    let name = victim.name();
    let refusal = |sentence| Some(Blocked::hard(SafetyRule::KeepReplica, name, sentence, DATA_LOSS));
    if as_compute_node && victim.role != Some(NodeRole::Computation) {
        return refusal(format!("{name} is not known to be a compute node, and a backend that stores data is decommissioned instead"));
    }
    if victim.tablets == 0 {
        return None;
    }
    refusal(format!(
        "{name} still holds {}; {what} once decommissioning has moved them elsewhere",
        count(usize::try_from(victim.tablets).unwrap_or(usize::MAX), "replica")
    ))
}

/// One that lives is emptied first: that also moves what no listing of tables shows, such as tables
/// in the recycle bin.
fn drop_backend(observed: &Observed, backends: &[Backend], victim: &Backend) -> Vec<Blocked> {
    match victim.alive.then(|| must_be_empty(victim, "it can be dropped", false)).flatten() {
        Some(blocked) => vec![blocked],
        None => destroy(observed, backends, victim),
    }
}

struct Destroys<'a> {
    victim: u64,
    left: &'a Left,
}

impl Harm for Destroys<'_> {
    fn hurts(&self, placement: &Placement, _: &Table, _: &Partition) -> bool {
        // Even a replica that is behind or bad may be the last one that has anything.
        placement.is_on(self.victim) && placement.good_among(&self.left.alive) == 0
    }

    fn may_hurt(&self, _: &Table, partition: &Partition) -> bool {
        partition.allocation.replicas() <= self.left.away
    }
}

fn destroy(observed: &Observed, backends: &[Backend], victim: &Backend) -> Vec<Blocked> {
    let rule = SafetyRule::KeepReplica;
    if victim.tablets == 0 && victim.role == Some(NodeRole::Computation) {
        return Vec::new();
    }
    let Some(map) = &observed.tablets else {
        return vec![Blocked { hard: Some(DATA_LOSS), ..Blocked::unread(rule, "where the tablets lie") }];
    };
    let name = victim.name();
    let left = left(backends, &BTreeSet::from([victim.id]));
    let (known, unknown) = split(hurt(map, &Destroys { victim: victim.id, left: &left }));
    let mut blocked = Vec::new();
    if let Some(first) = known.first() {
        let (tables, extent) = named(&known);
        let back =
            if victim.alive { format!("{name} has been emptied") } else { format!("{name} is back with its disks and has been emptied") };
        let sentence = format!(
            "{name} may hold the only copy of {tables} ({extent}): no other backend that is alive has a complete replica; this ends when {back}, when a backend that has another copy is back, or when the tables or partitions have been dropped"
        );
        blocked.push(Blocked::hard(rule, first.table.partition_name(first.partition), sentence, DATA_LOSS));
    }
    blocked
        .extend(not_known(rule, &unknown, &format!("{name} may hold the only copy")).map(|one| Blocked { hard: Some(DATA_LOSS), ..one }));
    blocked
}

/// Those whose tablets were seen, and those of which nobody knows where they lie.
fn split(hurt: Vec<Hurt<'_>>) -> (Vec<Hurt<'_>>, Vec<Hurt<'_>>) {
    hurt.into_iter().partition(|one| one.example.is_some())
}

/// A refusal for tablets of which nobody knows where they lie.
fn not_known(rule: SafetyRule, unknown: &[Hurt<'_>], fear: &str) -> Option<Blocked> {
    let first = unknown.first()?;
    let (tables, extent) = named(unknown);
    let end = if unknown.iter().any(|one| one.partition.kind == PartitionKind::Temporary) {
        "this ends when the temporary partition is gone, into which no statement looks"
    } else {
        "this ends when their replicas have been read"
    };
    let sentence = format!("it is not known where the tablets of {tables} lie ({extent}), and {fear}; {end}");
    Some(Blocked::soft(rule, first.table.partition_name(first.partition), sentence))
}

struct Unreadable<'a> {
    /// Backends that go and are alive; whether their flags keep queries away already is no matter,
    /// since the drain of this very step may have set them.
    going: &'a BTreeSet<u64>,
    after: &'a Left,
}

impl Harm for Unreadable<'_> {
    fn hurts(&self, placement: &Placement, _: &Table, _: &Partition) -> bool {
        placement.good_among(self.going) > 0 && placement.good_among(&self.after.serving) == 0
    }

    fn may_hurt(&self, _: &Table, partition: &Partition) -> bool {
        partition.allocation.replicas() <= self.after.away
    }
}

struct Unloadable<'a> {
    before: &'a Left,
    after: &'a Left,
}

impl Harm for Unloadable<'_> {
    fn hurts(&self, placement: &Placement, table: &Table, partition: &Partition) -> bool {
        let quorum = partition.allocation.load_quorum(table.min_load_replicas);
        placement.good_among(&self.after.alive) < quorum && placement.good_among(&self.before.alive) >= quorum
    }

    fn may_hurt(&self, table: &Table, partition: &Partition) -> bool {
        partition.allocation.replicas().saturating_sub(self.after.away) < partition.allocation.load_quorum(table.min_load_replicas)
    }
}

/// The backends that a step takes away, if it takes any that store data.
fn taken(observed: &Observed, step: &Step) -> Option<BTreeSet<u64>> {
    let backends = observed.backends.as_deref().unwrap_or_default();
    let stores =
        |id: &u64| backends.iter().find(|backend| backend.id == *id).is_some_and(|backend| backend.role != Some(NodeRole::Computation));
    let ids: BTreeSet<u64> = match step {
        Step::RestartBackends { backends } => backends.iter().copied().filter(stores).collect(),
        Step::DropBackend { backend } => BTreeSet::from([*backend]).into_iter().filter(stores).collect(),
        _ => BTreeSet::new(),
    };
    (!ids.is_empty()).then_some(ids)
}

/// What backends there are before and after a step, and its way into a sentence.
struct Change<'a> {
    map: &'a TabletMap,
    going: BTreeSet<u64>,
    before: Left,
    after: Left,
    who: String,
}

impl<'a> Change<'a> {
    fn new(backends: &[Backend], map: &'a TabletMap, victims: &BTreeSet<u64>) -> Self {
        let (before, after) = (left(backends, &BTreeSet::new()), left(backends, victims));
        let going = victims.intersection(&before.alive).copied().collect();
        Self { map, going, before, after, who: names_of(backends, victims) }
    }

    fn unreadable(&self) -> Vec<Hurt<'a>> {
        hurt(self.map, &Unreadable { going: &self.going, after: &self.after })
    }

    fn unloadable(&self) -> Vec<Hurt<'a>> {
        hurt(self.map, &Unloadable { before: &self.before, after: &self.after })
    }
}

/// No table becomes unreadable.
pub(super) fn serve(observed: &Observed, step: &Step) -> Vec<Blocked> {
    soft(observed, step, SafetyRule::ServeReplica, Change::unreadable, |who, tables, extent, first| {
        format!(
            "without {who}, nobody could read {tables} ({extent}), of which no other backend serves a complete replica; {}",
            way_out(step, first, 1)
        )
    })
}

/// What ends a refusal for want of replicas, of which so many have to be left.
fn way_out(step: &Step, first: &Hurt<'_>, needed: usize) -> String {
    let copies = first.partition.allocation.replicas();
    let mut ways = Vec::new();
    if copies > needed {
        ways.push("when the other backends that have copies are alive and serve, and tablets under repair are whole".to_owned());
    }
    if copies < 3 {
        let statement = first.table.alter_replicas(first.partition, &more_replicas(first.partition));
        ways.push(format!("when the tables have 3 replicas, as after {statement}"));
    }
    if matches!(step, Step::RestartBackends { .. }) {
        ways.push("when update.unavailableTables is Allow, which accepts it for the time of a restart".to_owned());
    }
    format!("this ends {}", ways.join(", or "))
}

/// Three replicas, most of them where most are wanted now.
fn more_replicas(partition: &Partition) -> Allocation {
    let tags: Vec<(&str, usize)> = partition.allocation.tags().collect();
    let missing = 3usize.saturating_sub(partition.allocation.replicas());
    let most = tags.iter().max_by_key(|(_, number)| *number).map_or("default", |(tag, _)| *tag);
    let pairs = tags.iter().map(|(tag, number)| (*tag, *number)).chain([(most, missing)]);
    Allocation::new(pairs.filter_map(|(tag, number)| Some((tag, u16::try_from(number).ok()?))))
}

/// No table refuses loads.
pub(super) fn load(observed: &Observed, step: &Step) -> Vec<Blocked> {
    soft(observed, step, SafetyRule::LoadQuorum, Change::unloadable, |who, tables, extent, first| {
        let copies = count(first.partition.allocation.replicas(), "replica");
        let quorum = first.partition.allocation.load_quorum(first.table.min_load_replicas);
        format!(
            "without {who}, loads into {tables} would fail ({extent}): of {copies} in {} {quorum} must be complete and alive; {}",
            first.table.full_name(),
            way_out(step, first, quorum)
        )
    })
}

fn soft<'a>(
    observed: &'a Observed,
    step: &Step,
    rule: SafetyRule,
    find: impl Fn(&Change<'a>) -> Vec<Hurt<'a>>,
    sentence: impl Fn(&str, &str, &str, &Hurt<'a>) -> String,
) -> Vec<Blocked> {
    let Some(backends) = &observed.backends else { return vec![Blocked::unread(rule, "the list of backends")] };
    let Some(victims) = taken(observed, step) else { return Vec::new() };
    let Some(map) = &observed.tablets else { return vec![Blocked::unread(rule, "where the tablets lie")] };
    let change = Change::new(backends, map, &victims);
    let (known, unknown) = split(find(&change));
    let mut blocked = Vec::new();
    if let Some(first) = known.first() {
        let (tables, extent) = named(&known);
        blocked.push(Blocked::soft(rule, first.table.partition_name(first.partition), sentence(&change.who, &tables, &extent, first)));
    }
    blocked.extend(not_known(rule, &unknown, &format!("{} may hold too many of them", change.who)));
    blocked
}

/// Tables that a restart makes unavailable where that is allowed, as sentences.
pub(crate) fn unavailable(observed: &Observed, step: &Step) -> Vec<String> {
    let (Some(backends), Some(map), Some(victims)) = (&observed.backends, &observed.tablets, taken(observed, step)) else {
        return Vec::new();
    };
    let change = Change::new(backends, map, &victims);
    let tell = |hurt: &[Hurt<'_>], one: &str, many: &str| {
        let (tables, extent) = named(hurt);
        (!hurt.is_empty()).then(|| format!("{tables} {} meanwhile ({extent})", if hurt.len() == 1 { one } else { many }))
    };
    let (unreadable, unloadable) = (change.unreadable(), change.unloadable());
    let sentences = [tell(&unreadable, "cannot be read", "cannot be read"), tell(&unloadable, "takes no loads", "take no loads")];
    sentences.into_iter().flatten().collect()
}

/// Whether a step takes the only backends that serve some table.
pub(crate) fn sole_server(observed: &Observed, step: &Step) -> bool {
    let (Some(backends), Some(map), Some(victims)) = (&observed.backends, &observed.tablets, taken(observed, step)) else {
        return false;
    };
    !Change::new(backends, map, &victims).unreadable().is_empty()
}

/// Backends that go in a step or are not well anyway: each may hold a replica of any tablet. What
/// has to be placed before the step can be judged depends on their number.
pub(crate) fn away(backends: &[Backend], step: &Step) -> usize {
    let going: BTreeSet<u64> = match step {
        Step::RestartBackends { backends } => backends.clone(),
        Step::DropBackend { backend } => BTreeSet::from([*backend]),
        Step::DeleteBackendClaim { host, .. } => {
            backends.iter().filter(|backend| backend.host == *host).map(|backend| backend.id).collect()
        }
        _ => BTreeSet::new(),
    };
    left(backends, &going).away
}
