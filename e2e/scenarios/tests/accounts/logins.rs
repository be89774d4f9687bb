//! The table of logins: which stored password works says where the work stopped.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use scenarios::lab::{Lab, basic, cluster};

use crate::people::{IDENTITY, SEEN, broken, lab, sql, until_logs_in, until_stored, with_passwords};

const OPERATOR: &str = "doris_operator";

/// What is on record, what Doris has, and what both come to. Passwords by short names: `old`, `new`, `third`.
struct Row {
    what: &'static str,
    /// Key of the identity and password; without one the key goes.
    stored: &'static [(&'static str, Option<&'static str>)],
    /// Account and password in Doris.
    doris: &'static [(&'static str, &'static str)],
    /// Password of the operator's account at the end.
    operator: &'static str,
}

const ROWS: &[Row] = &[
    Row { what: "all is as it should be", stored: &[], doris: &[], operator: "Old-Operator-1" },
    Row {
        what: "the operator's next password is stored and Doris does not know it",
        stored: &[("operator.next", Some("New-Operator-2"))],
        doris: &[],
        operator: "New-Operator-2",
    },
    Row {
        what: "the operator's next password is stored and Doris has it",
        stored: &[("operator.next", Some("New-Operator-2"))],
        doris: &[(OPERATOR, "New-Operator-2")],
        operator: "New-Operator-2",
    },
    Row {
        what: "the operator's account has a password that nobody stored",
        stored: &[],
        doris: &[(OPERATOR, "Third-Operator-3")],
        operator: "Old-Operator-1",
    },
    Row {
        what: "the same while a change of it is on record",
        stored: &[("operator.next", Some("New-Operator-2"))],
        doris: &[(OPERATOR, "Third-Operator-3")],
        operator: "New-Operator-2",
    },
    Row {
        what: "root's next password is stored and Doris does not know it",
        stored: &[("root.applied", Some("First-Root-1")), ("root.next", Some("Second-Root-2"))],
        doris: &[("root", "First-Root-1")],
        operator: "Old-Operator-1",
    },
    Row {
        what: "root's next password is stored and Doris has it",
        stored: &[("root.applied", Some("First-Root-1")), ("root.next", Some("Second-Root-2"))],
        doris: &[("root", "Second-Root-2")],
        operator: "Old-Operator-1",
    },
    Row {
        what: "root has the wanted password and the record says another one",
        stored: &[("root.applied", Some("First-Root-1"))],
        doris: &[("root", "Second-Root-2")],
        operator: "Old-Operator-1",
    },
    Row {
        what: "root has what the record says and another one is wanted",
        stored: &[("root.applied", Some("First-Root-1"))],
        doris: &[("root", "First-Root-1")],
        operator: "Old-Operator-1",
    },
    Row {
        what: "nobody knows root's password and Doris has the wanted one",
        stored: &[("root.applied", None)],
        doris: &[("root", "Second-Root-2")],
        operator: "Old-Operator-1",
    },
    Row {
        what: "root was left without a password, and the operator's account has another one",
        stored: &[("root.applied", Some("First-Root-1"))],
        doris: &[("root", ""), (OPERATOR, "Third-Operator-3")],
        operator: "Old-Operator-1",
    },
    Row {
        what: "root's change is broken off and the operator's account refused",
        stored: &[("root.applied", Some("First-Root-1")), ("root.next", Some("Third-Root-3"))],
        doris: &[("root", "Third-Root-3"), (OPERATOR, "Third-Operator-3")],
        operator: "Old-Operator-1",
    },
];

#[tokio::test(start_paused = true)]
async fn every_row_of_the_table_of_logins_ends_with_all_accounts_as_they_are_to_be() {
    for row in ROWS {
        println!("{}", row.what);
        let lab = lab("Second-Root-2", "First-Admin-1").await;
        let controller = lab.start_controller();
        lab.apply(&cluster("demo", with_passwords(basic("2.1.7")))).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        drop(controller);
        arrange(&lab, row).await;

        let _controller = lab.start_controller();
        until_logs_in(&lab, "root", "Second-Root-2", Duration::from_mins(4)).await;
        until_logs_in(&lab, OPERATOR, row.operator, Duration::from_mins(4)).await;
        until_logs_in(&lab, "admin", "First-Admin-1", SEEN).await;
        until_stored(&lab, "operator.current", Some(row.operator)).await;
        for (key, value) in [("root.applied", Some("Second-Root-2")), ("root.next", None), ("operator.next", None)] {
            until_stored(&lab, key, value).await;
        }
        lab.until_ready("demo").await;
        assert_eq!(lab.idle(Duration::from_mins(3)).await, Vec::<String>::new(), "{}", row.what);
        let meant = ["operator-logs-in", "root-logs-in", "no-empty-password", "stored-before"];
        assert_eq!(broken(&lab, &meant), Vec::<String>::new(), "{}", row.what);
    }
}

/// Puts the record and Doris into the state of a row, while no controller runs.
async fn arrange(lab: &Lab, row: &Row) {
    let root = "Second-Root-2";
    let own = format!("ALTER USER '{OPERATOR}' IDENTIFIED BY 'Old-Operator-1'");
    let of_others = row.doris.iter().map(|(user, password)| format!("ALTER USER '{user}' IDENTIFIED BY '{password}'"));
    let statements: Vec<String> = [own].into_iter().chain(of_others).collect();
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    sql(lab, "root", root, &statements).await.expect("root may do that");
    let secrets = lab.api::<Secret>();
    let mut secret = secrets.get(IDENTITY).await.expect("the identity is there");
    let data = secret.data.get_or_insert_default();
    data.insert("operator.current".into(), ByteString(b"Old-Operator-1".to_vec()));
    for (key, value) in row.stored {
        match value {
            Some(value) => data.insert((*key).to_owned(), ByteString(value.as_bytes().to_vec())),
            None => data.remove(*key),
        };
    }
    secrets.replace(IDENTITY, &PostParams::default(), &secret).await.expect("the identity is written");
}
