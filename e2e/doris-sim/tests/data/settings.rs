use doris_sim::NodeRole;

use crate::stand::{Stand, ip, seconds};

#[tokio::test(start_paused = true)]
async fn a_frontend_takes_over_http_what_is_mutable_and_in_its_own_memory_alone() {
    let stand = Stand::seeded("2.1.7", 3, 0, 1).await;
    let answer = stand.http(ip(2), 8030, "GET", "/api/_set_config?disable_balance=true&http_port=1&no_such_key=2").await;
    assert_eq!((&answer["code"], &answer["data"]["set"]["disable_balance"]), (&0.into(), &"true".into()));
    let errors: Vec<_> = answer["data"]["err"].as_array().into_iter().flatten().map(|error| error["err_info"].to_string()).collect();
    assert!(
        errors[0].contains("Config 'http_port' is not mutable") && errors[1].contains("Config 'no_such_key' does not exist"),
        "{errors:?}"
    );
    let live = stand.world.live_settings();
    assert!(matches!(live.as_slice(), [one] if one.fqdn == "fe-1.test" && one.key == "disable_balance" && one.value == "true"), "{live:?}");
    stand.set("disable_tablet_scheduler", "true").await;
    assert_eq!(stand.world.live_settings().len(), 2, "by SQL the master alone changes");
    assert_eq!(stand.world.setting_changes().len(), 2);
    stand.world.process_at(ip(2)).expect("it runs").signal(doris_sim::Signal::Kill);
    stand.start_frontend(1, "2.1.7");
    seconds(60).await;
    assert_eq!(stand.world.live_settings().len(), 1, "what was set is lost with the process");
}

#[tokio::test(start_paused = true)]
async fn a_backend_shows_and_takes_its_settings() {
    let stand = Stand::new("3.0.3", 1).await;
    let all = stand.http(ip(11), 8040, "GET", "/api/show_config").await;
    let key = |name: &str| all.as_array().into_iter().flatten().find(|row| row[0] == name).cloned();
    assert_eq!(key("max_download_speed_kbps"), Some(serde_json::json!(["max_download_speed_kbps", "int32_t", "50000", "true"])));
    assert_eq!(key("be_port").map(|row| row[3].clone()), Some("false".into()));
    let one = stand.http(ip(11), 8040, "GET", "/api/show_config?conf_item=sys_log_level").await;
    assert_eq!(one.as_array().map(Vec::len), Some(1));
    let cases = [("sys_log_level=WARN", "OK"), ("be_port=1", "BAD"), ("no_such_key=1", "BAD"), ("max_download_speed_kbps=fast", "BAD")];
    for (pair, status) in cases {
        let answer = stand.http(ip(11), 8040, "POST", &format!("/api/update_config?{pair}")).await;
        assert_eq!(answer[0]["status"], status, "{pair}");
    }
    let rows = stand.rows("SHOW BACKEND CONFIG LIKE 'sys_log_level'").await;
    assert_eq!((rows.value(0, "Value"), rows.value(0, "IsMutable")), (Some("WARN"), Some("true")));
    assert_eq!(stand.world.live_settings().len(), 1);
    stand.backend(0).signal(doris_sim::Signal::Kill);
    stand.start_backend(0, NodeRole::Mix);
    seconds(30).await;
    let rows = stand.rows("SHOW BACKEND CONFIG LIKE 'sys_log_level'").await;
    assert_eq!(rows.value(0, "Value"), Some("INFO"));
}
