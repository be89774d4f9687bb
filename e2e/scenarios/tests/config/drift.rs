//! Values that somebody or something else changed.

use std::time::Duration;

use doris_api::Component;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::json;

use crate::look::{LONG, apply, host, judge, value, values};

#[tokio::test(start_paused = true)]
async fn what_is_changed_by_hand_is_told_and_set_back() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = basic("2.1.7");
    spec["fe"]["config"] = json!({"catalog_trash_expire_second": "3600"});
    apply(&lab, &spec).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let master = lab.master_pod("demo").expect("one master");
    lab.sql("demo", &master, "ADMIN SET FRONTEND CONFIG (\"catalog_trash_expire_second\" = \"1\")").await.expect("it is set");
    lab.eventually("it is set back", Duration::from_mins(11), async || {
        let found = values(&lab, Component::Fe, 3, "catalog_trash_expire_second");
        if found == ["3600"; 3] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    let events = lab.api::<Event>().list(&ListParams::default()).await.expect("events are listed");
    let notes: Vec<String> =
        events.into_iter().filter(|event| event.reason.as_deref() == Some("ConfigDrift")).filter_map(|event| event.note).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("catalog_trash_expire_second was \"1\", set back to \"3600\""), "{notes:?}");
    judge(&lab).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_master_in_the_middle_of_a_change_has_the_new_value() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = basic("2.1.7");
    apply(&lab, &spec).await;
    let master = lab.master_pod("demo").expect("one master");
    spec["fe"]["config"] = json!({"disable_balance": "true"});
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.nodes.kill("default", &master, None);
    apply(&lab, &spec).await;
    lab.eventually("all have it", LONG, async || {
        let found = values(&lab, Component::Fe, 3, "disable_balance");
        if found == ["true"; 3] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    judge(&lab).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_of_another_build_that_does_not_take_a_value_is_named() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = basic("2.1.7");
    apply(&lab, &spec).await;
    lab.world.fix_setting(&host(Component::Be, 1), "max_tablet_version_num");
    spec["be"]["config"] = json!({"max_tablet_version_num": "3000"});
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    let seen = lab
        .until("it is named", "demo", LONG, |seen| {
            crate::look::told(seen, "be", "max_tablet_version_num").is_some_and(|(_, members, _)| members == ["demo-be-1"])
        })
        .await;
    let (_, _, message) = crate::look::told(&seen, "be", "max_tablet_version_num").expect("it is told");
    assert!(message.contains("restarted"), "{message}");
    assert_eq!(
        (value(&lab, Component::Be, 0, "max_tablet_version_num"), value(&lab, Component::Be, 1, "max_tablet_version_num")),
        ("3000".into(), "2000".into())
    );
    lab.nodes.kill("default", "demo-be-1", None);
    lab.until_ready("demo").await;
    judge(&lab).await;
}
