//! A first frontend on an empty metadata directory.

use super::conversations;
use crate::ask::Ask;
use crate::mysql::Login;
use crate::stage::Stage;

conversations![fresh_frontend, fresh_frontend_by_address, variables_that_clients_ask_for, restart_needs_no_helper];

async fn fresh_frontend(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    d.http(0, "/api/bootstrap", None, true).await;
    d.http(0, "/api/health", None, true).await;
    for sql in ["SHOW FRONTENDS", "SHOW BACKENDS", "SHOW BROKER"] {
        d.sql(0, sql).await;
    }
    d.tell(Ask::new(0, "SHOW DATABASES").sorted()).await;
    let role = d.file(0, "image/ROLE");
    let role = role.lines().filter(|line| line.contains('=')).map(|line| line.split('_').next().unwrap_or_default());
    d.note("ROLE file", role.collect::<Vec<_>>());
    let version = d.file(0, "image/VERSION");
    d.note("keys of the VERSION file", version.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect::<Vec<_>>());
    let state = d.state(0);
    d.note("process", state);
}

/// Without FQDN mode the member is known by its address.
async fn fresh_frontend_by_address(d: &mut Stage) {
    let network = format!("{}/32", d.ip(0));
    d.start_with(0, None, &[("enable_fqdn_mode", "false"), ("priority_networks", &network)]).await;
    d.ready(0).await;
    d.tell(Ask::new(0, "SHOW FRONTENDS").only(&["Host", "Role", "IsMaster", "Join", "Alive", "IsHelper"])).await;
}

async fn variables_that_clients_ask_for(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    for sql in [
        "SELECT @@max_allowed_packet, @@wait_timeout",
        "SELECT CURRENT_USER()",
        "SELECT USER()",
        "SELECT 1",
        "SELECT @@autocommit, @@sql_mode",
        "SHOW VARIABLES LIKE 'lower_case_table_names'",
        "SET NAMES utf8mb4",
        "SET autocommit = 1",
        "SELECT @@no_such_variable",
        "SET no_such_variable = 1",
    ] {
        d.sql(0, sql).await;
    }
    d.tell(Ask::new(0, "SHOW VARIABLES LIKE 'version%'").no_rows()).await;
    d.tell(Ask::new(0, "SELECT @@version_comment").no_rows()).await;
    for sql in ["", "SELEC 1", "SELECT * FROM no_such_db.t", "USE no_such_db"] {
        d.sql(0, sql).await;
    }
    let Some(client) = d.session(0, Login::new("root", "")).await else { return };
    let greeting = client.greeting;
    d.note("greeting: protocol, plugin, collation", serde_json::json!([greeting.protocol, greeting.plugin, greeting.collation]));
    d.note("greeting: capabilities", format!("{:#x}", greeting.capabilities));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let version = greeting.version.split('-').next().unwrap_or_default();
    let looks: Vec<_> = version.split('.').map(|part| if number(part) { "N" } else { part }).collect();
    d.note("greeting: version looks like", looks.join("."));
}

async fn restart_needs_no_helper(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    let identity = d.file(0, "image/VERSION");
    d.stop(0).await;
    let state = d.state(0);
    d.note("exit after SIGTERM", state);
    d.start(0).await;
    d.ready(0).await;
    let same = d.file(0, "image/VERSION") == identity;
    d.note("same identity", same);
    d.kill(0).await;
    let state = d.state(0);
    d.note("exit after SIGKILL", state);
    d.start_with(0, Some(0), &[]).await;
    d.ready(0).await;
    let same = d.file(0, "image/VERSION") == identity;
    d.note("same identity when it is its own helper", same);
    d.tell(Ask::new(0, "SHOW FRONTENDS").only(&["Host", "Role", "IsMaster", "Join", "Alive"])).await;
}
