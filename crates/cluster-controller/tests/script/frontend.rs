//! What happens around the gate of a frontend: waiting, running, ending.

use std::time::Duration;

use doris_api::member::Inspection;

use super::harness::{Pod, shells};

const META: &str = "opt/apache-doris/fe/doris-meta";

fn with_metadata(pod: &Pod) {
    pod.write(&format!("{META}/image/ROLE"), "#date\nrole=FOLLOWER\nname=fe_1\n");
    pod.write(&format!("{META}/image/VERSION"), "#date\nclusterId=7\ntoken=t\n");
    pod.write(&format!("{META}/bdb/00000000.jdb"), "x");
}

#[test]
fn a_ticket_that_comes_later_ends_the_wait() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        let _running = pod.start("fe");
        pod.until_waiting();
        pod.ticket("found:u2:1");
        pod.until("the refusal", |pod| pod.read("opt/doris-operator/run/waiting").is_some_and(|text| text.contains("another pod")));
        assert_eq!(pod.arguments(), "");
        pod.ticket("found:u1:1");
        pod.until_started();
        assert_eq!(pod.arguments(), "--console");
        assert_eq!(pod.marker(META).incarnation, "found-1");
        assert_eq!(pod.read("opt/doris-operator/run/waiting"), None, "the waiting file is gone");
        assert!(pod.read("opt/doris-operator/run/starting").is_some(), "and the liveness probe knows that a start is under way");
    }
}

#[test]
fn helpers_and_role_of_the_ticket_reach_doris_and_the_marker() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        pod.write("opt/doris-operator/gate/epoch", "4");
        pod.ticket("join:u1:i9:FOLLOWER:fe-1.svc:9010,fe-2.svc:9010");
        let _running = pod.start("fe");
        pod.until_started();
        assert_eq!(pod.arguments(), "--console --helper fe-1.svc:9010,fe-2.svc:9010");
        let marker = pod.marker(META);
        assert_eq!((marker.incarnation.as_str(), marker.role.as_str(), marker.epoch), ("i9", "FOLLOWER", 4));
    }
}

#[test]
fn a_frontend_with_metadata_restarts_without_ticket_again_and_again() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        with_metadata(&pod);
        pod.behave("exit 255");
        for _ in 0..3 {
            assert_eq!(pod.start("fe").wait(), Some(255));
            assert_eq!(pod.arguments(), "--console");
            pod.remove("fake/arguments");
        }
        assert_eq!(pod.marker(META).incarnation, "adopted");
    }
}

#[test]
fn a_kill_at_any_moment_before_doris_runs_loses_nothing() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        pod.write(&format!("{META}/image/ROLE"), "");
        pod.write(&format!("{META}/.operator/member"), "identity=id1\nfqdn=fe-0.svc\nrole=FOLLOWER\nincarnation=found-1\nepoch=0\n");
        pod.ticket("found:u1:2");
        for moment in 0..12 {
            let mut running = pod.start("fe");
            std::thread::sleep(Duration::from_millis(moment * 6));
            running.kill_all();
            let incarnation = pod.marker(META).incarnation;
            assert!(incarnation == "found-1" || incarnation == "found-2", "{shell:?}: {incarnation:?} after {moment}");
        }
        drop(std::fs::remove_file(pod.path("fake/ready")));
        let _running = pod.start("fe");
        pod.until_started();
        assert_eq!(pod.marker(META).incarnation, "found-2");
        assert_eq!(pod.arguments(), "--console");
    }
}

#[test]
fn signals_reach_doris_below_its_own_shell() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        with_metadata(&pod);
        // The real start script runs Java below itself and passes nothing on.
        pod.behave("trap - TERM; sh -c 'trap \"echo term >$root/fake/signal; exit 143\" TERM; echo up >$root/fake/up; while :; do sleep 0.05; done'");
        let mut running = pod.start("fe");
        pod.until("Doris", |pod| pod.read("fake/up").is_some_and(|text| !text.is_empty()));
        running.signal("TERM");
        assert_eq!(running.wait(), Some(143), "{shell:?}");
        pod.until("the signal", |pod| pod.read("fake/signal").is_some());
    }
}

#[test]
fn a_signal_ends_the_wait() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        let mut running = pod.start("fe");
        pod.until_waiting();
        running.signal("TERM");
        assert_eq!(running.wait(), Some(143), "{shell:?}");
    }
}

#[test]
fn an_end_with_status_0_is_a_failure_that_is_explained() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        with_metadata(&pod);
        pod.behave("echo starting; echo 'java.lang.NumberFormatException: x'; echo '\tat Long.parse'; exit 0");
        assert_eq!(pod.start("fe").wait(), Some(70), "{shell:?}");
        assert_eq!(pod.message(), "Doris ended by itself: java.lang.NumberFormatException: x\n");
        pod.behave("mkdir -p $root/opt/apache-doris/fe/log; echo 'x WARN (main|13) [DorisFE.start():234] ' >>$root/opt/apache-doris/fe/log/fe.log; echo 'java.io.IOException: port 9030 already in use' >>$root/opt/apache-doris/fe/log/fe.log; exit 0");
        assert_eq!(pod.start("fe").wait(), Some(70), "{shell:?}");
        assert_eq!(pod.message(), "Doris ended by itself: java.io.IOException: port 9030 already in use\n");
    }
}

#[test]
fn an_end_that_was_asked_for_is_none() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        with_metadata(&pod);
        pod.behave("while [ ! -e $root/fake/stop ]; do sleep 0.02; done; exit 0");
        pod.write("opt/apache-doris/fe/bin/stop_fe.sh", "#!/bin/sh\nroot=${0%/opt/*}\necho \"$@\" >$root/fake/stop\n");
        pod.executable("opt/apache-doris/fe/bin/stop_fe.sh");
        let mut running = pod.start("fe");
        pod.until_started();
        assert!(pod.command("stop.sh", &["fe"]).status().expect("a shell").success());
        assert_eq!(pod.read("fake/stop").as_deref(), Some("--grace\n"));
        assert_eq!(running.wait(), Some(0), "{shell:?}: {}", pod.message());
    }
}

#[test]
fn another_end_keeps_its_status_and_says_why() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        with_metadata(&pod);
        pod.behave("mkdir -p $root/opt/apache-doris/fe/log; echo 't ERROR (stateListener|13) current node is not added to the cluster, will exit.' >>$root/opt/apache-doris/fe/log/fe.log; exit 255");
        assert_eq!(pod.start("fe").wait(), Some(255), "{shell:?}");
        assert!(pod.message().ends_with("current node is not added to the cluster, will exit.\n"), "{}", pod.message());
    }
}

#[test]
fn a_hanging_frontend_is_ended() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        with_metadata(&pod);
        // An older failure in the log does not count.
        pod.write("opt/apache-doris/fe/log/fe.log", "t WARN (main|13) [DorisFE.start():234] \njava.io.IOException: old\n");
        pod.behave("sleep 0.3; echo 't WARN (main|13) [DorisFE.start():234] ' >>$root/opt/apache-doris/fe/log/fe.log; echo 'java.io.IOException: role file and version file must both exist' >>$root/opt/apache-doris/fe/log/fe.log; trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >$root/fake/java; while :; do sleep 0.1; done'");
        assert_eq!(pod.start("fe").wait(), Some(70), "{shell:?}");
        assert!(pod.message().contains("role file and version file must both exist"), "{}", pod.message());
        let java = pod.read("fake/java").unwrap_or_default();
        pod.until("the end of the hanging process", |_| !std::path::Path::new(&format!("/proc/{}", java.trim())).exists());
    }
}

#[test]
fn a_running_frontend_with_an_old_failure_in_its_log_is_left_alone() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        with_metadata(&pod);
        pod.write("opt/apache-doris/fe/log/fe.log", "t WARN (main|13) [DorisFE.start():234] \njava.io.IOException: old\n");
        pod.behave("n=0; while [ $n -lt 10 ]; do sleep 0.1; n=$((n + 1)); done; echo lived >$root/fake/lived; exit 255");
        assert_eq!(pod.start("fe").wait(), Some(255), "{shell:?}");
        assert!(pod.read("fake/lived").is_some());
    }
}

#[test]
fn configuration_that_would_break_the_identity_is_refused() {
    for shell in shells() {
        for line in ["cluster_id = 4711", "cluster_id=4711", "  auth_token : x", "meta_dir\t/elsewhere"] {
            let pod = Pod::new(&shell);
            with_metadata(&pod);
            pod.write("opt/doris-operator/conf/fe.conf", &format!("http_port = 8030\n{line}\n"));
            assert_eq!(pod.start("fe").wait(), Some(69), "{shell:?} {line}");
            assert!(pod.message().contains("belongs to the operator"), "{}", pod.message());
        }
        let pod = Pod::new(&shell);
        with_metadata(&pod);
        pod.write("opt/doris-operator/conf/fe.conf", "# cluster_id = 1\nmax_cluster_id = 2\nenable_fqdn_mode = false");
        pod.write("opt/doris-operator/conf/hdfs-site.xml", "<configuration/>");
        let _running = pod.start("fe");
        pod.until_started();
        let conf = pod.read("fake/conf/fe.conf").unwrap_or_default();
        assert!(conf.ends_with("\nenable_fqdn_mode = true\n") && !conf.contains("initial_root_password"), "{conf}");
        assert!(pod.read("fake/conf/hdfs-site.xml").is_some() && pod.read("fake/conf/image.conf").is_some());
    }
}

#[test]
fn no_cluster_is_founded_with_an_empty_root() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        pod.write("opt/doris-operator/root/initial-root-password", "");
        pod.ticket("found:u1:1");
        assert_eq!(pod.start("fe").wait(), Some(69), "{shell:?}");
        assert!(pod.arguments().is_empty());
    }
}

#[test]
fn a_root_password_of_another_form_never_reaches_doris() {
    for shell in shells() {
        for hash in ["secret", "*0123", "*zz23456789012345678901234567890123456789", "0123456789012345678901234567890123456789"] {
            let pod = Pod::new(&shell);
            pod.ticket("found:u1:1");
            pod.write("opt/doris-operator/root/initial-root-password", hash);
            assert_eq!(pod.start("fe").wait(), Some(69), "{shell:?} {hash}");
            assert!(!pod.message().contains(hash) && pod.arguments().is_empty());
        }
    }
}

#[test]
fn a_name_that_does_not_resolve_both_ways_ends_the_start_before_the_volume_is_touched() {
    for shell in shells() {
        for hosts in ["", "10.0.0.9 fe-0.svc\n", "10.0.0.1 other.svc\n"] {
            let pod = Pod::new(&shell);
            pod.write("fake/hosts", hosts);
            pod.ticket("found:u1:1");
            assert_eq!(pod.start("fe").wait(), Some(68), "{shell:?} {hosts:?}");
            assert_eq!(pod.marker(META).identity, "");
        }
    }
}

#[test]
fn the_inspection_says_what_is_on_the_volume() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        with_metadata(&pod);
        pod.write(&format!("{META}/.operator/member"), "identity=id1\nfqdn=fe-0.svc\nrole=FOLLOWER\nincarnation=i3\nepoch=2\n");
        assert_eq!(pod.start("inspect").wait(), Some(0));
        let seen = Inspection::parse(&pod.message());
        assert!(seen.is_complete(), "{shell:?}: {seen:?}");
        assert_eq!((seen.cluster_id.as_str(), seen.incarnation.as_str(), seen.identity.as_str(), seen.epoch), ("7", "i3", "id1", 2));
        pod.remove(&format!("{META}/bdb"));
        pod.write(&format!("{META}/image/ROLE"), "");
        pod.mount(&[]);
        assert_eq!(pod.start("inspect").wait(), Some(0));
        let seen = Inspection::parse(&pod.message());
        assert!(!seen.mounted && !seen.role && seen.version && !seen.bdb, "{shell:?}: {seen:?}");
    }
}
