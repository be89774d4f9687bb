//! Frontends join, leave and come back.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use super::conversations;
use crate::ask::Ask;
use crate::mysql::Login;
use crate::stage::{SOON, Stage, cell};

conversations![
    join_waits_until_added,
    own_view_of_a_non_master,
    observer_joins,
    misuse,
    added_but_never_started,
    dropped_member_that_still_runs,
    member_that_lost_its_volume_rejoins_under_its_name,
    wiped_member_without_helper_founds_a_second_cluster,
];

const WHO: &[&str] = &["Host", "Role", "IsMaster", "Join", "Alive"];

fn who(n: u8) -> Ask {
    Ask::new(n, "SHOW FRONTENDS").only(WHO)
}

async fn pause(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

async fn join_waits_until_added(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    d.start_with(1, Some(0), &[]).await;
    pause(15).await;
    let (state, role) = (d.state(1), d.file(1, "image/ROLE"));
    d.note("process before ADD", state);
    d.note("ROLE file before ADD", role);
    d.sql(1, "SELECT 1").await;
    d.tell(who(0)).await;
    d.sql(0, format!("ALTER SYSTEM ADD FOLLOWER \"{}\"", Stage::fe(1))).await;
    d.tell(who(0).sorted()).await;
    d.until("joined", SOON, async |d| d.alive(0, 1).await == Some(true)).await;
    d.tell(who(0).sorted()).await;
    d.ready(1).await;
    d.tell(who(1).sorted()).await;
    d.http(1, "/api/bootstrap", None, true).await;
    let identity = |n| -> Vec<String> {
        let file = d.file(n, "image/VERSION");
        file.lines().filter(|line| line.starts_with("clusterId") || line.starts_with("token")).map(str::to_owned).collect()
    };
    let same = identity(0) == identity(1);
    d.note("same cluster id and token", same);
}

/// With forwarding off, a non-master tells what it knows itself; heartbeats are the master's alone.
async fn own_view_of_a_non_master(d: &mut Stage) {
    d.cluster(2, 0).await;
    pause(12).await;
    let Some(mut client) = d.session(1, Login::new("root", "")).await else { return };
    d.tell_on(&mut client, Ask::new(1, "SET forward_to_master = false")).await;
    let columns = ["Host", "Role", "IsMaster", "Join", "CurrentConnected"];
    d.tell_on(&mut client, Ask::new(1, "SHOW FRONTENDS").only(&columns).sorted()).await;
    d.tell_on(&mut client, Ask::new(1, "SHOW BACKENDS")).await;
    d.tell_on(&mut client, Ask::new(1, format!("ALTER SYSTEM DROP FOLLOWER \"{}\"", Stage::fe(0)))).await;
}

async fn observer_joins(d: &mut Stage) {
    d.cluster(1, 1).await;
    d.tell(Ask::new(0, "SHOW FRONTENDS").only(&[WHO, &["IsHelper"]].concat()).sorted()).await;
    d.tell(who(1).sorted()).await;
    d.http(1, "/api/bootstrap", None, true).await;
    d.sql(0, format!("ALTER SYSTEM DROP FOLLOWER \"{}\"", Stage::fe(1))).await;
    d.sql(0, format!("ALTER SYSTEM DROP OBSERVER \"{}\"", Stage::fe(1))).await;
    d.tell(who(0)).await;
}

async fn misuse(d: &mut Stage) {
    d.cluster(2, 0).await;
    let [a, b, c, stranger] = [0, 1, 2, 4].map(Stage::fe);
    let impossible_port = c.replace("9010", "99999");
    for change in [
        format!("ADD FOLLOWER \"{b}\""),
        format!("ADD OBSERVER \"{b}\""),
        format!("DROP FOLLOWER \"{a}\""),
        format!("DROP OBSERVER \"{b}\""),
        format!("DROP FOLLOWER \"{stranger}\""),
        format!("DROP OBSERVER \"{stranger}\""),
        "ADD FOLLOWER \"nohost\"".to_owned(),
        format!("ADD FOLLOWER \"{impossible_port}\""),
        "ADD FOLLOWER \"\"".to_owned(),
        "ADD FOLLOWERS \"x:1\"".to_owned(),
        format!("DECOMMISSION FOLLOWER \"{b}\""),
    ] {
        d.sql(0, format!("ALTER SYSTEM {change}")).await;
    }
    d.sql(1, format!("ALTER SYSTEM DROP FOLLOWER \"{a}\"")).await;
    d.sql(1, format!("ALTER SYSTEM DROP FOLLOWER \"{stranger}\"")).await;
    d.tell(who(0).sorted()).await;
}

async fn added_but_never_started(d: &mut Stage) {
    d.cluster(1, 0).await;
    d.sql(0, format!("ALTER SYSTEM ADD FOLLOWER \"{}\"", Stage::fe(1))).await;
    pause(12).await;
    let columns = [WHO, &["QueryPort", "RpcPort", "IsHelper", "CurrentConnected"]].concat();
    d.tell(Ask::new(0, "SHOW FRONTENDS").only(&columns).sorted()).await;
    d.sql(0, format!("ALTER SYSTEM DROP FOLLOWER \"{}\"", Stage::fe(1))).await;
    d.tell(who(0).sorted()).await;
}

async fn dropped_member_that_still_runs(d: &mut Stage) {
    d.cluster(3, 0).await;
    d.sql(0, format!("ALTER SYSTEM DROP FOLLOWER \"{}\"", Stage::fe(2))).await;
    d.tell(who(0).sorted()).await;
    pause(40).await;
    note_life(d, "process 40 s later").await;
    d.kill(2).await;
    d.start_with(2, Some(0), &[]).await;
    pause(25).await;
    note_life(d, "restarted with its old metadata: process 25 s later").await;
    d.tell(who(0).sorted()).await;
}

async fn note_life(d: &mut Stage, title: &str) {
    let state = d.state(2);
    d.note(title, state);
    let answers = d.ask(2, "SELECT 1").await.is_ok();
    d.note("it answers SQL", answers);
}

/// A follower with an empty directory and a helper takes its registered place again without any statement.
async fn member_that_lost_its_volume_rejoins_under_its_name(d: &mut Stage) {
    d.cluster(3, 0).await;
    let before = names(d).await;
    d.kill(2).await;
    d.wipe(2);
    d.start_with(2, Some(0), &[]).await;
    let back = async |d: &Stage| d.alive(0, 2).await == Some(true) && d.ask(2, "SELECT 1").await.is_ok();
    d.until("alive again", SOON, back).await;
    let unchanged = names(d).await == before;
    d.note("names unchanged", unchanged);
    d.tell(Ask::new(0, "SHOW FRONTENDS").only(&["Host", "Role", "Join", "Alive"]).sorted()).await;
}

async fn names(d: &Stage) -> BTreeMap<u8, Option<String>> {
    let rows = d.frontends(0).await;
    rows.iter().map(|(n, row)| (*n, cell(row, "Name").map(str::to_owned))).collect()
}

/// An accident that nothing in Doris prevents.
async fn wiped_member_without_helper_founds_a_second_cluster(d: &mut Stage) {
    d.cluster(3, 0).await;
    let first = d.file(0, "image/VERSION");
    d.kill(2).await;
    d.wipe(2);
    d.start(2).await;
    d.ready(2).await;
    d.tell(who(2).sorted()).await;
    let another = d.file(2, "image/VERSION") != first;
    d.note("another cluster id", another);
    pause(12).await;
    let rows = d.frontends(0).await;
    let told = rows.get(&2).map(|row| ["Join", "Alive", "ErrMsg"].map(|column| cell(row, column).unwrap_or_default().to_owned()));
    d.note("what the first cluster says of it", told.unwrap_or_default().to_vec());
}
