//! The operator's own account.

use std::time::Duration;

use scenarios::lab::faults::StepName;
use scenarios::lab::{Fault, Faults, Lab, Settings, basic, cluster};

use crate::people::{IDENTITY, VERSIONS, asking, broken, doors, events, pods, sql, until_logs_in, until_stored};

const OPERATOR: &str = "doris_operator";

async fn current(lab: &Lab) -> String {
    lab.secret(IDENTITY, "operator.current").await.expect("a password")
}

/// Waits until the operator's account has another password than this one, on record and in Doris.
async fn until_changed(lab: &Lab, before: &str) -> String {
    let is_changed = || async { if current(lab).await == before { Err("it is the same".to_owned()) } else { Ok(()) } };
    lab.eventually("the operator's password is another one", Duration::from_mins(3), is_changed).await;
    let now = current(lab).await;
    until_logs_in(lab, OPERATOR, &now, Duration::from_secs(5)).await;
    until_stored(lab, "operator.next", None).await;
    now
}

#[tokio::test(start_paused = true)]
async fn a_new_password_is_made_once_for_each_wish_however_long_the_wish_stands() {
    for version in VERSIONS {
        let lab = Lab::new(Settings::default()).await;
        let controller = lab.start_controller();
        lab.apply(&asking(basic(version), "one")).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        let (first, before) = (current(&lab).await, pods(&lab).await);
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert_eq!(current(&lab).await, first, "{version}: a cluster that is new with its wish has a new password already");

        lab.apply(&asking(basic(version), "two")).await.expect("the spec is accepted");
        let second = until_changed(&lab, &first).await;
        assert_eq!(doors(&lab, OPERATOR, &first), (0, 3), "{version}: the old one is of no use any more");
        assert_eq!(events(&lab, "PasswordChanged").await.len(), 1);

        // Neither time nor another process takes the same wish for a new one.
        drop(controller);
        let _controller = lab.start_controller();
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert_eq!(lab.idle(Duration::from_mins(5)).await, Vec::<String>::new(), "{version}");
        // Nor does its withdrawal.
        lab.apply(&cluster("demo", basic(version))).await.expect("the spec is accepted");
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(current(&lab).await, second, "{version}");
        lab.apply(&asking(basic(version), &"three".repeat(1000))).await.expect("the spec is accepted");
        until_changed(&lab, &second).await;
        assert_eq!(pods(&lab).await, before, "{version}: no pod holds a password");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
    }
}

/// Each row: where the process dies, and how often it may.
#[tokio::test(start_paused = true)]
async fn a_change_that_was_broken_off_is_finished_by_the_next_process() {
    let rows = [
        ("PUT secrets/demo-identity", Fault::CrashBefore),
        ("PUT secrets/demo-identity", Fault::CrashAfter),
        ("SQL SET PASSWORD =", Fault::CrashBefore),
        ("SQL SET PASSWORD =", Fault::CrashAfter),
        ("SQL SET PASSWORD =", Fault::LoseAnswer),
        ("PUT secrets/demo-identity", Fault::LoseAnswer),
    ];
    for (what, fault) in rows {
        // The creation's own steps of that name come first.
        let calm = Lab::new(Settings::default()).await;
        let _controller = calm.start_controller();
        calm.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
        calm.until_ready("demo").await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        let made_before = calm.faults.log().iter().filter(|step| *step == what).count();
        let puts: &[usize] = if what.starts_with("PUT") { &[1, 2] } else { &[1] };
        for nth in puts {
            let step = StepName { what: what.to_owned(), occurrence: made_before + nth };
            let lab = Lab::new(Settings { faults: Faults::at(step, fault), ..Settings::default() }).await;
            let _controller = lab.start_controller();
            lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
            lab.until_ready("demo").await;
            tokio::time::sleep(Duration::from_mins(1)).await;
            let before = current(&lab).await;
            lab.apply(&asking(basic("2.1.7"), "now")).await.expect("the spec is accepted");
            until_changed(&lab, &before).await;
            assert_eq!(lab.faults.left(), 0, "{what} {nth} {fault:?} was reached; steps:\n{}", lab.faults.log().join("\n"));
            lab.until_ready("demo").await;
            assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{what} {nth} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_somebody_changed_or_dropped_is_set_up_again_as_root() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let (stored, root) = (current(&lab).await, lab.secret(IDENTITY, "root.applied").await.expect("a password"));
    for statement in [
        "ALTER USER 'doris_operator' IDENTIFIED BY 'Somebody-Else-1'",
        "DROP USER 'doris_operator'",
        "REVOKE NODE_PRIV ON *.*.* FROM 'doris_operator'",
    ] {
        sql(&lab, "root", &root, &[statement]).await.expect("root may do that");
        until_logs_in(&lab, OPERATOR, &stored, Duration::from_mins(2)).await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        lab.until_ready("demo").await;
    }
    assert_eq!(doors(&lab, OPERATOR, "Somebody-Else-1").0, 0);
    assert_eq!(broken(&lab, &["operator-logs-in", "stored-before"]), Vec::<String>::new());
}
