//! Nothing secret is shown, wherever it is from.

use doris_api::initializer::Phase;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use scenarios::lab::Settings;
use scenarios::lab::oracles::logs::Logs;
use serde_json::json;

use crate::stage::{SOON, apply, put_map, put_secret, until, with_cluster};

#[tokio::test(start_paused = true)]
async fn no_secret_is_in_status_events_or_logs_also_when_doris_repeats_it() {
    let (logs, _guard) = Logs::capture();
    let (lab, _controller) = with_cluster(Settings::default(), "3.0.3").await;
    // The second statement is refused, and Doris names what it stumbled over.
    put_secret(&lab, "accounts", "create.sql", "CREATE USER one IDENTIFIED BY 'Hidden-One-1'; CREATE USER Hidden-Two-2 IDENTIFIED BY")
        .await;
    put_map(&lab, "CREATE USER 'three' IDENTIFIED BY 'Hidden-Three-3'; CREATE USER four IDENTIFIED BY 'Hidden-Four-4' 'Hidden-Five-5' )")
        .await;
    let of_secret = json!({"secret": {"name": "accounts", "key": "create.sql"}});
    let of_map = json!({"configMap": {"name": "scripts", "key": "a.sql"}});
    for source in [of_secret, of_map] {
        apply(&lab, json!({"sql": [source], "retries": {"limit": 0}})).await.expect("the spec is accepted");
        let ended = until(&lab, Phase::Failed, SOON).await;
        let text = serde_json::to_string(&ended.status).expect("JSON");
        assert!(!text.contains("Hidden"), "{text}");
        let status = ended.status.expect("a status");
        assert_eq!(status.done, 1, "{status:#?}");
        if status.statements[0].place.starts_with("Secret") {
            assert!(status.statements.iter().all(|statement| statement.text.is_none()), "{status:#?}");
        } else {
            assert_eq!(status.statements[0].text.as_deref(), Some("CREATE USER '…' IDENTIFIED BY '…'"));
        }
    }
    for event in lab.api::<Event>().list(&ListParams::default()).await.expect("Events are listed") {
        assert!(!serde_json::to_string(&event).expect("JSON").contains("Hidden"), "{event:?}");
    }
    assert!(!logs.text().contains("Hidden"));
}
