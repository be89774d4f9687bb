//! Masters die, quorums are lost and come back.

use std::time::Duration;

use tokio::time::sleep;

use super::conversations;
use crate::ask::Ask;
use crate::stage::{SOON, START, Stage};

conversations![
    master_ends_by_sigterm,
    master_ends_by_sigkill,
    quorum_lost_and_regained,
    two_followers_one_dies,
    master_alone_restarts_into_waiting,
];

const MINUTE: Duration = Duration::from_mins(1);
const WRITE: Duration = Duration::from_secs(30);

async fn master_ends_by_sigterm(d: &mut Stage) {
    d.cluster(3, 0).await;
    let Some(old) = founder(d).await else { return };
    d.stop(old).await;
    succession(d, old).await;
}

async fn master_ends_by_sigkill(d: &mut Stage) {
    d.cluster(3, 0).await;
    let Some(old) = founder(d).await else { return };
    d.kill(old).await;
    succession(d, old).await;
}

async fn founder(d: &mut Stage) -> Option<u8> {
    let old = d.master(&[0, 1, 2]).await;
    d.note("the founder is master", old);
    old
}

/// From a master's end until it is back as somebody else's follower.
async fn succession(d: &mut Stage, old: u8) {
    let rest: Vec<u8> = (0..3).filter(|n| *n != old).collect();
    d.until("a new master", MINUTE, async |d| d.master(&rest).await.is_some()).await;
    let Some(new) = d.master(&rest).await else { return };
    d.until("the dead one shows", MINUTE, async |d| d.alive(new, old).await == Some(false)).await;
    d.tell(Ask::new(new, "SHOW FRONTENDS").only(&["Host", "Role", "Join", "Alive"]).sorted()).await;
    d.until("writes work", WRITE, async |d| d.ask(new, "CREATE DATABASE IF NOT EXISTS after_election").await.is_ok()).await;
    let other = if rest[0] == new { rest[1] } else { rest[0] };
    d.until("the other sees the write", WRITE, async |d| d.shows(other, "SHOW DATABASES", "after_election").await).await;
    d.start(old).await;
    d.until("the old one is back as a follower", SOON, async |d| d.alive(new, old).await == Some(true)).await;
    let stays = d.master(&[0, 1, 2]).await == Some(new);
    d.note("the new master stays", stays);
}

async fn quorum_lost_and_regained(d: &mut Stage) {
    d.cluster(3, 0).await;
    d.sql(0, "CREATE DATABASE before_loss").await;
    sleep(Duration::from_secs(3)).await;
    d.kill(0).await;
    d.kill(1).await;
    sleep(Duration::from_secs(45)).await;
    let state = d.state(2);
    d.note("process of the last one", state);
    for sql in ["SELECT 1", "CREATE DATABASE during_loss", "SHOW FRONTENDS"] {
        d.sql(2, sql).await;
    }
    d.http(2, "/api/bootstrap", None, false).await;
    d.http(2, "/api/health", None, false).await;
    d.start(1).await;
    d.until("a master again", START, async |d| d.master(&[1, 2]).await.is_some()).await;
    let Some(master) = d.master(&[1, 2]).await else { return };
    d.until("writes work", WRITE, async |d| d.ask(master, "CREATE DATABASE IF NOT EXISTS after_loss").await.is_ok()).await;
    let mut found = Vec::new();
    for name in ["after_loss", "before_loss", "during_loss"] {
        if d.shows(master, "SHOW DATABASES", name).await {
            found.push(name);
        }
    }
    d.note("databases", found);
}

/// Two are worse than one: the survivor has no majority.
async fn two_followers_one_dies(d: &mut Stage) {
    d.cluster(2, 0).await;
    d.kill(1).await;
    sleep(Duration::from_secs(30)).await;
    let state = d.state(0);
    d.note("process of the master", state);
    d.sql(0, "SELECT 1").await;
    d.sql(0, "CREATE DATABASE alone").await;
}

/// One of three started alone waits; it neither serves nor exits.
async fn master_alone_restarts_into_waiting(d: &mut Stage) {
    d.cluster(3, 0).await;
    for n in [2, 1, 0] {
        d.kill(n).await;
    }
    d.start(0).await;
    sleep(Duration::from_secs(40)).await;
    let state = d.state(0);
    d.note("process", state);
    d.sql(0, "SELECT 1").await;
    d.http(0, "/api/bootstrap", None, true).await;
    d.start(1).await;
    d.until("two of three serve", START, async |d| d.master(&[0, 1]).await.is_some()).await;
}
