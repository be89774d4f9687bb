use doris_api::rules::SafetyRule;
use doris_safety::{Metadata, Observed, Step};

use super::fixtures::{allowed, changed, fe, told, version, well, with_frontends};

fn metadata(written_by: &str, since: Option<u64>, to: Option<&str>) -> Metadata {
    Metadata { written_by: Some(version(written_by)), written_since: since, upgrading_to: to.map(version) }
}

fn written(by: &str, since: Option<u64>, to: Option<&str>) -> Observed {
    Observed { metadata: Some(metadata(by, since, to)), ..well() }
}

fn change(to: &str) -> Step {
    Step::ChangeVersion { to: version(to) }
}

fn onto(index: usize, text: &str) -> Step {
    Step::RestartFrontend { host: fe(index), onto: Some(version(text)) }
}

#[test]
fn version_path_names_the_version_that_comes_first() {
    let unknown = changed(|all| all.metadata = Some(Metadata::default()));
    let cases = [
        ("a line left out", written("2.0.15", None, None), change("3.0.3")),
        ("two lines left out", written("2.0.15", None, None), change("4.0.1")),
        ("down a line", written("3.0.3", None, None), change("2.1.7")),
        ("no such way", written("4.0.1", None, None), change("5.0.0")),
        ("no image since the upgrade", written("3.0.3", Some(110), None), change("4.0.1")),
        ("unknown", unknown, change("3.0.3")),
        ("unread", Observed { metadata: None, ..well() }, change("3.0.3")),
        ("frontends unread", Observed { frontends: None, ..written("3.0.3", Some(110), None) }, change("4.0.1")),
    ];
    insta::assert_snapshot!(told(SafetyRule::VersionPath, cases));
}

#[test]
fn version_path_allows_what_is_documented() {
    let rule = SafetyRule::VersionPath;
    let cases = [
        ("2.1.7", "2.1.11"),
        ("2.1.11", "2.1.7"),
        ("2.0.15", "2.1.7"),
        ("2.1.7", "3.0.3"),
        ("3.0.3", "3.1.3"),
        ("3.0.3", "4.0.1"),
        ("3.1.3", "4.0.1"),
        ("4.0.1", "4.1.0"),
    ];
    for (from, to) in cases {
        allowed(rule, &format!("{from} to {to}"), &written(from, None, None), &change(to));
    }
    let checkpointed = Observed {
        metadata: Some(metadata("3.0.3", Some(110), None)),
        ..with_frontends(3, |all| {
            all.members.iter_mut().for_each(|member| member.checkpoint = Some(110));
        })
    };
    allowed(rule, "an image since the upgrade", &checkpointed, &change("4.0.1"));
}

#[test]
fn no_return_tells_what_could_not_be_undone() {
    let cases = [
        ("nobody asked for it", written("2.1.7", None, None), onto(1, "3.0.3")),
        ("something else was asked for", written("2.1.7", None, Some("2.1.8")), onto(1, "3.0.3")),
        ("back", written("3.0.3", None, Some("3.0.3")), onto(1, "2.1.7")),
        ("the old master without a copy", written("2.1.7", None, Some("3.0.3")), onto(0, "3.0.3")),
        ("unknown", changed(|all| all.metadata = Some(Metadata::default())), onto(1, "3.0.3")),
        ("unread", Observed { metadata: None, ..well() }, onto(1, "3.0.3")),
    ];
    insta::assert_snapshot!(told(SafetyRule::NoReturn, cases));
}

#[test]
fn no_return_lets_an_upgrade_through_and_a_patch_back() {
    let rule = SafetyRule::NoReturn;
    allowed(rule, "a follower in an upgrade", &written("2.1.7", None, Some("3.0.3")), &onto(1, "3.0.3"));
    allowed(rule, "the same line", &written("2.1.7", None, None), &onto(1, "2.1.6"));
    allowed(rule, "an unfinished upgrade is undone", &written("2.1.7", None, None), &onto(1, "2.1.7"));
    let copied = Observed {
        metadata: Some(metadata("2.1.7", None, Some("3.0.3"))),
        ..with_frontends(3, |all| all.members[2].has_metadata_copy = true)
    };
    allowed(rule, "the master with a copy elsewhere", &copied, &onto(0, "3.0.3"));
    let alone = Observed { metadata: Some(metadata("2.1.7", None, Some("3.0.3"))), ..with_frontends(1, |_| ()) };
    allowed(rule, "the only frontend copies as it starts", &alone, &onto(0, "3.0.3"));
}
