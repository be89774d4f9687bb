//! Configuration and variables read and changed while frontends run.

use std::time::Duration;

use super::conversations;
use crate::ask::Ask;
use crate::mysql::Login;
use crate::stage::Stage;

conversations![frontend_config, config_is_one_process, global_variables];

fn show(n: u8, key: &str) -> Ask {
    Ask::new(n, format!("ADMIN SHOW FRONTEND CONFIG LIKE '{key}'"))
}

async fn frontend_config(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    d.tell(show(0, "disable_balance").sorted()).await;
    d.tell(show(0, "meta_dir").hide("Value").sorted()).await;
    d.tell(show(0, "no_such").sorted()).await;
    d.sql(0, "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\")").await;
    d.tell(show(0, "disable_balance").sorted()).await;
    for pairs in [
        "\"disable_balance\" = \"maybe\"",
        "\"query_port\" = \"9031\"",
        "\"no_such\" = \"1\"",
        "\"max_running_txn_num_per_db\" = \"many\"",
        "\"disable_balance\" = \"false\", \"disable_tablet_scheduler\" = \"true\"",
    ] {
        d.sql(0, format!("ADMIN SET FRONTEND CONFIG ({pairs})")).await;
    }
    d.sql(0, "ADMIN SET ALL FRONTENDS CONFIG (\"disable_balance\" = \"true\")").await;
    d.tell(show(0, "disable_%balance%").sorted()).await;
    d.http(0, "/api/_set_config?disable_balance=false", Some("root"), true).await;
    d.http(0, "/api/_set_config?query_port=1", Some("root"), true).await;
    d.http(0, "/api/_set_config?disable_balance=false", None, true).await;
    d.stop(0).await;
    d.start(0).await;
    d.ready(0).await;
    d.tell(show(0, "disable_balance")).await;
}

/// A setting lives in the process it was given to, unless ALL is said.
async fn config_is_one_process(d: &mut Stage) {
    let short = |n, key| show(n, key).only(&["Key", "Value"]);
    d.cluster(2, 0).await;
    let Some(mut own) = d.session(1, Login::new("root", "")).await else { return };
    d.tell_on(&mut own, Ask::new(1, "SET forward_to_master = false")).await;
    d.sql(0, "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\")").await;
    d.tell(short(0, "disable_balance")).await;
    d.tell_on(&mut own, short(1, "disable_balance")).await;
    d.tell(short(1, "disable_balance")).await;
    d.sql(0, "ADMIN SET ALL FRONTENDS CONFIG (\"disable_tablet_scheduler\" = \"true\")").await;
    d.tell_on(&mut own, short(1, "disable_tablet_scheduler")).await;
    d.sql(1, "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"false\")").await;
    d.tell(short(0, "disable_balance")).await;
}

async fn global_variables(d: &mut Stage) {
    const SHOW: &str = "SHOW VARIABLES LIKE 'query_timeout'";
    d.cluster(2, 0).await;
    d.sql(0, "SET GLOBAL exec_mem_limit = 1").await;
    d.sql(0, "SET GLOBAL query_timeout = 77").await;
    d.until("the other knows", Duration::from_secs(20), async |d| d.shows(1, SHOW, "77").await).await;
    d.stop(1).await;
    d.start(1).await;
    d.ready(1).await;
    d.sql(1, SHOW).await;
}
