//! Running a plan.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::plan::{self, Plan};
use super::{Data, Read};
use crate::answer::SqlError;
use crate::be::{Fragment, Piece};
use crate::process::ProcessId;
use crate::state::{Reach, State};
use crate::world::World;

/// A query is planned again this often.
const RETRIES: usize = 3;

/// First rows of a streaming query go out after this part of its time.
const FIRST_ROWS: u32 = 10;

/// How a try ended.
enum Failed {
    /// A backend did not answer: whether rows were sent by then.
    Call { backend: u64, text: String, rows_sent: bool },
    /// Another try would end in the same way.
    Final(SqlError),
}

/// Counts a query among those that run on a frontend.
struct Running {
    world: World,
    frontend: ProcessId,
}

impl Running {
    fn begin(world: &World, frontend: ProcessId) -> Self {
        if let Some(fe) = world.state().fe_mut(frontend) {
            fe.workload.running += 1;
        }
        Self { world: world.clone(), frontend }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(fe) = self.world.state().fe_mut(self.frontend) {
            fe.workload.running = fe.workload.running.saturating_sub(1);
        }
    }
}

/// Runs a query; the number of rows that it read.
pub(crate) async fn run(world: &World, id: ProcessId, read: &Read, query: &str) -> Result<u64, SqlError> {
    let _running = Running::begin(world, id);
    let mut tries = 0;
    loop {
        let plan = {
            let mut state = world.state();
            let fe = state.fe_mut(id).ok_or(SqlError::Lost)?;
            fe.workload.turn += 1;
            let turn = fe.workload.turn;
            plan::plan(fe, read, turn)
        };
        let failed = match plan {
            Ok(plan) => match attempt(world, id, &plan, read, query).await {
                Ok(rows) => return Ok(rows),
                Err(failed) => failed,
            },
            Err(error) => Failed::Final(error),
        };
        let error = match failed {
            Failed::Final(error) => error,
            Failed::Call { backend, text, rows_sent } => {
                let mut state = world.state();
                if let Some(fe) = state.fe_mut(id) {
                    fe.ban(backend, &text);
                }
                tries += 1;
                if !rows_sent && tries <= RETRIES {
                    continue;
                }
                SqlError::bare(1105, "HY000", format!("RpcException, msg: {text}"))
            }
        };
        if let Some(fe) = world.state().fe_mut(id) {
            fe.workload.failed += 1;
        }
        return Err(error);
    }
}

/// A backend that takes part.
struct Part {
    backend: u64,
    host: String,
    process: ProcessId,
    _piece: Piece,
}

async fn attempt(world: &World, id: ProcessId, plan: &Plan, read: &Read, query: &str) -> Result<u64, Failed> {
    let mut parts = Vec::new();
    for backend in plan.keys() {
        parts.push(send(world, id, *backend, query).await?);
    }
    check_versions(&world.state(), plan, &parts)?;
    let duration = read.duration.unwrap_or(world.state().timing.query);
    wait(world, id, &parts, duration, read.streams).await?;
    let state = world.state();
    check_versions(&state, plan, &parts)?;
    if !matches!(read.source, Data::Table { .. }) {
        return Ok(1);
    }
    let rows = parts.iter().flat_map(|part| plan.get(&part.backend).into_iter().flatten().map(move |scan| (part.process, scan.tablet)));
    Ok(rows.filter_map(|(process, tablet)| state.be(process)?.stored(tablet)).map(|stored| stored.rows).sum())
}

/// Hands a backend its part.
async fn send(world: &World, id: ProcessId, backend: u64, query: &str) -> Result<Part, Failed> {
    let (reach, host, frontend, now, patience) = {
        let state = world.state();
        let gone = || Failed::Final(SqlError::Lost);
        let fe = state.fe(id).ok_or_else(gone)?;
        let row = fe.catalog.backends.get(&backend).ok_or_else(gone)?;
        let reach = u16::try_from(row.brpc_port).map_or(Reach::Refused, |port| state.reach_host(id, &row.host, port));
        (reach, row.host.clone(), fe.host.clone(), state.clock.now_ms(), state.timing.rpc)
    };
    let failed = |cause: &str| Failed::Call { backend, text: format!("send fragments failed. {cause}, host: {host}"), rows_sent: false };
    let process = match reach {
        Reach::Open(process) => process,
        Reach::Silent => {
            sleep(patience).await;
            return Err(failed("io.grpc.StatusRuntimeException: DEADLINE_EXCEEDED"));
        }
        _ => return Err(failed("io.grpc.StatusRuntimeException: UNAVAILABLE: io exception")),
    };
    let fragment = Fragment { query: query.to_owned(), frontend, since_ms: now };
    let piece =
        Piece::query(world, process, fragment).ok_or_else(|| failed("io.grpc.StatusRuntimeException: UNAVAILABLE: io exception"))?;
    Ok(Part { backend, host, process, _piece: piece })
}

/// A backend that has not what the frontend believes it has ends the query.
fn check_versions(state: &State, plan: &Plan, parts: &[Part]) -> Result<(), Failed> {
    for part in parts {
        let Some(be) = state.be(part.process) else { continue };
        for scan in plan.get(&part.backend).into_iter().flatten() {
            let reason = match be.stored(scan.tablet) {
                None => format!("failed to get tablet: {}, reason: tablet does not exist", scan.tablet),
                Some(stored) if stored.version < scan.version => {
                    format!(
                        "failed to initialize storage reader. tablet={}, res=[INTERNAL_ERROR]version {} is missed",
                        scan.tablet, scan.version
                    )
                }
                Some(_) => continue,
            };
            return Err(Failed::Final(SqlError::detail(format!("({})[CANCELLED]{reason}", part.host))));
        }
    }
    Ok(())
}

/// Waits for the end, or for the loss of somebody who takes part.
async fn wait(world: &World, id: ProcessId, parts: &[Part], duration: Duration, streams: bool) -> Result<(), Failed> {
    let mut changes = world.changes();
    let start = Instant::now();
    let end = start + duration;
    loop {
        changes.borrow_and_update();
        let rows_sent = streams && start.elapsed() >= duration / FIRST_ROWS;
        let complete = {
            let state = world.state();
            for part in parts {
                if let Some(text) = lost(&state, id, part) {
                    return Err(Failed::Call { backend: part.backend, text, rows_sent });
                }
            }
            parts.iter().all(|part| state.hears(id, part.process))
        };
        if Instant::now() >= end && complete {
            return Ok(());
        }
        // After its time a query only waits for backends that are silent; a heartbeat tells when they are given up.
        let next = if Instant::now() >= end { Instant::now() + Duration::from_secs(60) } else { end };
        drop(timeout_at(next, changes.changed()).await);
    }
}

fn lost(state: &State, id: ProcessId, part: &Part) -> Option<String> {
    if !state.is_running(part.process) {
        return Some(format!("rpc failed: Network closed, host: {}", part.host));
    }
    let row = state.fe(id)?.catalog.backends.get(&part.backend);
    let dead = row.is_none_or(|row| !row.alive);
    // The catalog may still show it dead from before it came; only silence makes that count.
    (dead && !state.hears(id, part.process)).then(|| format!("backend {} is down, cancel query, host: {}", part.backend, part.host))
}
