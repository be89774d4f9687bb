//! What a master does by itself: timestamps, heartbeats, checkpoints, tablets.

use std::time::Duration;

use super::{beats, journal};
use crate::alter;
use crate::be::internal_schema;
use crate::catalog::Op;
use crate::clone::{self, decommission, expired};
use crate::load::{late, overdue};
use crate::process::ProcessId;
use crate::snapshot;
use crate::world::World;

/// Starts the daemons of a new master.
pub(super) fn start(world: &World, id: ProcessId) {
    world.spawn(id, timestamps(world.clone(), id));
    world.spawn(id, heartbeats(world.clone(), id));
    world.spawn(id, internal(world.clone(), id));
    world.spawn(id, tablets(world.clone(), id));
    world.spawn(id, housekeeping(world.clone(), id));
    world.spawn(id, jobs(world.clone(), id));
    checkpoint(world, id);
}

async fn timestamps(world: World, id: ProcessId) {
    let (period, offset) = {
        let mut state = world.state();
        let period = state.timing.timestamp;
        let part = state.rng.u32(0..1000);
        (period, period * part / 1000)
    };
    world.sleep(id, offset).await;
    loop {
        let now = world.now_ms();
        journal::write(&world, id, Op::Timestamp(now)).await;
        world.sleep(id, period).await;
    }
}

async fn heartbeats(world: World, id: ProcessId) {
    loop {
        let (op, period) = {
            let mut state = world.state();
            let op = beats::beat(&mut state, id);
            let Some(fe) = state.fe(id) else { return };
            let configured = Duration::from_secs(fe.settings.number("heartbeat_interval_second").max(1));
            (op, state.timing.heartbeat.unwrap_or(configured))
        };
        if let Some(op) = op {
            journal::write(&world, id, op).await;
        }
        world.state().bump();
        world.sleep(id, period).await;
    }
}

/// The database of statistics and audits: late, since its tables need backends.
async fn internal(world: World, id: ProcessId) {
    let (delay, period) = {
        let state = world.state();
        (state.timing.internal_schema, state.timing.decommission_check)
    };
    world.sleep(id, delay).await;
    loop {
        let ops = internal_schema(&mut world.state(), id);
        for op in ops {
            journal::write(&world, id, op).await;
        }
        world.sleep(id, period).await;
    }
}

/// The tablet scheduler: as often as it has something to do.
async fn tablets(world: World, id: ProcessId) {
    let first = world.state().timing.tablet_check;
    world.sleep(id, first).await;
    loop {
        let (ops, pause) = clone::round(&mut world.state(), id);
        for op in ops {
            journal::write(&world, id, op).await;
        }
        world.sleep(id, pause).await;
    }
}

/// What a master looks after now and then: emptied backends, dropped tables, loads that hang.
async fn housekeeping(world: World, id: ProcessId) {
    let period = world.state().timing.decommission_check;
    loop {
        world.sleep(id, period).await;
        let rounds = {
            let state = world.state();
            [overdue(&state, id), late(&state, id), expired(&state, id)]
        };
        let emptied = decommission(&mut world.state(), id);
        for op in rounds.into_iter().flatten().chain(emptied) {
            journal::write(&world, id, op).await;
        }
    }
}

/// Backups and restores, and changes of tables.
async fn jobs(world: World, id: ProcessId) {
    let period = world.state().timing.job_round;
    loop {
        world.sleep(id, period).await;
        snapshot::round(&world, id).await;
        let ops = alter::round(&mut world.state(), id);
        for op in ops {
            journal::write(&world, id, op).await;
        }
    }
}

/// Writes an image of what the journal before this master held, hands it out and cleans up.
fn checkpoint(world: &World, id: ProcessId) {
    let mut state = world.state();
    let now = state.clock.now_ms();
    let Some(fe) = state.fe(id) else { return };
    let databases = fe.bdb.as_ref().map(|bdb| bdb.log.databases()).unwrap_or_default();
    let Some((first, _)) = databases.last().filter(|_| databases.len() > 1) else { return };
    let last = first - 1;
    let mut catalog = fe.load_image().filter(|(image, _)| *image <= last).unwrap_or_default();
    let Some(log) = fe.bdb.as_ref().map(|bdb| &bdb.log) else { return };
    log.journals_after(catalog.0).take_while(|(journal, _)| *journal <= last).for_each(|(_, op)| catalog.1.apply(op));
    // An image is of its writer's version, whatever it tells of.
    catalog.1.meta_version = fe.version.meta_version();
    let Ok(content) = serde_json::to_vec(&catalog.1) else { return };
    let rows: Vec<_> = fe.catalog.frontends.iter().map(|row| (row.name.clone(), row.host.clone())).collect();
    let (own, http_port) = (fe.name.clone(), fe.http_port);
    if fe.write_image(last, &content).is_err() {
        return;
    }
    let mut taken = 1;
    for (name, host) in rows.iter().filter(|(name, _)| *name != own) {
        let crate::state::Reach::Open(peer) = state.reach_host(id, host, http_port) else { continue };
        let Some(other) = state.fe(peer).filter(|other| other.name == *name) else { continue };
        taken += usize::from(other.write_image(last, &content).is_ok());
    }
    let everyone = taken == rows.len();
    let Some(fe) = state.fe_mut(id) else { return };
    fe.checkpoint = (last, now);
    let meta = fe.meta.clone();
    if let Some(bdb) = fe.bdb.as_mut().filter(|_| everyone) {
        bdb.log.clean_databases(last);
        bdb.log.clean(last);
        // A disk that refuses keeps the longer log, which is just as good.
        drop(bdb.log.rewrite(&meta));
    }
}
