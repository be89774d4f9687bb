//! The copy of the metadata that is made before another build starts on it.

use doris_api::member::Inspection;

use super::harness::{Pod, shells};

const META: &str = "opt/apache-doris/fe/doris-meta";

/// A volume on which this image ran, as far as it is known.
fn ran(shell: &[&'static str], image: Option<(&str, &str)>) -> Pod {
    let pod = Pod::new(shell);
    pod.write(&format!("{META}/image/ROLE"), "#date\nrole=FOLLOWER\nname=fe_1\n");
    pod.write(&format!("{META}/image/VERSION"), "#date\nclusterId=7\ntoken=t\n");
    pod.write(&format!("{META}/image/image.12"), "old image");
    pod.write(&format!("{META}/bdb/00000000.jdb"), "journal");
    if let Some((image, version)) = image {
        pod.write(&format!("{META}/.operator/build"), &format!("image={image}\nversion={version}\n"));
    }
    pod
}

fn starts(pod: &mut Pod, image: &str, version: &str) {
    pod.set("DORIS_IMAGE", image);
    pod.set("DORIS_VERSION", version);
    pod.set("COPY_RESERVE_KIB", "0");
}

/// Runs until the image is noted on the volume.
fn runs(pod: &Pod, image: &str) {
    let _running = pod.start("fe");
    let noted = format!("image={image}\n");
    pod.until("the note of the build", |pod| pod.read(&format!("{META}/.operator/build")).is_some_and(|text| text.starts_with(&noted)));
}

fn inspect(pod: &Pod) -> Inspection {
    assert_eq!(pod.start("inspect").wait(), Some(0), "{}", pod.message());
    Inspection::parse(&pod.message())
}

fn copy_of(pod: &Pod, version: &str) -> (Option<String>, Option<String>) {
    let file = |name: &str| pod.read(&format!("{META}/.pre-upgrade-{version}/{name}"));
    (file("image/image.12"), file("bdb/00000000.jdb"))
}

#[test]
fn another_image_copies_the_metadata_before_doris_starts_on_it() {
    for shell in shells() {
        let mut pod = ran(&shell, Some(("doris:fe-2.1.7", "2.1.7")));
        starts(&mut pod, "doris:fe-3.0.3", "3.0.3");
        let seen = inspect(&pod);
        assert_eq!(seen.copy, "2.1.7", "{shell:?}");
        assert!(seen.copy_note.starts_with("made before the first start of 3.0.3: "), "{}", seen.copy_note);
        assert_eq!(copy_of(&pod, "2.1.7"), (Some("old image".into()), Some("journal".into())));
        let _running = pod.start("fe");
        pod.until_started();
        assert_eq!(pod.read(&format!("{META}/.operator/build")).as_deref(), Some("image=doris:fe-3.0.3\nversion=3.0.3\n"));
    }
}

#[test]
fn a_restart_of_the_same_image_makes_no_copy_and_keeps_the_one_there_is() {
    for shell in shells() {
        let mut pod = ran(&shell, Some(("doris:fe-3.0.3", "3.0.3")));
        starts(&mut pod, "doris:fe-3.0.3", "3.0.3");
        assert_eq!(inspect(&pod).copy, "", "{shell:?}");
        pod.write(&format!("{META}/.pre-upgrade-2.1.7/image/image.12"), "older");
        pod.write(&format!("{META}/.pre-upgrade-2.1.7/bdb/00000000.jdb"), "older");
        let seen = inspect(&pod);
        assert_eq!((seen.copy.as_str(), seen.copy_note.as_str()), ("2.1.7", ""));
    }
}

#[test]
fn one_copy_is_kept_and_a_broken_one_is_made_again() {
    for shell in shells() {
        let mut pod = ran(&shell, Some(("doris:fe-2.1.7", "2.1.7")));
        pod.write(&format!("{META}/.pre-upgrade-2.0.15/image/image.3"), "older");
        pod.write(&format!("{META}/.pre-upgrade-2.0.15/bdb/00000000.jdb"), "older");
        pod.write(&format!("{META}/.pre-upgrade-2.1.7.new/image/image.12"), "half");
        starts(&mut pod, "doris:fe-3.0.3", "3.0.3");
        assert_eq!(inspect(&pod).copy, "2.1.7", "{shell:?}");
        assert_eq!(copy_of(&pod, "2.1.7"), (Some("old image".into()), Some("journal".into())));
        assert!(
            !pod.path(&format!("{META}/.pre-upgrade-2.0.15")).exists() && !pod.path(&format!("{META}/.pre-upgrade-2.1.7.new")).exists()
        );
    }
}

#[test]
fn without_room_there_is_no_copy_and_doris_starts_all_the_same() {
    for shell in shells() {
        let mut pod = ran(&shell, Some(("doris:fe-2.1.7", "2.1.7")));
        starts(&mut pod, "doris:fe-3.0.3", "3.0.3");
        pod.set("COPY_RESERVE_KIB", "99999999999999");
        let seen = inspect(&pod);
        assert_eq!(seen.copy, "", "{shell:?}");
        assert!(seen.copy_note.starts_with("not made: the metadata takes "), "{}", seen.copy_note);
        let _running = pod.start("fe");
        pod.until_started();
    }
}

#[test]
fn a_volume_that_names_no_build_is_copied_once() {
    for shell in shells() {
        let mut pod = ran(&shell, None);
        starts(&mut pod, "doris:fe-3.0.3", "3.0.3");
        assert_eq!(inspect(&pod).copy, "unknown", "{shell:?}");
        let running = pod.start("fe");
        pod.until_started();
        drop(running);
        assert_eq!(inspect(&pod).copy_note, "", "now it names one");
    }
}

#[test]
fn metadata_that_nothing_starts_on_is_not_copied() {
    for shell in shells() {
        let mut pod = Pod::new(&shell);
        starts(&mut pod, "doris:fe-3.0.3", "3.0.3");
        let seen = inspect(&pod);
        assert_eq!((seen.copy.as_str(), seen.copy_note.as_str()), ("", ""), "{shell:?}");
    }
}

#[test]
fn another_image_of_the_same_line_keeps_the_copy_of_the_line_before() {
    for shell in shells() {
        let mut pod = ran(&shell, Some(("doris:fe-2.1.7", "2.1.7")));
        starts(&mut pod, "doris:fe-3.0.3", "3.0.3");
        assert_eq!(inspect(&pod).copy, "2.1.7", "{shell:?}");
        runs(&pod, "doris:fe-3.0.3");
        // The upgrade broke half-way and is turned to another release of the line, or back and forth.
        pod.write("opt/doris-operator/gate/upgrade-from", "2.1.7\n");
        for (image, version) in [("doris:fe-3.0.4", "3.0.4"), ("doris:fe-2.1.7", "2.1.7")] {
            starts(&mut pod, image, version);
            let seen = inspect(&pod);
            assert_eq!((seen.copy.as_str(), seen.copy_note.as_str()), ("2.1.7", ""), "{shell:?}: {version}");
            runs(&pod, image);
        }
        assert_eq!(copy_of(&pod, "2.1.7"), (Some("old image".into()), Some("journal".into())));
        pod.write(&format!("{META}/image/image.12"), "newer image");
        starts(&mut pod, "doris:fe-3.0.4", "3.0.4");
        let seen = inspect(&pod);
        assert!(seen.copy == "2.1.7" && seen.copy_note.starts_with("made"), "{shell:?}: {seen:?}");
        assert_eq!(copy_of(&pod, "2.1.7").0, Some("newer image".into()), "what 2.1.7 wrote since");
    }
}

/// An upgrade from 2.1.7, of which there is a copy, has been turned to 3.1 once a frontend of 3.0 had been master.
fn turned(shell: &[&'static str]) -> Pod {
    let mut pod = ran(shell, Some(("doris:fe-3.0.3", "3.0.3")));
    for file in ["image/image.12", "bdb/00000000.jdb"] {
        pod.write(&format!("{META}/.pre-upgrade-2.1.7/{file}"), "older");
    }
    pod.write("opt/doris-operator/gate/upgrade-from", "2.1.7\n");
    starts(&mut pod, "doris:fe-3.1.0", "3.1.0");
    pod
}

#[test]
fn the_copy_of_the_version_that_an_upgrade_left_stays_beside_a_newer_one_until_it_is_through() {
    for shell in shells() {
        let mut pod = turned(&shell);
        let seen = inspect(&pod);
        assert!(seen.copy == "2.1.7" && seen.copy_note.starts_with("made"), "{shell:?}: {seen:?}");
        assert_eq!(copy_of(&pod, "2.1.7").0, Some("older".into()));
        assert_eq!(copy_of(&pod, "3.0.3").0, Some("old image".into()));
        runs(&pod, "doris:fe-3.1.0");
        // It is through, and the next one begins.
        pod.write("opt/doris-operator/gate/upgrade-from", "3.1.0\n");
        starts(&mut pod, "doris:fe-4.0.1", "4.0.1");
        assert_eq!(inspect(&pod).copy, "3.1.0", "{shell:?}");
        for gone in ["2.1.7", "3.0.3"] {
            assert!(!pod.path(&format!("{META}/.pre-upgrade-{gone}")).exists(), "{shell:?}: {gone}");
        }
    }
}

#[test]
fn a_copy_that_has_to_stay_makes_no_room_for_another_one() {
    for shell in shells() {
        let mut pod = turned(&shell);
        pod.set("COPY_RESERVE_KIB", "99999999999999");
        let seen = inspect(&pod);
        assert!(seen.copy == "2.1.7" && seen.copy_note.starts_with("not made: the metadata takes "), "{shell:?}: {seen:?}");
        assert_eq!(copy_of(&pod, "2.1.7").0, Some("older".into()));
    }
}
