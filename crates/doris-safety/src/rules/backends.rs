//! `TabletHealth` and `DecommissionFeasible`.

use std::collections::{BTreeMap, BTreeSet};

use doris_api::cluster::Medium;
use doris_api::rules::SafetyRule;

use crate::blocked::Blocked;
use crate::observed::{Backend, Disk, Observed, Switches};
use crate::step::{NodeRole, Step};
use crate::tablets::Allocation;
use crate::text::{be, bytes, count, list};

/// Share of a disk up to which Doris clones onto it, in percent.
const HIGH_WATERMARK: u64 = 85;

/// Part of the room below the watermark that a decommission may plan with, in percent.
const ROOM_USED: u64 = 90;

/// Between two backends no tablet is unhealthy that was healthy when the operation began.
pub(super) fn tablet_health(observed: &Observed, step: &Step) -> Vec<Blocked> {
    let rule = SafetyRule::TabletHealth;
    if takes_nothing(observed, step) {
        return Vec::new();
    }
    let Some(health) = &observed.health else { return vec![Blocked::unread(rule, "the health of the tablets")] };
    let Some(switches) = observed.switches else { return vec![Blocked::unread(rule, "the switches of the tablet scheduler")] };
    let Some(baseline) = &observed.baseline else { return Vec::new() };
    let counts = |status: &str| !(switches.colocate_balance_off && status.starts_with("Colocate"));
    let mut fresh: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
    for one in health.unhealthy.iter().filter(|one| counts(&one.status)) {
        let new: Vec<u64> = one.tablets.iter().copied().filter(|tablet| !baseline.contains(tablet)).collect();
        if !new.is_empty() {
            fresh.entry((&one.database, &one.status)).or_default().extend(new);
        }
    }
    let Some(((database, _), first)) = fresh.iter().next() else { return Vec::new() };
    let tablets: usize = fresh.values().map(Vec::len).sum();
    let kinds: Vec<String> = fresh.iter().map(|((database, status), ids)| format!("{} {status} in {database}", ids.len())).collect();
    let held = if switches.scheduler_off {
        "the tablet scheduler is off (disable_tablet_scheduler), so nothing repairs them; this ends when it is on again and they are whole"
    } else {
        "this ends when they have been repaired"
    };
    let sentence = format!(
        "{} {} not healthy that {} when the operation began: {}; for example tablet {}; {held}",
        count(tablets, "tablet"),
        be(tablets),
        if tablets == 1 { "was" } else { "were" },
        list(&kinds),
        first.first().copied().unwrap_or_default()
    );
    vec![Blocked::soft(rule, (*database).to_owned(), sentence)]
}

/// Whether a step restarts nothing but backends that are not alive: to replace what cannot run takes
/// nothing away, and may be what ends the damage.
pub(super) fn takes_nothing(observed: &Observed, step: &Step) -> bool {
    let Step::RestartBackends { backends } = step else { return false };
    let Some(rows) = &observed.backends else { return false };
    let is_dead = |id: &u64| rows.iter().any(|row| row.id == *id && !row.alive);
    !backends.is_empty() && backends.iter().all(is_dead)
}

/// What a decommission leaves.
struct Rest<'a> {
    leaving: Vec<&'a Backend>,
    staying: Vec<&'a Backend>,
}

/// Every replica allocation and all data fit the backends that stay.
pub(super) fn feasible(observed: &Observed, step: &Step) -> Vec<Blocked> {
    let rule = SafetyRule::DecommissionFeasible;
    let Step::DecommissionBackends { backends: leaving } = step else { return Vec::new() };
    let Some(backends) = &observed.backends else { return vec![Blocked::unread(rule, "the list of backends")] };
    let rest = rest(backends, leaving);
    let mut blocked: Vec<Blocked> = Vec::new();
    blocked.extend(rest.leaving.iter().find(|backend| backend.role == Some(NodeRole::Computation)).map(|node| compute_node(node)));
    blocked.extend(partitions(observed, &rest));
    blocked.extend(colocate(observed, &rest));
    blocked.extend(space(&rest));
    blocked.extend(switched_off(observed));
    blocked.extend(damage(observed, &rest));
    blocked
}

fn rest<'a>(backends: &'a [Backend], leaving: &BTreeSet<u64>) -> Rest<'a> {
    let takes = |backend: &&Backend| {
        backend.alive
            && !backend.decommissioning
            && backend.role == Some(NodeRole::Mix)
            && !backend.query_disabled
            && !backend.load_disabled
            && !leaving.contains(&backend.id)
    };
    Rest {
        leaving: backends.iter().filter(|backend| leaving.contains(&backend.id)).collect(),
        staying: backends.iter().filter(takes).collect(),
    }
}

impl Rest<'_> {
    /// Backends with a tag that can take replicas.
    fn at(&self, tag: &str) -> usize {
        self.staying.iter().filter(|backend| backend.location == tag).count()
    }

    /// The first tag of an allocation that too few backends have.
    fn short_of<'t>(&self, allocation: &'t Allocation) -> Option<(&'t str, usize, usize)> {
        allocation.tags().map(|(tag, wanted)| (tag, wanted, self.at(tag))).find(|(_, wanted, there)| wanted > there)
    }

    /// Backends with a tag that stay and can take no replicas, with the reason.
    fn left_out(&self, observed: &Observed, tag: &str) -> Vec<String> {
        let is_in = |list: &[&Backend], id: u64| list.iter().any(|backend| backend.id == id);
        let others = observed
            .backends
            .iter()
            .flatten()
            .filter(|backend| backend.location == tag && !is_in(&self.leaving, backend.id) && !is_in(&self.staying, backend.id));
        others.map(|backend| format!("{} {}", backend.name(), why_not(backend))).collect()
    }

    fn names(&self) -> String {
        list(&self.leaving.iter().map(|backend| backend.name()).collect::<Vec<_>>())
    }
}

fn why_not(backend: &Backend) -> &'static str {
    match backend {
        Backend { role: Some(NodeRole::Computation), .. } => "is a compute node",
        Backend { alive: false, .. } => "is not alive",
        Backend { decommissioning: true, .. } => "is being emptied itself",
        Backend { query_disabled: true, .. } | Backend { load_disabled: true, .. } => "has disable_query or disable_load set",
        _ => "does not tell its role",
    }
}

fn refusal(object: &str, sentence: String) -> Blocked {
    Blocked::soft(SafetyRule::DecommissionFeasible, object, sentence)
}

fn compute_node(node: &Backend) -> Blocked {
    let name = node.name();
    refusal(name, format!("{name} is a compute node and holds no tablets; it is drained and dropped, not decommissioned"))
}

fn partitions(observed: &Observed, rest: &Rest<'_>) -> Option<Blocked> {
    let Some(map) = &observed.tablets else {
        return Some(Blocked::unread(SafetyRule::DecommissionFeasible, "the replica allocation of the tables"));
    };
    let mut hit: Vec<_> =
        map.partitions().filter_map(|(table, partition)| Some((table, partition, rest.short_of(&partition.allocation)?))).collect();
    // People look for their own tables first.
    hit.sort_by_key(|(table, ..)| &*table.database == "__internal_schema");
    let (table, partition, (tag, wanted, there)) = hit.first()?;
    let names: Vec<String> = hit.iter().map(|(table, partition, _)| table.partition_name(partition)).collect();
    let fitting =
        Allocation::new(partition.allocation.tags().filter_map(|(tag, wanted)| Some((tag, u16::try_from(wanted.min(rest.at(tag))).ok()?))));
    let way_out = if fitting.replicas() == 0 {
        "when a backend with that tag is added, or when the table has its replicas elsewhere".to_owned()
    } else {
        format!(
            "when a backend with that tag is added, or when fewer replicas are wanted, as after {}",
            table.alter_replicas(partition, &fitting)
        )
    };
    let left_out = rest.left_out(observed, tag);
    let left_out = if left_out.is_empty() { String::new() } else { format!(" (not counted: {})", list(&left_out)) };
    let others = match hit.len() {
        1 => String::new(),
        2 => format!(", as does {}", names[1]),
        more => format!(", as do {} others: {}", more - 1, list(&names[1..])),
    };
    let sentence = format!(
        "without {}, the tag {tag} has {} for replicas{left_out}, and {} wants {wanted} there{others}; this ends {way_out}",
        rest.names(),
        count(*there, "backend"),
        names[0]
    );
    Some(refusal(&names[0], sentence))
}

fn colocate(observed: &Observed, rest: &Rest<'_>) -> Vec<Blocked> {
    let rule = SafetyRule::DecommissionFeasible;
    let Some(groups) = &observed.colocate_groups else { return vec![Blocked::unread(rule, "the colocation groups")] };
    let Some(switches) = observed.switches else { return vec![Blocked::unread(rule, "the switches of the tablet scheduler")] };
    let mut blocked = Vec::new();
    let unstable: Vec<&str> = groups.iter().filter(|group| !group.stable).map(|group| group.name.as_str()).collect();
    if let Some(first) = unstable.first() {
        let sentence = format!(
            "the colocation {} {} {} not stable: buckets are still on their way, and tablets leave {} only after that; this ends when IsStable in SHOW PROC \"/colocation_group\" is true",
            if unstable.len() == 1 { "group" } else { "groups" },
            list(&unstable),
            be(unstable.len()),
            rest.names()
        );
        blocked.push(refusal(first, sentence));
    }
    if let Some((group, (tag, wanted, there))) = groups.iter().find_map(|group| Some((group, rest.short_of(&group.allocation)?))) {
        let sentence = format!(
            "the colocation group {} has {wanted} replicas at the tag {tag}, and without {}, {} would be left there; this ends when its tables have fewer replicas or a backend is added",
            group.name,
            rest.names(),
            count(there, "backend")
        );
        blocked.push(refusal(&group.name, sentence));
    }
    if switches.colocate_balance_off && !groups.is_empty() {
        blocked.push(switch_refusal(Switches::COLOCATE_BALANCE, "tablets of colocated tables are not moved"));
    }
    blocked
}

fn switched_off(observed: &Observed) -> Vec<Blocked> {
    let Some(Switches { scheduler_off, balance_off, .. }) = observed.switches else {
        return vec![Blocked::unread(SafetyRule::DecommissionFeasible, "the switches of the tablet scheduler")];
    };
    let mut blocked = Vec::new();
    if scheduler_off {
        blocked.push(switch_refusal(Switches::SCHEDULER, "no tablet is moved"));
    }
    if balance_off {
        blocked.push(switch_refusal(Switches::BALANCE, "tablets are not spread over the backends that stay"));
    }
    blocked
}

fn switch_refusal(key: &str, effect: &str) -> Blocked {
    refusal(
        key,
        format!(
            "{key} is true on the master, so that {effect}; this ends when it is false again, by ADMIN SET FRONTEND CONFIG (\"{key}\" = \"false\") unless an operation holds it"
        ),
    )
}

/// Old damage on those who leave: without a good replica elsewhere there is nothing to copy from.
fn damage(observed: &Observed, rest: &Rest<'_>) -> Option<Blocked> {
    let map = observed.tablets.as_ref()?;
    let on_leaving = |ids: &[u64]| ids.iter().any(|id| rest.leaving.iter().any(|backend| backend.id == *id));
    let alive: BTreeSet<u64> = observed.backends.iter().flatten().filter(|backend| backend.alive).map(|backend| backend.id).collect();
    let mut tablets = 0;
    let mut first = None;
    for (table, partition) in map.partitions() {
        for (placement, number, example) in map.placed(partition) {
            if (on_leaving(&placement.good) || on_leaving(&placement.other)) && placement.good_among(&alive) == 0 {
                tablets += usize::try_from(number).unwrap_or(usize::MAX);
                first.get_or_insert((table.partition_name(partition), example));
            }
        }
    }
    let (name, example) = first?;
    let sentence = format!(
        "{} on {} {} no complete replica that is alive, so that nothing can be copied: the first is tablet {example} of {name}; this ends when the backend that has one is back, or when the table or partition has been dropped",
        count(tablets, "tablet"),
        rest.names(),
        if tablets == 1 { "has" } else { "have" }
    );
    Some(refusal(&name, sentence))
}

/// Disks by medium; where one does not tell (2.0), all count as one.
fn by_medium<'a>(backends: &[&'a Backend], media: bool) -> BTreeMap<&'static str, Vec<(&'a Backend, &'a Disk)>> {
    let mut disks: BTreeMap<&'static str, Vec<(&Backend, &Disk)>> = BTreeMap::new();
    for backend in backends {
        for disk in &backend.disks {
            let medium = disk.medium.filter(|_| media).map_or("", Medium::name);
            disks.entry(medium).or_default().push((backend, disk));
        }
    }
    disks
}

fn space(rest: &Rest<'_>) -> Vec<Blocked> {
    let all = || rest.leaving.iter().chain(&rest.staying);
    if let Some(unread) = all().find(|backend| backend.disks.is_empty()) {
        return vec![Blocked::unread(SafetyRule::DecommissionFeasible, &format!("the disks of {}", unread.name()))];
    }
    let media = all().flat_map(|backend| &backend.disks).all(|disk| disk.medium.is_some());
    let (leaving, staying) = (by_medium(&rest.leaving, media), by_medium(&rest.staying, media));
    let is_full = |disk: &Disk| u128::from(disk.used()) * 100 > u128::from(disk.total) * u128::from(HIGH_WATERMARK);
    let full = staying.values().flatten().filter(|(_, disk)| disk.online && is_full(disk));
    let full: Vec<String> =
        full.map(|(backend, disk)| format!("{} of {} ({} %)", disk.path, backend.name(), percent(disk.used(), disk.total))).collect();
    let mut blocked = Vec::new();
    if let Some(first) = full.first() {
        let sentence = format!(
            "{} {} fuller than {HIGH_WATERMARK} %: {}; this ends when there is room on it, by larger volumes, another backend or less data",
            count(full.len(), "disk"),
            be(full.len()),
            list(&full)
        );
        blocked.push(refusal(first, sentence));
    }
    for (medium, disks) in &leaving {
        let moves: u64 = disks.iter().map(|(_, disk)| disk.data_used).fold(0, u64::saturating_add);
        let room: u64 = staying
            .get(medium)
            .into_iter()
            .flatten()
            .filter(|(_, disk)| disk.online)
            .map(|(_, disk)| room(disk))
            .fold(0, u64::saturating_add);
        if moves > room {
            let kind = if medium.is_empty() { "disks".to_owned() } else { format!("{medium} disks") };
            let sentence = format!(
                "{} lie on the {kind} of {}, and the {kind} of the backends that stay can take {} (below {HIGH_WATERMARK} %, with a tenth in reserve); this ends when their volumes have grown, a backend is added or data is deleted",
                bytes(moves),
                rest.names(),
                bytes(room)
            );
            blocked.push(refusal(&format!("{kind} of {}", rest.names()), sentence));
        }
    }
    blocked
}

/// Bytes that a disk may take.
fn room(disk: &Disk) -> u64 {
    let below = u128::from(disk.total) * u128::from(HIGH_WATERMARK) / 100;
    let free = below.saturating_sub(u128::from(disk.used())) * u128::from(ROOM_USED) / 100;
    u64::try_from(free).unwrap_or(u64::MAX)
}

fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}
