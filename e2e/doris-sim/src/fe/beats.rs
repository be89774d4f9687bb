//! The master's heartbeats.

use super::Seen;
use crate::catalog::{BackendBeat, BrokerBeat, FrontendBeat, Op};
use crate::process::ProcessId;
use crate::state::{Reach, State};

/// Asks everyone once; the journal entry that tells what changed.
pub(super) fn beat(state: &mut State, id: ProcessId) -> Option<Op> {
    let frontends = frontends(state, id)?;
    let backends = backends(state, id)?;
    let brokers = brokers(state, id)?;
    let any = !frontends.is_empty() || !backends.is_empty() || !brokers.is_empty();
    any.then_some(Op::Heartbeat { frontends, backends, brokers })
}

fn frontends(state: &mut State, id: ProcessId) -> Option<Vec<FrontendBeat>> {
    let rows = state.fe(id)?.catalog.frontends.clone();
    let now = state.clock.now_ms();
    let mut beats = Vec::new();
    for row in rows {
        let answer = ask_frontend(state, id, &row.name, &row.host);
        let fe = state.fe_mut(id)?;
        let seen = fe.frontends_seen.entry(row.name.clone()).or_default();
        match answer {
            Ok((beat, start_ms, version)) => {
                *seen = Seen { start_ms, beat_ms: now, version: Some(version), ..Seen::default() };
                if !row.alive {
                    clear_unready(fe, &row.name);
                }
                beats.push(beat);
            }
            Err(error) => {
                seen.error = error;
                if row.alive {
                    beats.push(FrontendBeat { name: row.name, alive: false, query_port: 0, rpc_port: 0, arrow_port: 0, replayed: 0 });
                }
            }
        }
    }
    Some(beats)
}

/// The first good heartbeat of an added follower: from now on it counts in the majority.
fn clear_unready(fe: &mut super::Fe, name: &str) {
    if fe.unready.remove(name) {
        let followers = fe.catalog.followers();
        let left = fe.unready.len();
        if let Some(bdb) = fe.bdb.as_mut() {
            bdb.size_override = (left > 0).then(|| followers.saturating_sub(left));
        }
    }
}

/// Asks whoever answers HTTP at a registered host; its name is not asked for.
fn ask_frontend(state: &State, id: ProcessId, name: &str, host: &str) -> Result<(FrontendBeat, i64, String), String> {
    let own = state.fe(id).ok_or("gone")?;
    let (peer, other) = if name == own.name {
        (id, own)
    } else {
        let reach = state.reach_host(id, host, own.http_port);
        let Reach::Open(peer) = reach else { return Err(reach.java(host)) };
        (peer, state.fe(peer).ok_or("java.net.ConnectException: Connection refused")?)
    };
    if other.cluster_id != own.cluster_id {
        return Err(format!("invalid cluster id: {}", other.cluster_id));
    }
    if other.token != own.token {
        return Err(format!("invalid token: {}", own.token));
    }
    if !other.is_ready() {
        return Err("not ready".to_owned());
    }
    let beat = FrontendBeat {
        name: name.to_owned(),
        alive: true,
        query_port: other.query_port,
        rpc_port: other.rpc_port,
        arrow_port: other.version.arrow_port().unwrap_or(0),
        replayed: if peer == id { other.applied } else { other.replayed },
    };
    let started = state.procs.get(&peer).map_or(0, |proc| proc.started_ms);
    Ok((beat, started, other.version.build()))
}

fn backends(state: &mut State, id: ProcessId) -> Option<Vec<BackendBeat>> {
    let rows: Vec<_> = state.fe(id)?.catalog.backends.values().cloned().collect();
    let tolerance = state.fe(id)?.settings.number("max_backend_heartbeat_failure_tolerance_count");
    let now = state.clock.now_ms();
    let mut beats = Vec::new();
    for row in rows {
        let answer = crate::be::ask(state, id, &row);
        let fe = state.fe_mut(id)?;
        let seen = fe.backends_seen.entry(row.id).or_default();
        match answer {
            Ok((beat, told)) => {
                let restarted = row.start_ms != beat.start_ms || row.version != beat.version;
                let changed = !row.alive || restarted || row.role != beat.role || row.stopping != beat.stopping;
                (seen.beat_ms, seen.failures, seen.memory, seen.connected) = (now, 0, told.memory, true);
                seen.fragments_ms = if seen.fragments == told.fragments { seen.fragments_ms } else { now };
                (seen.fragments, seen.last_load_ms) = (told.fragments, told.last_load_ms);
                seen.error.clear();
                if changed {
                    beats.push(beat);
                }
            }
            Err(error) => {
                seen.failures += 1;
                let broken = std::mem::take(&mut seen.connected) && error.ends_with("Connection refused");
                seen.error = if broken { "Socket is closed by peer.".to_owned() } else { error };
                if row.alive && seen.failures >= tolerance {
                    beats.push(BackendBeat::dead(row.id));
                }
            }
        }
    }
    Some(beats)
}

fn brokers(state: &mut State, id: ProcessId) -> Option<Vec<BrokerBeat>> {
    let rows: Vec<_> =
        state.fe(id)?.catalog.brokers.iter().flat_map(|(name, list)| list.iter().map(move |b| (name.clone(), b.clone()))).collect();
    let now = state.clock.now_ms();
    let mut beats = Vec::new();
    for (name, row) in rows {
        let reach = state.reach_host(id, &row.host, row.port);
        let alive = matches!(reach, Reach::Open(_));
        let seen = state.fe_mut(id)?.brokers_seen.entry((name.clone(), row.host.clone(), row.port)).or_default();
        seen.error = reach.java(&row.host);
        if alive || row.alive {
            beats.push(BrokerBeat { name, host: row.host, port: row.port, alive, time_ms: now });
        }
    }
    Some(beats)
}
