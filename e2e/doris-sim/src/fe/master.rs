//! Becoming the master.

use super::{FeType, duties, journal};
use crate::bdb::Entry;
use crate::catalog::{Identity, MasterInfo, Op};
use crate::clone::Scheduler;
use crate::process::ProcessId;
use crate::world::World;

const LISTENER: &str = "INFO (stateListener|100) ";

/// From the won election until writes are accepted.
pub(crate) async fn take_over(world: World, id: ProcessId) {
    let (take_over, daemons, lock) = {
        let mut state = world.state();
        state.log(id, "WARN (MASTER|13) [Env.notifyNewFETypeTransfer():2807] ", "notify new FE type transfer: MASTER");
        let timing = (state.timing.take_over, state.timing.daemons);
        let Some(fe) = state.fe_mut(id) else { return };
        fe.ready = false;
        fe.lost_at = None;
        fe.unready.clear();
        fe.scheduler = Scheduler::default();
        fe.snapshots.clear();
        fe.alters.clear();
        fe.progress = "open editlog";
        (timing.0, timing.1, fe.journal.clone())
    };
    let turn = lock.lock().await;
    world.sleep(id, take_over / 2).await;
    fence(&world, id).await;
    world.sleep(id, take_over / 2).await;
    if !replay(&world, id) {
        return;
    }
    announce(&world, id).await;
    drop(turn);
    set_progress(&world, id, "start daemon threads");
    initial_root_password(&world, id).await;
    world.sleep(id, daemons).await;
    finish(&world, id);
    duties::start(&world, id);
}

fn set_progress(world: &World, id: ProcessId, progress: &'static str) {
    if let Some(fe) = world.state().fe_mut(id) {
        fe.progress = progress;
    }
}

/// Raises the epoch; a majority has to know it before anything else is written.
async fn fence(world: &World, id: ProcessId) {
    let (epoch, empty, next) = {
        let mut state = world.state();
        let Some(log) = state.fe(id).and_then(|fe| fe.bdb.as_ref()).map(|bdb| &bdb.log) else { return };
        let found = (log.epoch() + 1, log.databases().is_empty(), log.last_journal() + 1);
        if found.1 {
            state.log(id, "INFO (MASTER|13) [BDBJEJournal.open():532] ", "the very first time to open bdb, dbname is 1");
        }
        state.log(id, &format!("{LISTENER}[BDBHA.fencing():79] "), &format!("start fencing, epoch number is {}", found.0));
        found
    };
    journal::write_in_turn(world, id, Entry::Epoch(epoch)).await;
    if empty {
        journal::write_in_turn(world, id, Entry::Roll(next)).await;
    }
}

/// Replays the rest; ends the process when the cluster does not know this node.
fn replay(world: &World, id: ProcessId) -> bool {
    let mut state = world.state();
    let Some(fe) = state.fe_mut(id) else { return false };
    fe.progress = "replay journal";
    fe.replay(u64::MAX);
    if !crate::bdb::end_if_foreign(&mut state, id) {
        return false;
    }
    let Some(fe) = state.fe(id) else { return false };
    let (host, port, role, first, recovery) = (fe.host.clone(), fe.edit_log_port, fe.role, fe.first_start, fe.recovery);
    let known = fe.catalog.frontend_at(&host, port).is_some_and(|row| row.role == role);
    state.log(id, &format!("{LISTENER}[Env.transferToMaster():1560] "), "finish replay in 1 msec");
    if known || first || recovery {
        return true;
    }
    let text = format!(
        "current node {host}:{port} is not added to the cluster, will exit. Your FE IP maybe changed, please set 'priority_networks' config in fe.conf properly."
    );
    state.log(id, "ERROR (stateListener|13) [Env.checkCurrentNodeExist():1978] ", &text);
    state.exit(id, 255);
    false
}

/// Writes who the master is, and on the first start that there is one.
async fn announce(world: &World, id: ProcessId) {
    let (ops, roll, info) = {
        let mut state = world.state();
        let Some(fe) = state.fe_mut(id) else { return };
        fe.progress = "roll editlog";
        let info = MasterInfo { host: fe.host.clone(), http_port: fe.http_port, rpc_port: fe.rpc_port };
        let mut ops = Vec::new();
        if fe.first_start {
            let mut own = crate::catalog::Frontend::new(fe.name.clone(), fe.host.clone(), fe.edit_log_port, fe.role);
            own.alive = true;
            ops.push(Op::AddFrontend(own));
        }
        ops.extend([Op::MetaVersion(fe.version.meta_version()), Op::Master(info.clone())]);
        let last = fe.bdb.as_ref().map_or(0, |bdb| bdb.log.last_journal());
        (ops, (!fe.first_start).then_some(last + 1), info)
    };
    if let Some(first) = roll {
        journal::write_in_turn(world, id, Entry::Roll(first)).await;
        set_progress(world, id, "log master info");
    }
    for op in ops {
        journal::write_in_turn(world, id, Entry::Journal { id: 0, op }).await;
    }
    let mut state = world.state();
    let text = format!("logMasterInfo:MasterInfo: host={} httpPort={} rpcPort={}", info.host, info.http_port, info.rpc_port);
    state.log(id, &format!("{LISTENER}[Env.transferToMaster():1659] "), &text);
    if let Some(fe) = state.fe_mut(id) {
        fe.first_start = false;
    }
    state.bump();
}

/// `initial_root_password` counts once in a cluster's life, and only in one form.
async fn initial_root_password(world: &World, id: ProcessId) {
    let hash = {
        let mut state = world.state();
        let Some(fe) = state.fe(id) else { return };
        let value = fe.settings.get("initial_root_password").to_owned();
        let fresh = fe.catalog.user(&Identity::new("root", "%")).is_some_and(|root| root.password.is_empty());
        // The journal of a cluster that was just founded holds nothing but this node, its master and their version.
        if value.is_empty() || !fresh || fe.applied > 3 {
            return;
        }
        let Some(hash) = decode(&value) else {
            let text = format!("initial_root_password [{value}] is not valid 2-staged SHA-1 encrypted, ignore it");
            state.log(id, "WARN (stateListener|13) [Auth.setInitialRootPassword():1619] ", &text);
            return;
        };
        hash
    };
    journal::write(world, id, Op::SetPassword { user: Identity::new("root", "%"), hash }).await;
}

/// Bytes of `*` and 40 hexadecimal digits.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix('*').filter(|digits| digits.len() == 40 && digits.is_ascii())?;
    (0..20).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()).collect()
}

fn finish(world: &World, id: ProcessId) {
    let mut state = world.state();
    let Some(fe) = state.fe_mut(id) else { return };
    fe.kind = FeType::Master;
    fe.ready = true;
    fe.progress = "finished";
    let text = "master finished to replay journal, can write now.";
    let place = format!("{LISTENER}[Env.transferToMaster():1684] ");
    state.log(id, &place, text);
    state.log(id, &format!("{LISTENER}[Env$5.runOneCycle():2917] "), "finished to transfer FE type to MASTER");
    state.bump();
}
