//! The guards of a backend, and the broker.

use doris_api::member::Inspection;

use super::harness::{Pod, shells};

const DATA: &str = "opt/apache-doris/be/storage/data";

fn backend(shell: &[&'static str]) -> Pod {
    let mut pod = Pod::new(shell);
    pod.set("MEMBER_ROLE", "mix");
    pod
}

#[test]
fn a_new_backend_starts_and_marks_its_roots() {
    for shell in shells() {
        let mut pod = backend(&shell);
        pod.set("CPU_LIMIT", "4");
        let _running = pod.start("be");
        pod.until_started();
        assert_eq!(pod.marker(DATA).role, "mix");
        assert!(pod.read("fake/conf/be.conf").is_some_and(|conf| conf.ends_with("\nnum_cores = 4\n")));
    }
}

#[test]
fn a_root_that_is_not_mounted_is_never_written_to() {
    for shell in shells() {
        let mut pod = backend(&shell);
        pod.set("STORAGE_ROOTS", "/opt/apache-doris/be/storage/data;/opt/apache-doris/be/storage/more");
        assert_eq!(pod.start("be").wait(), Some(64), "{shell:?}");
        assert!(pod.message().contains("/opt/apache-doris/be/storage/more"), "{}", pod.message());
        assert_eq!(pod.marker(DATA).identity, "");
    }
}

#[test]
fn a_volume_that_held_data_and_is_empty_waits_for_leave() {
    for shell in shells() {
        let pod = backend(&shell);
        pod.write("opt/doris-operator/gate/had-data", "be-9\nfe-0\n");
        let _running = pod.start("be");
        pod.until_waiting();
        for ticket in ["blank-ok:u2", "found:u1:1", "join:u1:i:mix:h:1"] {
            pod.ticket(ticket);
        }
        assert_eq!(pod.arguments(), "");
        pod.ticket("blank-ok:u1");
        pod.until_started();
    }
}

#[test]
fn a_disk_that_was_added_may_be_empty_and_no_other_one() {
    const MORE: &str = "opt/apache-doris/be/storage/more";
    for shell in shells() {
        let mut pod = backend(&shell);
        pod.set("STORAGE_ROOTS", &format!("/{DATA};/{MORE}"));
        pod.mount(&[DATA, MORE]);
        pod.write("opt/doris-operator/gate/had-data", "fe-0\n");
        pod.write("opt/doris-operator/gate/fresh", &format!("fe-0 /{MORE}\n"));
        let _running = pod.start("be");
        pod.until_waiting();
        pod.write(&format!("{DATA}/cluster_id"), "17");
        pod.until_started();
    }
}

#[test]
fn the_inspection_names_the_roots_that_hold_nothing() {
    const MORE: &str = "opt/apache-doris/be/storage/more";
    for shell in shells() {
        let mut pod = backend(&shell);
        pod.set("STORAGE_ROOTS", &format!("/{DATA};/{MORE}"));
        pod.mount(&[DATA, MORE]);
        pod.write(&format!("{DATA}/cluster_id"), "7-token");
        assert_eq!(pod.start("inspect be").wait(), Some(0));
        let seen = Inspection::parse(&pod.message());
        assert!(seen.mounted && seen.blank_roots == [format!("/{MORE}")], "{shell:?}: {seen:?}");
        pod.mount(&[DATA]);
        assert_eq!(pod.start("inspect be").wait(), Some(0));
        let seen = Inspection::parse(&pod.message());
        assert!(!seen.mounted && seen.blank_roots.is_empty(), "{shell:?}: {seen:?}");
    }
}

#[test]
fn a_volume_with_its_data_starts_without_leave() {
    for shell in shells() {
        let pod = backend(&shell);
        pod.write("opt/doris-operator/gate/had-data", "be-9\nfe-0\n");
        pod.write(&format!("{DATA}/cluster_id"), "7-token");
        pod.write("opt/doris-operator/gate/cluster-id", "7");
        let _running = pod.start("be");
        pod.until_started();
    }
}

#[test]
fn a_volume_of_another_cluster_or_member_is_refused() {
    for shell in shells() {
        for (file, text) in [
            ("cluster_id", "8-token"),
            (".operator/member", "identity=id2\nfqdn=fe-0.svc\nrole=mix\nincarnation=\nepoch=0\n"),
            (".operator/member", "identity=id1\nfqdn=be-7.svc\nrole=mix\nincarnation=\nepoch=0\n"),
        ] {
            let pod = backend(&shell);
            pod.write("opt/doris-operator/gate/cluster-id", "7");
            pod.write(&format!("{DATA}/{file}"), text);
            assert_eq!(pod.start("be").wait(), Some(65), "{shell:?} {text}");
        }
    }
}

#[test]
fn what_the_backend_says_about_its_node_reaches_the_termination_message() {
    for shell in shells() {
        let pod = backend(&shell);
        pod.behave("echo 'Please set vm.max_map_count to be 2000000 under root.' >&2; exit 1");
        assert_eq!(pod.start("be").wait(), Some(1), "{shell:?}");
        assert_eq!(pod.message(), "Doris ended with status 1: Please set vm.max_map_count to be 2000000 under root.\n");
    }
}

#[test]
fn a_broker_starts_without_volume_and_ticket() {
    for shell in shells() {
        let pod = Pod::new(&shell);
        pod.mount(&[]);
        let _running = pod.start("broker");
        pod.until_started();
        assert_eq!(pod.arguments(), "--console");
    }
}

#[test]
fn kerberos_files_are_linked_where_doris_looks() {
    for shell in shells() {
        let mut pod = backend(&shell);
        pod.write("etc/krb5-mount/krb5.conf", "[libdefaults]");
        pod.write("etc/keytab-mount/doris.keytab", "k");
        pod.set("KRB5_MOUNT_PATH", "/etc/krb5-mount");
        pod.set("KRB5_CONFIG", "/etc/krb5.conf");
        pod.set("KEYTAB_MOUNT_PATH", "/etc/keytab-mount");
        pod.set("KEYTAB_FINAL_USED_PATH", "/etc/keytabs");
        let _running = pod.start("be");
        pod.until_started();
        assert_eq!(pod.read("etc/krb5.conf").as_deref(), Some("[libdefaults]"));
        assert_eq!(pod.read("etc/keytabs/doris.keytab").as_deref(), Some("k"));
    }
}
