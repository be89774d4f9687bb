//! Backends and brokers as a frontend keeps them; none of them runs here.

use std::time::Duration;

use tokio::time::sleep;

use super::conversations;
use crate::ask::Ask;
use crate::stage::Stage;

conversations![registered_but_down, decommission_of_a_backend_that_never_lived, decommission_keeps_the_backend_when_told_so, brokers,];

async fn registered_but_down(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    let [a, b, c] = [0, 1, 2].map(Stage::be);
    let impossible_port = c.replace("9050", "99999");
    for what in [
        format!("\"{a}\""),
        format!("\"{a}\""),
        format!("\"{b}\", \"{a}\""),
        format!("\"{b}\" PROPERTIES (\"tag.location\" = \"rack_1\")"),
        "\"nohost\"".to_owned(),
        format!("\"{impossible_port}\""),
        format!("\"{c}\" PROPERTIES (\"tag.location\" = \"bad tag!\")"),
    ] {
        d.sql(0, format!("ALTER SYSTEM ADD BACKEND {what}")).await;
    }
    // A round of heartbeats passes.
    sleep(Duration::from_secs(12)).await;
    let columns = ["Host", "HeartbeatPort", "Alive", "SystemDecommissioned", "Tag", "NodeRole", "TabletNum"];
    d.tell(Ask::new(0, "SHOW BACKENDS").only(&columns)).await;
    d.tell(Ask::new(0, "SHOW BACKENDS").no_rows()).await;
    d.tell(Ask::new(0, "SHOW PROC '/backends'").no_rows()).await;
    for (member, change) in [
        (&a, "\"tag.location\" = \"rack_2\""),
        (&a, "\"disable_query\" = \"true\", \"disable_load\" = \"true\""),
        (&c, "\"disable_query\" = \"true\""),
        (&a, "\"no_such\" = \"1\""),
    ] {
        d.sql(0, format!("ALTER SYSTEM MODIFY BACKEND \"{member}\" SET ({change})")).await;
    }
    d.tell(Ask::new(0, "SHOW BACKENDS").no_rows()).await;
    for statement in [
        format!("ALTER SYSTEM DROP BACKEND \"{a}\""),
        format!("ALTER SYSTEM DECOMMISSION BACKEND \"{c}\""),
        format!("CANCEL DECOMMISSION BACKEND \"{a}\""),
        format!("ALTER SYSTEM DROPP BACKEND \"{c}\""),
        format!("ALTER SYSTEM DROPP BACKEND \"{a}\""),
    ] {
        d.sql(0, statement).await;
    }
    d.tell(Ask::new(0, "SHOW BACKENDS").only(&["Host", "Alive", "SystemDecommissioned"])).await;
}

/// Nothing is on it, yet the frontend does not drop it by itself: it cannot ask it.
async fn decommission_of_a_backend_that_never_lived(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    let backend = Stage::be(0);
    d.sql(0, format!("ALTER SYSTEM ADD BACKEND \"{backend}\"")).await;
    d.sql(0, format!("ALTER SYSTEM DECOMMISSION BACKEND \"{backend}\"")).await;
    d.sql(0, format!("ALTER SYSTEM DECOMMISSION BACKEND \"{backend}\"")).await;
    let gone = async |d: &Stage| d.ask(0, "SHOW BACKENDS").await.is_ok_and(|rows| rows.is_empty());
    d.until("dropped by itself", Duration::from_mins(1), gone).await;
    d.sql(0, format!("CANCEL DECOMMISSION BACKEND \"{backend}\"")).await;
}

async fn decommission_keeps_the_backend_when_told_so(d: &mut Stage) {
    d.start_with(0, None, &[("drop_backend_after_decommission", "false")]).await;
    d.ready(0).await;
    let backend = Stage::be(0);
    d.sql(0, format!("ALTER SYSTEM ADD BACKEND \"{backend}\"")).await;
    d.sql(0, format!("ALTER SYSTEM DECOMMISSION BACKEND \"{backend}\"")).await;
    // It would have been dropped by then.
    sleep(Duration::from_secs(25)).await;
    let columns = ["Host", "SystemDecommissioned"];
    d.tell(Ask::new(0, "SHOW BACKENDS").only(&columns)).await;
    d.sql(0, format!("CANCEL DECOMMISSION BACKEND \"{backend}\"")).await;
    d.tell(Ask::new(0, "SHOW BACKENDS").only(&columns)).await;
}

async fn brokers(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    for change in [
        "ADD BROKER hdfs \"10.255.0.1:8000\", \"10.255.0.2:8000\"",
        "ADD BROKER hdfs \"10.255.0.1:8000\"",
        "DROP BROKER hdfs \"10.255.0.2:8000\"",
        "DROP BROKER hdfs \"10.255.0.9:8000\"",
        "DROP BROKER nosuch \"10.255.0.1:8000\"",
    ] {
        d.sql(0, format!("ALTER SYSTEM {change}")).await;
    }
    d.tell(Ask::new(0, "SHOW BROKER").only(&["Name", "Host", "Port", "Alive"])).await;
    d.sql(0, "ALTER SYSTEM DROP ALL BROKER hdfs").await;
    d.sql(0, "SHOW BROKER").await;
}
