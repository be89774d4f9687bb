//! Upgrades in tables.

use std::collections::BTreeSet;

use doris_api::{Component, DorisVersion};

use super::{
    Course, Evidence, Phase, Standing, advanced, begun, course, finished, goes_back, led, may_come_first, may_turn, phase, turned,
};
use crate::release::{Build, Builds, Release, Written};

fn version(text: &str) -> DorisVersion {
    text.parse().expect("a version")
}

fn builds(text: &str) -> Builds {
    let build = |component: &Component| Build { version: version(text), image: format!("doris:{}-{text}", component.process()) };
    Component::ALL.iter().map(|component| (*component, build(component))).collect()
}

fn runs(text: &str) -> Release {
    let written = Written { version: version(text), since: None, by: String::new() };
    Release { templates: builds(text), upgrade: None, written: Some(written) }
}

const KNOWN: Evidence = Evidence { master_is_known: true, newer_has_run: true };

/// Lets every phase come to its end; the order in which templates changed.
fn walk(mut release: Release) -> Vec<&'static str> {
    let mut order = Vec::new();
    let mut done: BTreeSet<Component> = BTreeSet::new();
    loop {
        match phase(&release, |component| Standing { is_done: done.contains(&component), is_down: false }) {
            Phase::Advance(component) => {
                order.push(component.name());
                release = advanced(&release, component);
                assert!(
                    matches!(
                        phase(&release, |component| Standing { is_done: done.contains(&component), is_down: false }),
                        Phase::Working(_)
                    ),
                    "nobody follows before it is done"
                );
                done.insert(component);
            }
            Phase::Working(component) => drop(done.insert(component)),
            Phase::Complete => return order,
        }
    }
}

#[test]
fn templates_change_backends_first_and_followers_last() {
    let release = begun(&runs("2.1.7"), &builds("3.0.3")).expect("an upgrade");
    assert_eq!(walk(release), ["be", "cn", "broker", "fe-ob", "fe"]);
}

#[test]
fn the_way_back_goes_the_other_way_round() {
    let mut release = begun(&runs("2.1.7"), &builds("3.0.3")).expect("an upgrade");
    for component in Component::ALL {
        release = advanced(&release, component);
    }
    let back = turned(&release, &builds("2.1.7")).expect("an upgrade");
    assert!(goes_back(&back));
    assert_eq!(walk(back), ["fe", "fe-ob", "broker", "cn", "be"]);
}

#[test]
fn within_a_line_what_cannot_run_is_mended_first() {
    let down = |component| Standing { is_done: component != Component::Fe, is_down: component == Component::Fe };
    let patch = begun(&runs("2.1.7"), &builds("2.1.8")).expect("an upgrade");
    assert_eq!(phase(&patch, down), Phase::Advance(Component::Fe));
    let line = begun(&runs("2.1.7"), &builds("3.0.3")).expect("an upgrade");
    assert_eq!(phase(&line, down), Phase::Advance(Component::Be), "over lines the order stays");
}

#[test]
fn a_mended_image_of_the_new_line_comes_to_what_cannot_run_before_the_rest() {
    let down = |component| Standing { is_done: component != Component::Fe, is_down: component == Component::Fe };
    let begun = begun(&runs("2.1.7"), &builds("3.0.3")).expect("an upgrade");
    let release = Component::ALL.into_iter().fold(begun, |release, component| advanced(&release, component));
    let mended = turned(&release, &builds("3.0.4")).expect("an upgrade");
    assert_eq!(phase(&mended, down), Phase::Advance(Component::Fe));
    let back = turned(&release, &builds("2.1.7")).expect("an upgrade");
    assert!(may_come_first(&back, Component::Fe) && !may_come_first(&back, Component::Be), "no frontend is newer than a backend");
}

proptest::proptest! {
    /// Whatever is down or turned on the way: no component ever has a newer line than one that comes before it, and an
    /// upgrade that is left alone ends with all templates at its target.
    #[test]
    fn templates_never_leave_the_order(
        downs in proptest::collection::vec(0_usize..6, 40),
        turn_at in 0_usize..12,
        to in proptest::sample::select(vec!["2.1.7", "2.1.9", "3.0.4"]),
    ) {
        const ORDER: [Component; 5] = [Component::Be, Component::Cn, Component::Broker, Component::FeObserver, Component::Fe];
        let mut release = begun(&runs("2.1.7"), &builds("3.0.3")).expect("an upgrade");
        let mut done: BTreeSet<Component> = BTreeSet::new();
        let mut is_over = false;
        for (step, down) in downs.into_iter().enumerate() {
            if step == turn_at && !is_over {
                release = turned(&release, &builds(to)).expect("an upgrade");
                done.clear();
            }
            let down = ORDER.get(down).copied();
            let standing = |component| Standing {
                is_done: done.contains(&component) && down != Some(component),
                is_down: down == Some(component),
            };
            match phase(&release, standing) {
                Phase::Advance(component) => {
                    release = advanced(&release, component);
                    done.remove(&component);
                }
                Phase::Working(component) => drop(done.insert(component)),
                Phase::Complete => is_over = true,
            }
            let lines: Vec<_> = ORDER.iter().map(|component| release.templates[component].version.line()).collect();
            proptest::prop_assert!(lines.is_sorted_by(|before, after| before >= after), "{lines:?}");
        }
        let is_there = release.upgrade.as_ref().is_some_and(|upgrade| upgrade.target == release.templates);
        proptest::prop_assert_eq!(walk(release).is_empty(), is_there);
    }
}

#[test]
fn what_the_spec_asks_for_is_compared_with_what_is() {
    let rest = runs("2.1.7");
    assert_eq!(course(&rest, &builds("2.1.7")), Course::Settled);
    assert_eq!(course(&rest, &builds("3.0.3")), Course::Wanted);
    let under_way = begun(&rest, &builds("3.0.3")).expect("an upgrade");
    assert_eq!(course(&under_way, &builds("3.0.3")), Course::UnderWay);
    assert_eq!(course(&under_way, &builds("2.1.7")), Course::Elsewhere);
    let mut rebuilt = builds("2.1.7");
    rebuilt.get_mut(&Component::Be).expect("a backend").image = "mirror/doris:be-2.1.7".into();
    assert_eq!(course(&rest, &rebuilt), Course::Wanted, "another image of the same version is one, too");
}

#[test]
fn an_upgrade_may_be_taken_back_until_a_newer_frontend_was_master() {
    let release = begun(&runs("2.1.7"), &builds("3.0.3")).expect("an upgrade");
    assert_eq!(may_turn(&release, &builds("2.1.7"), KNOWN), Ok(()));
    assert_eq!(may_turn(&release, &builds("3.0.5"), KNOWN), Ok(()));
    let blind = Evidence { master_is_known: false, newer_has_run: true };
    assert!(may_turn(&release, &builds("2.1.7"), blind).is_err_and(|why| why.contains("cannot be told")));
    assert_eq!(may_turn(&release, &builds("2.1.7"), Evidence { newer_has_run: false, ..blind }), Ok(()), "its image could not be had");
    assert_eq!(may_turn(&release, &builds("3.0.5"), blind), Ok(()), "the same line is no way back");
    let crossed = led(&release, &version("3.0.3"), "demo-fe-1", Some(812)).expect("news");
    let why = may_turn(&crossed, &builds("2.1.7"), KNOWN).expect_err("no way back");
    insta::assert_snapshot!(why, @"there is no way back to 2.1.7: a frontend of 3.0 has been master and wrote the metadata (demo-fe-1, from journal id 812 on), which frontends of 2.1 do not read; the upgrade to 3.0.3 goes on");
    assert_eq!(may_turn(&crossed, &builds("3.0.5"), KNOWN), Ok(()));
    let early = may_turn(&release, &builds("4.0.1"), KNOWN).expect_err("one line at a time");
    insta::assert_snapshot!(early, @"4.0.1 does not follow 2.1.7 in one documented step; the upgrade to 3.0.3 goes on, and whatever comes after it begins once it is done");
}

#[test]
fn a_newer_master_that_rises_on_the_way_back_turns_it_forward_again() {
    let begun = begun(&runs("2.1.7"), &builds("3.0.3")).expect("an upgrade");
    let release = Component::ALL.into_iter().fold(begun, |release, component| advanced(&release, component));
    let back = turned(&release, &builds("2.1.7")).expect("an upgrade");
    assert_eq!(led(&back, &version("2.1.7"), "demo-fe-0", Some(9)), None, "the old master is no news");
    let forward = led(&back, &version("3.0.3"), "demo-fe-2", Some(812)).expect("news");
    assert_eq!(course(&forward, &builds("3.0.3")), Course::UnderWay);
    assert_eq!(forward.upgrade.as_ref().map(|upgrade| upgrade.to.clone()), Some(version("3.0.3")));
    let done = finished(&forward);
    assert_eq!((done.upgrade, done.written.map(|written| written.since)), (None, Some(Some(812))));
}

#[test]
fn the_first_master_that_is_seen_wrote_from_the_beginning() {
    let release = Release { written: None, ..runs("2.1.7") };
    let seen = led(&release, &version("2.1.7"), "demo-fe-0", Some(100)).expect("news");
    assert_eq!(seen.written, Some(Written { version: version("2.1.7"), since: None, by: String::new() }));
}
