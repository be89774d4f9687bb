//! How long nobody works when one controller's process follows another.

use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use tokio::time::{Instant, sleep};

use super::clusters::do_damage;
use super::server::Server;
use super::tally::totals;
use crate::demo::ControllerProcess;

/// How often is looked for the first write.
const LOOK: Duration = Duration::from_millis(20);
/// How long it is waited for.
const LIMIT: Duration = Duration::from_mins(5);

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is asked to, and gives its Lease up.
    Asked,
    /// It is killed.
    Killed,
}

/// Ends one process, does damage to the cluster of an index, and starts another. Tells how long after the first one's end the second
/// one sent its first write.
pub async fn follow(
    server: &Server,
    client: &Client,
    former: ControllerProcess,
    end: End,
    index: usize,
    next: impl AsyncFnOnce() -> anyhow::Result<ControllerProcess>,
) -> anyhow::Result<(ControllerProcess, Option<Duration>)> {
    let began = Instant::now();
    match end {
        End::Asked => former.stop().await?,
        End::Killed => former.kill().await?,
    }
    do_damage(client, index).await?;
    let before = server.counts()?.map(|counts| totals(&counts).writes);
    let next = next().await?;
    let Some(before) = before else { return Ok((next, None)) };
    loop {
        let writes = server.counts()?.map_or(0, |counts| totals(&counts).writes);
        if writes > before {
            return Ok((next, Some(began.elapsed())));
        }
        if began.elapsed() > LIMIT {
            return Err(anyhow::anyhow!("the next process wrote nothing for {} s", LIMIT.as_secs()))
                .with_context(|| format!("log of the controller:\n{}", next.tail()));
        }
        sleep(LOOK).await;
    }
}
