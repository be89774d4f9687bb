//! Random states for the rules that are not about where tablets lie: each says exactly what it is there for.

use std::collections::BTreeSet;
use std::time::Duration;

use doris_api::rules::SafetyRule;
use doris_api::version::Line;
use doris_safety::{BackupJob, Frontend, Frontends, Health, Lease, Master, Metadata, NodeRole, Observed, Step, Switches, Token, Unhealthy};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

use super::fixtures::{against, backend, be, fe, frontend, restart_be, restart_fe, version, well};

const JOURNAL: u64 = 120;

fn refuses(rule: SafetyRule, observed: &Observed, step: &Step) -> bool {
    !against(rule, observed, step).is_empty()
}

/// One to seven followers, one of which is master: alive, stopped, behind, and whether the operation is done with each.
fn any_roll() -> impl Strategy<Value = Frontends> {
    let member = (prop::bool::weighted(0.85), any::<bool>(), prop::bool::weighted(0.85), prop::bool::weighted(0.7));
    (prop::collection::vec(member, 1..=7), any::<prop::sample::Index>()).prop_map(|(list, master)| {
        let leader = master.index(list.len());
        let members: Vec<Frontend> = list
            .into_iter()
            .enumerate()
            .map(|(index, (alive, stopped, follows, done))| {
                let alive = alive || index == leader;
                let journal = alive.then_some(if follows || index == leader { JOURNAL } else { JOURNAL - 1 });
                Frontend { alive, stopped: stopped && !alive, journal, done, ..frontend(index) }
            })
            .collect();
        let group = members.iter().map(|member| member.host.clone()).collect();
        Frontends { members, master: Ok(Master { host: fe(leader), journal: JOURNAL, group }) }
    })
}

const STATUSES: [&str; 4] = ["ReplicaMissing", "VersionIncomplete", "ColocateMismatch", "ColocateRedundant"];

fn any_damage() -> impl Strategy<Value = (Health, BTreeSet<u64>)> {
    let one = (0..STATUSES.len(), prop::collection::vec(1u64..12, 0..4));
    (prop::collection::vec(one, 0..4), prop::collection::btree_set(1u64..12, 0..8)).prop_map(|(list, baseline)| {
        let kind = |(status, tablets): (usize, Vec<u64>)| Unhealthy { database: "d".into(), status: STATUSES[status].into(), tablets };
        (Health { unhealthy: list.into_iter().map(kind).collect(), tablets: 12 }, baseline)
    })
}

fn any_lease() -> impl Strategy<Value = Lease> {
    let token = || prop_oneof![3 => Just(4), 1 => 1i32..8].prop_map(|transitions| Token { uid: "l".to_owned(), transitions });
    let holder = prop_oneof![4 => Just(Some("us".to_owned())), 1 => Just(Some("them".to_owned())), 1 => Just(None)];
    (holder, prop::option::weighted(0.9, token()), prop::option::weighted(0.9, token()), 0u64..20).prop_map(
        |(holder, token, taken, renewed)| Lease {
            identity: "us".to_owned(),
            holder,
            operation: None,
            token,
            taken,
            renewed_ago: Duration::from_secs(renewed),
            duration: Duration::from_secs(15),
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(restart_fe(1)),
        prop::collection::btree_set(1u64..=4, 1..3).prop_map(|backends| Step::RestartBackends { backends }),
        prop::collection::btree_set(1u64..=4, 1..3).prop_map(|backends| Step::DecommissionBackends { backends }),
        (1u64..=4).prop_map(|backend| Step::DropBackend { backend }),
        (1u64..=4).prop_map(|backend| Step::DeleteBackendClaim { host: be(backend), claim: "data".to_owned() }),
        Just(Step::ChangeVersion { to: version("2.1.8") }),
        Just(Step::Suspend),
        Just(Step::DropFrontend { host: fe(1) }),
    ]
}

const VERSIONS: [&str; 8] = ["2.0.15", "2.1.7", "2.1.11", "3.0.3", "3.0.8", "3.1.3", "4.0.1", "4.1.0"];

fn any_version() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&VERSIONS[..])
}

/// Lines that may follow one, as the documentation has them.
fn may_follow(from: Line, to: Line) -> bool {
    let documented = [("2.0", "2.1"), ("2.1", "3.0"), ("3.0", "3.1"), ("3.0", "4.0"), ("3.1", "4.0"), ("4.0", "4.1")];
    from == to || documented.contains(&(&*from.to_string(), &*to.to_string()))
}

proptest! {
    #[test]
    fn the_master_is_restarted_when_all_who_run_are_done_and_follow(frontends in any_roll(), victim in any::<prop::sample::Index>()) {
        let victim = fe(victim.index(frontends.members.len()));
        let is_master = frontends.master.as_ref().is_ok_and(|master| master.host == victim);
        let ready = |other: &Frontend| other.stopped || (other.done && other.alive && other.journal == Some(JOURNAL));
        let others_are_done = frontends.members.iter().filter(|other| other.host != victim).all(ready);
        let observed = Observed { frontends: Some(frontends), ..well() };
        let step = Step::RestartFrontend { host: victim.clone(), onto: None };
        prop_assert_eq!(refuses(SafetyRule::MasterLast, &observed, &step), is_master && !others_are_done);
        prop_assert_eq!(refuses(SafetyRule::MasterLast, &observed, &Step::DropFrontend { host: victim }), is_master);
    }

    #[test]
    fn a_backend_waits_for_damage_that_is_new_and_for_no_other(
        (health, baseline) in any_damage(), colocate_balance_off in any::<bool>(), alive in any::<bool>()
    ) {
        let counts = |status: &str| !(colocate_balance_off && status.starts_with("Colocate"));
        let all = health.unhealthy.iter().filter(|one| counts(&one.status)).flat_map(|one| &one.tablets);
        let is_new = all.into_iter().any(|tablet| !baseline.contains(tablet));
        let mut observed = Observed { health: Some(health), baseline: Some(baseline), ..well() };
        observed.switches = Some(Switches { colocate_balance_off, ..Switches::default() });
        observed.backends.as_mut().expect("backends")[0].alive = alive;
        // One that cannot run may be what ends the damage.
        prop_assert_eq!(refuses(SafetyRule::TabletHealth, &observed, &restart_be(&[1])), is_new && alive);
    }

    #[test]
    fn nothing_is_done_but_under_our_own_fresh_lease(lease in any_lease(), step in any_step()) {
        let ours = lease.holder.as_deref() == Some("us") && lease.taken.is_some() && lease.taken == lease.token;
        let fresh = lease.renewed_ago < Duration::from_secs(5);
        let observed = Observed { lease: Some(lease), ..well() };
        prop_assert_eq!(refuses(SafetyRule::OneAtATime, &observed, &step), !(ours && fresh), "{}", step);
    }

    #[test]
    fn nothing_is_done_on_a_view_older_than_our_own_writes(behind in prop::collection::btree_map("[a-z]{3}", 0u64..9, 0..3), step in any_step()) {
        let mut observed = well();
        let is_behind = !behind.is_empty();
        observed.cache.as_mut().expect("a cache").behind = behind.into_iter().map(|(name, age)| (name, Duration::from_secs(age))).collect();
        prop_assert_eq!(refuses(SafetyRule::Fresh, &observed, &step), is_behind, "{}", step);
    }

    #[test]
    fn a_backup_or_restore_keeps_every_backend_with_data_where_it_is(
        jobs in prop::collection::vec(any::<bool>(), 0..3), roles in prop::collection::vec((any::<bool>(), any::<bool>()), 4), step in any_step()
    ) {
        let mut observed = well();
        let job = |is_restore: bool| BackupJob { is_restore, database: "d".into(), label: "l".into(), state: "UPLOADING".into() };
        let runs = !jobs.is_empty();
        observed.jobs.as_mut().expect("jobs").backups = jobs.into_iter().map(job).collect();
        let backends: Vec<_> = roles.into_iter().zip(1..).map(|((computes, alive), id)| {
            let role = Some(if computes { NodeRole::Computation } else { NodeRole::Mix });
            doris_safety::Backend { role, alive, ..backend(id) }
        }).collect();
        let concerns = match &step {
            Step::RestartFrontend { .. } | Step::DropFrontend { .. } => false,
            Step::RestartBackends { backends: ids } => {
                let going: Vec<_> = backends.iter().filter(|row| ids.contains(&row.id)).collect();
                going.iter().any(|row| row.alive) && going.iter().any(|row| row.role == Some(NodeRole::Mix))
            }
            _ => true,
        };
        observed.backends = Some(backends);
        prop_assert_eq!(refuses(SafetyRule::BackupIdle, &observed, &step), runs && concerns, "{}", step);
    }

    #[test]
    fn a_version_follows_by_a_documented_step_and_onto_4_with_images_everywhere(
        from in any_version(), to in any_version(), since in prop::option::of(90u64..130), images in prop::collection::vec(prop::option::of(80u64..140), 3)
    ) {
        let (from, to) = (version(from), version(to));
        let mut observed = well();
        for (member, image) in observed.frontends.as_mut().expect("frontends").members.iter_mut().zip(&images) {
            member.checkpoint = *image;
        }
        let crosses = from.major < 4 && to.major >= 4;
        let has_images = since.is_none_or(|since| images.iter().all(|image| image.is_some_and(|image| image >= since)));
        let allowed = may_follow(from.line(), to.line()) && (!crosses || has_images);
        observed.metadata = Some(Metadata { written_by: Some(from.clone()), written_since: since, upgrading_to: None });
        prop_assert_eq!(!refuses(SafetyRule::VersionPath, &observed, &Step::ChangeVersion { to: to.clone() }), allowed, "{} to {}", from, to);
    }

    #[test]
    fn no_frontend_starts_a_line_that_nobody_asked_for_and_the_last_one_leaves_a_copy(
        written in any_version(), onto in any_version(), to in prop::option::of(any_version()), count in 1usize..=7,
        victim in any::<prop::sample::Index>(), copies in prop::collection::vec(any::<bool>(), 7)
    ) {
        let (written, onto) = (version(written), version(onto));
        let mut frontends = super::fixtures::frontends(count);
        let victim = victim.index(count);
        for (member, copy) in frontends.members.iter_mut().zip(&copies) {
            member.has_metadata_copy = *copy;
        }
        let others: Vec<&Frontend> = frontends.members.iter().filter(|member| member.host != fe(victim)).collect();
        let keeps_a_way_back = victim != 0 || others.is_empty() || others.iter().any(|member| member.has_metadata_copy);
        let is_asked_for = to.is_some_and(|to| version(to).line() == onto.line());
        let allowed = onto.line() == written.line() || (onto.line() > written.line() && is_asked_for && keeps_a_way_back);
        let metadata = Metadata { written_by: Some(written.clone()), written_since: None, upgrading_to: to.map(version) };
        let observed = Observed { frontends: Some(frontends), metadata: Some(metadata), ..well() };
        let step = Step::RestartFrontend { host: fe(victim), onto: Some(onto.clone()) };
        prop_assert_eq!(!refuses(SafetyRule::NoReturn, &observed, &step), allowed, "{} onto {}", written, onto);
    }

    #[test]
    fn a_decommission_that_passes_has_room_for_the_data_of_those_who_leave(
        disks in prop::collection::vec((0u64..100, 0u64..100), 2..7), leaving in prop::collection::btree_set(1u64..7, 1..3)
    ) {
        const TOTAL: u64 = 1000;
        let mut observed = well();
        let backends: Vec<_> = disks.iter().zip(1..).map(|((data, other), id)| {
            let mut row = backend(id);
            let used = (data * 10 + other).min(TOTAL);
            (row.disks[0].total, row.disks[0].available, row.disks[0].data_used) = (TOTAL, TOTAL - used, data * 10);
            row
        }).collect();
        observed.tablets = Some(super::fixtures::tables(&[("t", 1, &[&[1]])]));
        let goes = |id: u64| leaving.contains(&id);
        let moves: u64 = backends.iter().filter(|row| goes(row.id)).map(|row| row.disks[0].data_used).sum();
        let stays: Vec<_> = backends.iter().filter(|row| !goes(row.id)).collect();
        let room: u64 = stays.iter().map(|row| (TOTAL * 85 / 100).saturating_sub(row.disks[0].used()) * 90 / 100).sum();
        let is_full = stays.iter().any(|row| row.disks[0].used() * 100 > TOTAL * 85);
        observed.backends = Some(backends.clone());
        let fits = !stays.is_empty() && moves <= room && !is_full;
        prop_assert_eq!(!refuses(SafetyRule::DecommissionFeasible, &observed, &Step::DecommissionBackends { backends: leaving.clone() }), fits);
    }
}
