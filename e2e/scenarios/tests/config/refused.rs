//! Keys and values that Doris does not have or take.

use doris_api::Component;
use doris_api::cluster::ConfigState;
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::json;

use crate::look::{LONG, apply, judge, runs, told, values};
use crate::watch::hasty;

async fn is_refused(spec_part: &str, key: &str, value: &str, sentence: &str) {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = hasty(basic("2.1.7"));
    apply(&lab, &spec).await;
    let before = runs(&lab).await;
    spec["fe"]["config"] = json!({"disable_balance": "true"});
    spec[spec_part]["config"][key] = json!(value);
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    let seen = lab
        .until("it is refused", "demo", LONG, |seen| {
            condition(seen, "Stalled").is_some_and(|(status, reason, _)| status == "True" && reason == "ConfigRefused")
        })
        .await;
    let (_, _, message) = condition(&seen, "Stalled").expect("a condition");
    assert!(message.contains(&format!("{spec_part}.config.{key}")) && message.contains(sentence), "{message}");
    assert_eq!(told(&seen, spec_part, key).map(|(state, ..)| state), Some(ConfigState::Refused));
    lab.eventually("what is right goes on", LONG, async || {
        let found = values(&lab, Component::Fe, 3, "disable_balance");
        if found == ["true"; 3] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(runs(&lab).await, before, "nothing is rolled out");
    spec[spec_part]["config"].as_object_mut().expect("a map").remove(key);
    apply(&lab, &spec).await;
    assert_eq!(runs(&lab).await, before);
    judge(&lab).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_doris_does_not_have_is_named_and_never_rolled_out() {
    Box::pin(is_refused("fe", "max_backend_down_time_second", "3600", "no such key")).await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_a_live_key_cannot_hold_never_comes_into_a_file() {
    Box::pin(is_refused("be", "max_tablet_version_num", "many", "does not take")).await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_a_restart_only_key_cannot_hold_is_not_rolled_out() {
    Box::pin(is_refused("fe", "qe_max_connection", "plenty", "does not take")).await;
}
