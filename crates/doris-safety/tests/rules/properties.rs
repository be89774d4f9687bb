//! Random layouts: what a rule allows is done to a model of its own, and the model is asked what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doris_api::rules::SafetyRule;
use doris_safety::{
    Allocation, Backend, Frontend, FrontendRole, Frontends, Master, NodeRole, Observed, PartitionKind, PlacedPartition, Step, TabletMap,
    TabletMapBuilder, away,
};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::fixtures::{against, backend, be, fe, frontend, restart_be, well};

const JOURNAL: u64 = 120;

/// One frontend: alive, stopped, joined, how far behind, steady.
fn any_frontend() -> impl Strategy<Value = (bool, bool, bool, u64, bool)> {
    let mostly = |yes: u32| prop_oneof![yes => Just(true), 1 => Just(false)];
    (mostly(3), any::<bool>(), mostly(8), prop_oneof![3 => Just(0u64), 1 => 1u64..4], mostly(5))
}

fn any_group() -> impl Strategy<Value = (Frontends, usize)> {
    (prop::collection::vec(any_frontend(), 1..=7), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..3).prop_map(
        |(list, master, victim, observers)| {
            let count = list.len();
            let mut members: Vec<Frontend> = list
                .into_iter()
                .enumerate()
                .map(|(index, (alive, stopped, joined, lag, steady))| Frontend {
                    alive,
                    stopped: stopped && !alive,
                    joined,
                    journal: alive.then_some(JOURNAL - lag),
                    steady_for: Some(Duration::from_secs(if steady { 900 } else { 5 })),
                    ..frontend(index)
                })
                .collect();
            members.extend((0..observers).map(|index| Frontend { role: FrontendRole::Observer, ..frontend(count + index) }));
            let group = members.iter().filter(|member| member.joined).map(|member| member.host.clone()).collect();
            let leader = master.index(count);
            let lead = &mut members[leader];
            (lead.alive, lead.stopped, lead.joined, lead.journal) = (true, false, true, Some(JOURNAL));
            let master = Ok(Master { host: fe(leader), journal: JOURNAL, group });
            (Frontends { members, master }, victim.index(count))
        },
    )
}

/// Followers that are alive and have everything, and how many votes there are.
fn votes(frontends: &Frontends, without: Option<usize>) -> (usize, usize) {
    let others: Vec<&Frontend> = frontends.followers().filter(|member| without.is_none_or(|index| member.host != fe(index))).collect();
    let good = others.iter().filter(|member| member.alive && member.joined && member.journal == Some(JOURNAL)).count();
    (good, others.len())
}

fn quorum_refuses(frontends: &Frontends, step: &Step) -> bool {
    let observed = Observed { frontends: Some(frontends.clone()), ..well() };
    !against(SafetyRule::FeQuorum, &observed, step).is_empty()
}

/// Tablets in clear, so that the model shares nothing with the compact form.
#[derive(Clone, Debug)]
struct Layout {
    backends: Vec<Backend>,
    partitions: Vec<PartitionLayout>,
}

#[derive(Clone, Debug)]
struct PartitionLayout {
    allocation: BTreeMap<String, u16>,
    /// Replicas of each tablet: backend, and whether it is good.
    tablets: Vec<BTreeMap<u64, bool>>,
    /// Whether the reader spares itself a look where it can.
    lazily: bool,
}

const TAGS: [&str; 2] = ["default", "hot"];

fn any_backend() -> impl Strategy<Value = (u8, bool, bool, bool, bool, u8)> {
    (0u8..6, prop::bool::weighted(0.85), prop::bool::weighted(0.15), prop::bool::weighted(0.1), prop::bool::weighted(0.1), 0u8..10)
}

fn any_layout() -> impl Strategy<Value = Layout> {
    let backends = prop::collection::vec(any_backend(), 1..8).prop_map(|list| {
        list.into_iter()
            .zip(1..)
            .map(|((tag, alive, decommissioning, query_disabled, load_disabled, role), id)| Backend {
                alive,
                decommissioning,
                query_disabled,
                load_disabled,
                location: TAGS[usize::from(tag == 0)].to_owned(),
                role: match role {
                    0 => Some(NodeRole::Computation),
                    1 if !alive => None,
                    _ => Some(NodeRole::Mix),
                },
                ..backend(id)
            })
            .collect::<Vec<_>>()
    });
    backends.prop_flat_map(|backends| {
        let count = u64::try_from(backends.len()).expect("few");
        let scattered = prop::collection::vec(prop::collection::btree_map(1..=count, prop::bool::weighted(0.85), 0..5), 1..6);
        // Every replica there, alive and complete, as the statistics call healthy.
        let whole = prop::collection::vec(
            prop::sample::subsequence((1..=count).collect::<Vec<_>>(), 0..=usize::try_from(count.min(4)).expect("few")),
            1..6,
        );
        let partition = prop_oneof![
            (0u16..4, 0u16..3, scattered).prop_map(|(default, hot, tablets)| PartitionLayout {
                allocation: [("default".to_owned(), default), ("hot".to_owned(), hot)].into(),
                tablets,
                lazily: false
            }),
            (whole, any::<bool>()).prop_map(|(sets, lazily)| {
                let size = sets.iter().map(Vec::len).min().unwrap_or(0);
                let tablets = sets.iter().map(|set| set.iter().take(size).map(|id| (*id, true)).collect()).collect();
                PartitionLayout { allocation: [("default".to_owned(), u16::try_from(size).expect("few"))].into(), tablets, lazily }
            }),
        ];
        (Just(backends), prop::collection::vec(partition, 1..5)).prop_map(|(backends, partitions)| {
            let mut layout = Layout { backends, partitions };
            // Compute nodes hold nothing.
            let compute: BTreeSet<u64> = layout.backends.iter().filter(|b| b.role == Some(NodeRole::Computation)).map(|b| b.id).collect();
            for partition in &mut layout.partitions {
                partition.tablets.iter_mut().for_each(|tablet| tablet.retain(|id, _| !compute.contains(id)));
            }
            layout
        })
    })
}

impl Layout {
    fn is_alive(&self, id: u64) -> bool {
        self.backends.iter().any(|backend| backend.id == id && backend.alive)
    }

    fn serves(&self, id: u64) -> bool {
        self.backends.iter().any(|backend| backend.id == id && backend.alive && !backend.query_disabled)
    }

    /// Whether the statistics call every tablet of a partition healthy.
    fn is_healthy(&self, partition: &PartitionLayout) -> bool {
        let wanted: usize = partition.allocation.values().map(|number| usize::from(*number)).sum();
        partition.tablets.iter().all(|tablet| tablet.len() == wanted && tablet.iter().all(|(id, good)| *good && self.is_alive(*id)))
    }

    fn observed(&self, step: &Step) -> Observed {
        let away = away(&self.backends, step);
        let mut builder = TabletMapBuilder::new();
        let mut tablet_id = 0;
        for (index, partition) in self.partitions.iter().enumerate() {
            builder.table("d", &format!("t{index}"), None);
            let allocation = Allocation::new(partition.allocation.clone());
            let facts = PlacedPartition { name: format!("t{index}"), kind: PartitionKind::Regular, allocation, medium: None };
            if partition.lazily && self.is_healthy(partition) && !TabletMap::needs_placing(&facts.allocation, None, away) {
                builder.healthy(facts, u32::try_from(partition.tablets.len()).expect("few"));
                continue;
            }
            let mut rows = Vec::new();
            for tablet in &partition.tablets {
                tablet_id += 1;
                rows.push((tablet_id, None, false));
                rows.extend(tablet.iter().map(|(id, good)| (tablet_id, Some(*id), *good)));
            }
            builder.placed(facts, rows);
        }
        Observed { backends: Some(self.backends.clone()), tablets: Some(builder.finish()), ..well() }
    }

    fn tablets(&self) -> impl Iterator<Item = (&PartitionLayout, &BTreeMap<u64, bool>)> {
        self.partitions.iter().flat_map(|partition| partition.tablets.iter().map(move |tablet| (partition, tablet)))
    }
}

fn good<'a>(tablet: &'a BTreeMap<u64, bool>, keep: impl Fn(u64) -> bool + 'a) -> usize {
    tablet.iter().filter(|(id, good)| **good && keep(**id)).count()
}

fn quorum(partition: &PartitionLayout) -> usize {
    partition.allocation.values().map(|number| usize::from(*number)).sum::<usize>() / 2 + 1
}

fn refuses(rule: SafetyRule, observed: &Observed, step: &Step) -> bool {
    !against(rule, observed, step).is_empty()
}

#[test]
fn every_up_and_down_set_of_one_to_seven_followers_keeps_its_majority() {
    let mut allowed = 0;
    for count in 1..=7usize {
        for up in 0..1usize << count {
            for victim in 0..count {
                let members: Vec<Frontend> = (0..count).map(|index| Frontend { alive: up >> index & 1 == 1, ..frontend(index) }).collect();
                let group = members.iter().map(|member| member.host.clone()).collect();
                let Some(leader) = members.iter().position(|member| member.alive) else { continue };
                let frontends = Frontends { members, master: Ok(Master { host: fe(leader), journal: JOURNAL, group }) };
                let restart = Step::RestartFrontend { host: fe(victim), onto: None };
                let (left, _) = votes(&frontends, Some(victim));
                let expected = count <= 2 || left > count / 2;
                assert_eq!(!quorum_refuses(&frontends, &restart), expected, "{count} followers, up {up:b}, restart of {victim}");
                allowed += usize::from(expected);
            }
        }
    }
    assert!(allowed > 100, "{allowed}");
}

proptest! {
    #[test]
    fn a_restart_that_passes_leaves_a_majority_alive_and_caught_up((frontends, victim) in any_group()) {
        let step = Step::RestartFrontend { host: fe(victim), onto: None };
        let followers = frontends.followers().count();
        let stopped = frontends.find(&fe(victim)).is_some_and(|member| member.stopped);
        let (left, _) = votes(&frontends, Some(victim));
        if followers > 2 && !stopped {
            prop_assert_eq!(!quorum_refuses(&frontends, &step), left > followers / 2);
        }
    }

    #[test]
    fn a_drop_that_passes_leaves_a_majority_of_those_who_stay((frontends, victim) in any_group()) {
        let step = Step::DropFrontend { host: fe(victim) };
        let observed = Observed { frontends: Some(frontends.clone()), ..well() };
        let master = frontends.master.clone().expect("a master");
        let refused = refuses(SafetyRule::FeQuorum, &observed, &step) || refuses(SafetyRule::MasterLast, &observed, &step);
        if !refused {
            let outside = !master.group.contains(&fe(victim));
            let (left, stay) = votes(&frontends, Some(victim));
            prop_assert!(master.host != fe(victim));
            prop_assert!(left > stay / 2 || outside);
            prop_assert!(outside || frontends.followers().all(|m| m.host == fe(victim) || !m.alive || m.steady_for != Some(Duration::from_secs(5))));
        }
    }

    #[test]
    fn a_follower_is_added_only_where_all_others_could_outvote_it((frontends, _) in any_group()) {
        let step = Step::AddFrontend { host: fe(20), role: FrontendRole::Follower };
        if !quorum_refuses(&frontends, &step) {
            let (good, all) = votes(&frontends, None);
            prop_assert_eq!(good, all);
        }
    }

    #[test]
    fn a_dropped_backend_was_nobodys_last_hope(layout in any_layout(), victim in any::<prop::sample::Index>()) {
        let victim = layout.backends[victim.index(layout.backends.len())].id;
        for step in [Step::DropBackend { backend: victim }, Step::DeleteBackendClaim { host: be(victim), claim: "data".to_owned() }] {
            let observed = layout.observed(&step);
            let lost = layout.tablets().any(|(_, tablet)| tablet.contains_key(&victim) && good(tablet, |id| id != victim && layout.is_alive(id)) == 0);
            let refused = refuses(SafetyRule::KeepReplica, &observed, &step);
            prop_assert!(refused || !lost, "{}", step);
            if matches!(step, Step::DeleteBackendClaim { .. }) {
                prop_assert_eq!(refused, lost, "{}", step);
            }
        }
    }

    #[test]
    fn after_a_restart_that_passes_every_table_reads_and_loads_as_before(layout in any_layout(), domain in prop::collection::btree_set(1u64..8, 1..3)) {
        let victims: BTreeSet<u64> = domain.into_iter().filter(|id| layout.backends.iter().any(|backend| backend.id == *id)).collect();
        let step = restart_be(&victims.iter().copied().collect::<Vec<_>>());
        let observed = layout.observed(&step);
        let stays = |id: u64| !victims.contains(&id);
        let unreadable = layout.tablets().any(|(_, tablet)| {
            good(tablet, |id| !stays(id) && layout.is_alive(id)) > 0 && good(tablet, |id| stays(id) && layout.serves(id)) == 0
        });
        let unloadable = layout.tablets().any(|(partition, tablet)| {
            good(tablet, |id| layout.is_alive(id)) >= quorum(partition) && good(tablet, |id| stays(id) && layout.is_alive(id)) < quorum(partition)
        });
        prop_assert_eq!(refuses(SafetyRule::ServeReplica, &observed, &step), unreadable);
        prop_assert_eq!(refuses(SafetyRule::LoadQuorum, &observed, &step), unloadable);
    }

    #[test]
    fn a_decommission_that_passes_finds_a_place_for_every_replica(layout in any_layout(), leaving in prop::collection::btree_set(1u64..8, 1..3)) {
        let step = Step::DecommissionBackends { backends: leaving.clone() };
        let observed = layout.observed(&step);
        if !refuses(SafetyRule::DecommissionFeasible, &observed, &step) {
            let takes = |tag: &str| layout.backends.iter().filter(|b| {
                b.alive && !b.decommissioning && b.role == Some(NodeRole::Mix) && !b.query_disabled && !b.load_disabled && b.location == tag && !leaving.contains(&b.id)
            }).count();
            for partition in &layout.partitions {
                for (tag, number) in &partition.allocation {
                    prop_assert!(takes(tag) >= usize::from(*number), "{tag} {number}");
                }
            }
            for (_, tablet) in layout.tablets().filter(|(_, tablet)| tablet.keys().any(|id| leaving.contains(id))) {
                prop_assert!(good(tablet, |id| layout.is_alive(id)) > 0, "nothing to copy from");
            }
        }
    }

    #[test]
    fn what_was_not_read_is_never_taken_for_harmless(layout in any_layout(), victim in any::<prop::sample::Index>(), part in 0usize..6) {
        let victim = layout.backends[victim.index(layout.backends.len())].id;
        let steps = [restart_be(&[victim]), Step::DropBackend { backend: victim }, Step::DecommissionBackends { backends: [victim].into() }];
        for step in steps {
            let full = layout.observed(&step);
            let mut blind = full.clone();
            match part {
                0 => blind.backends = None,
                1 => blind.tablets = None,
                2 => blind.jobs = None,
                3 => blind.lease = None,
                4 => blind.cache = None,
                _ => (blind.health, blind.switches) = (None, None),
            }
            let passes = |observed: &Observed| SafetyRule::ALL.iter().all(|rule| !refuses(*rule, observed, &step));
            prop_assert!(passes(&full) || !passes(&blind), "{}", step);
        }
    }
}
