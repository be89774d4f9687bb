//! How a backend ends when it is asked to.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::process::ProcessId;
use crate::world::World;

/// Status after SIGTERM.
const TERMINATED: i32 = 143;

/// Ends a backend as its version does.
pub(crate) async fn stop(world: World, id: ProcessId) {
    let (version, timing, started, grace) = {
        let mut state = world.state();
        let (timing, started) = (state.timing.clone(), state.procs.get(&id).map_or_else(Instant::now, |proc| proc.started));
        let Some(be) = state.be_mut(id) else { return };
        be.work.stopping = true;
        (be.version, timing, started, Duration::from_secs(be.number("grace_shutdown_wait_seconds")))
    };
    if version.from_line(2, 1) {
        sleep_until(next_look(started, timing.stop_check)).await;
        world.awake(id).await;
        queries_end(&world, id, grace).await;
        if version.from_line(4, 1) {
            world.sleep(id, timing.post_stop_delay).await;
        }
        world.sleep(id, timing.terminate).await;
    } else {
        world.sleep(id, timing.old_backend_stop).await;
    }
    world.state().exit(id, TERMINATED);
}

/// The process looks at its flag at fixed moments, counted from its start.
fn next_look(started: Instant, period: Duration) -> Instant {
    let period = period.max(Duration::from_millis(1));
    let looks = started.elapsed().as_millis() / period.as_millis() + 1;
    started + period * u32::try_from(looks).unwrap_or(u32::MAX)
}

/// Waits for running queries, not for loads. Those that come meanwhile are taken; without any it goes on at once.
async fn queries_end(world: &World, id: ProcessId, grace: Duration) {
    let mut changes = world.changes();
    let deadline = Instant::now() + grace;
    loop {
        changes.borrow_and_update();
        let busy = world.state().be(id).is_some_and(|be| !be.work.fragments.is_empty());
        if !busy || Instant::now() >= deadline {
            return;
        }
        // Past the deadline the queries are given up.
        drop(timeout_at(deadline, changes.changed()).await);
    }
}
