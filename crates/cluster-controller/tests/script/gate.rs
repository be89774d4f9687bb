//! Every row of the gate table, under every shell.

use super::harness::{IDENTITY, NAME, Pod, Running, shells};

const META: &str = "opt/apache-doris/fe/doris-meta";
const TABLE: &str = include_str!("gate-cases.txt");

struct Case<'a> {
    name: &'a str,
    mounted: bool,
    role: &'a str,
    cluster: &'a str,
    bdb: &'a str,
    marker: &'a str,
    epoch: &'a str,
    wanted_cluster: &'a str,
    left: &'a str,
    member_role: &'a str,
    ticket: &'a str,
    decision: &'a str,
}

fn cases() -> Vec<Case<'static>> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let case = |line: &'static str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, mounted, role, cluster, bdb, marker, epoch, wanted_cluster, left, member_role, ticket, decision] = cells[..] else {
            unreachable!("not a case: {line}")
        };
        Case { name, mounted: mounted == "yes", role, cluster, bdb, marker, epoch, wanted_cluster, left, member_role, ticket, decision }
    };
    rows.map(case).collect()
}

fn put(pod: &Pod, path: &str, value: &str, text: &str) {
    match value {
        "-" => {}
        "empty" => pod.write(path, ""),
        _ => pod.write(path, text),
    }
}

fn prepare(case: &Case<'_>, shell: &[&'static str]) -> Pod {
    let mut pod = Pod::new(shell);
    put(&pod, &format!("{META}/image/ROLE"), case.role, &format!("#date\nrole={}\nname=fe_1\n", case.role));
    put(&pod, &format!("{META}/image/VERSION"), case.cluster, &format!("#date\nclusterId={}\ntoken=t\n", case.cluster));
    put(&pod, &format!("{META}/bdb/00000000.jdb"), case.bdb, "x");
    let marker: Vec<&str> = case.marker.split('/').collect();
    if let [identity, incarnation, epoch, ..] = marker[..] {
        let fqdn = marker.get(3).unwrap_or(&NAME);
        pod.write(
            &format!("{META}/.operator/member"),
            &format!("identity={identity}\nfqdn={fqdn}\nrole={}\nincarnation={incarnation}\nepoch={epoch}\n", case.member_role),
        );
    }
    put(&pod, "opt/doris-operator/gate/epoch", case.epoch, &format!("{}\n", case.epoch));
    put(&pod, "opt/doris-operator/gate/cluster-id", case.wanted_cluster, &format!("{}\n", case.wanted_cluster));
    put(&pod, "opt/doris-operator/gate/left", case.left, &(case.left.replace(',', "\n") + "\n"));
    if case.ticket != "-" {
        pod.ticket(case.ticket);
    }
    if !case.mounted {
        pod.mount(&["opt/apache-doris"]);
    }
    pod.set("MEMBER_ROLE", case.member_role);
    pod
}

/// How far a start got: what the table calls it.
fn outcome(pod: &Pod, running: &mut Running) -> String {
    if let Some(code) = running.ended_or(pod) {
        assert!(!pod.message().is_empty(), "an end has a sentence");
        return format!("exit {code}");
    }
    if pod.arguments().is_empty() {
        return "wait".into();
    }
    let aside = std::fs::read_dir(pod.path(META))
        .expect("the volume")
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with(".stale-"));
    let marker = pod.marker(META);
    let how = if pod.arguments().contains("--helper") {
        "join"
    } else if pod.read("fake/conf/fe.conf").is_some_and(|conf| conf.contains("initial_root_password")) {
        "found"
    } else {
        "start"
    };
    assert_eq!(marker.identity, IDENTITY, "the marker is there before Doris starts");
    assert_eq!(pod.read("fake/marker"), pod.read(&format!("{META}/.operator/member")));
    format!("{}{how}", if aside { "aside+" } else { "" })
}

#[test]
fn every_row_of_the_gate_table_holds_under_every_shell() {
    std::thread::scope(|scope| {
        for shell in shells() {
            scope.spawn(move || cases().iter().for_each(|case| check(case, &shell)));
        }
    });
}

fn check(case: &Case<'_>, shell: &[&'static str]) {
    let pod = prepare(case, shell);
    pod.write("opt/doris-operator/root/initial-root-password", "*0123456789012345678901234567890123456789\n");
    let before = pod.read(&format!("{META}/image/VERSION"));
    let mut running = pod.start("fe");
    let seen = outcome(&pod, &mut running);
    assert_eq!(seen, case.decision, "{}: {shell:?} says {:?}", case.name, pod.message());
    if !case.decision.starts_with("aside") {
        assert_eq!(pod.read(&format!("{META}/image/VERSION")), before, "{}: the volume is left alone", case.name);
    } else if before.is_some() {
        assert!(pod.read(&format!("{META}/image/VERSION")).is_none(), "{}: the old metadata is out of the way", case.name);
    }
}
