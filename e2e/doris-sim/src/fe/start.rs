//! From the start of the process until its ports listen.

use std::net::IpAddr;
use std::time::Duration;

use super::files::Identity;
use super::{FeType, Seen};
use crate::bdb::{self, BdbState};
use crate::catalog::FeRole;
use crate::facts::Founding;
use crate::process::ProcessId;
use crate::state::{Reach, State};
use crate::world::World;

const MAIN: &str = "(main|13) ";

/// Why a start goes no further.
#[derive(Debug)]
enum Stop {
    /// The process ends with this status.
    Exit(i32),
    /// The process stays, and nothing else ever happens.
    Hang,
}

/// Runs a frontend from its first moment.
pub(crate) async fn start(world: World, id: ProcessId) {
    match boot(&world, id).await {
        Err(Stop::Exit(code)) => world.state().exit(id, code),
        Ok(()) | Err(Stop::Hang) => {}
    }
}

async fn boot(world: &World, id: ProcessId) -> Result<(), Stop> {
    let jvm = world.state().timing.jvm;
    world.sleep(id, jvm).await;
    {
        let mut state = world.state();
        check_config(&mut state, id)?;
        check_directory(&mut state, id)?;
        check_address(&mut state, id)?;
        check_ports(&mut state, id)?;
        check_helpers(&mut state, id)?;
        make_directories(&mut state, id);
    }
    if world.state().fe(id).is_some_and(|fe| fe.debug) {
        return debug(world, id).await;
    }
    identify(world, id).await?;
    load(world, id)?;
    open(world, id).await?;
    wait_ready(world, id).await;
    listen(world, id).await;
    Ok(())
}

fn fail(state: &mut State, id: ProcessId, text: &str, stop: Stop) -> Result<(), Stop> {
    state.log(id, "WARN (main|13) [DorisFE.start():234] ", "");
    state.log_raw(id, text);
    Err(stop)
}

/// A value that cannot be read ends the process quietly, with status 0.
fn check_config(state: &mut State, id: ProcessId) -> Result<(), Stop> {
    let bad = state.fe(id).and_then(|fe| fe.settings.unreadable()).map(|(key, value)| format!("set {key} to {value}"));
    let Some(bad) = bad else { return Ok(()) };
    state.out(id, &format!("java.lang.Exception: {bad}"));
    state.out(id, "\tat org.apache.doris.common.ConfigBase.setFields(ConfigBase.java:232)");
    state.out(id, "\t... 4 more");
    Err(Stop::Exit(0))
}

fn check_directory(state: &mut State, id: ProcessId) -> Result<(), Stop> {
    let Some(fe) = state.fe(id) else { return Err(Stop::Exit(255)) };
    let meta = fe.meta.clone();
    let taken = state.frontends().any(|(other, peer)| other != id && peer.meta.path == meta.path && peer.meta.volume.is_same(&meta.volume));
    if !meta.volume.exists(&meta.path) || taken {
        state.log(id, "ERROR (main|13) [DorisFE.start():161] ", "start doris failed.");
        return Err(Stop::Exit(255));
    }
    Ok(())
}

fn check_address(state: &mut State, id: ProcessId) -> Result<(), Stop> {
    let Some(fe) = state.fe(id) else { return Err(Stop::Exit(255)) };
    let (fqdn, ip) = (fe.fqdn.clone(), fe.ip);
    if !fe.settings.flag("enable_fqdn_mode") {
        let networks = fe.settings.get("priority_networks").to_owned();
        if !networks.is_empty() && !networks.split([';', ',']).any(|network| contains(network.trim(), ip)) {
            let text = "ip address range configured for priority_networks does not include the current IP address";
            state.log(id, "ERROR (main|13) [FrontendOptions.initAddrUseIp():82] ", text);
            return Err(Stop::Exit(255));
        }
        if let Some(fe) = state.fe_mut(id) {
            fe.host = ip.to_string();
        }
        return Ok(());
    }
    let place = format!("ERROR {MAIN}[FrontendOptions.initAddrUsingFqdn():165] ");
    let error = match state.net.resolve(&fqdn) {
        None => "Got a UnknownHostException when try to get FQDN".to_owned(),
        Some(found) if found != ip => "Fail to find right address to start fe by using fqdn".to_owned(),
        Some(_) => match state.net.reverse(ip) {
            Some(name) if name != fqdn => {
                format!("The FQDN of the parsed address [{name}] is not the same as the FQDN obtained from the host [{fqdn}]")
            }
            _ => {
                let text = format!("Use FQDN init local addr, FQDN: {fqdn}, IP: {ip}");
                state.log(id, "INFO (main|13) [FrontendOptions.initAddrUsingFqdn():168] ", &text);
                return Ok(());
            }
        },
    };
    state.log(id, &place, &error);
    Err(Stop::Exit(255))
}

/// Whether an address lies in a network written as `a.b.c.d/n`.
fn contains(network: &str, ip: IpAddr) -> bool {
    let Some((base, bits)) = network.split_once('/') else { return network.parse() == Ok(ip) };
    let (Ok(IpAddr::V4(base)), IpAddr::V4(ip), Ok(bits)) = (base.parse(), ip, bits.parse::<u32>()) else { return false };
    let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
    u32::from(base) & mask == u32::from(ip) & mask
}

fn check_ports(state: &mut State, id: ProcessId) -> Result<(), Stop> {
    let Some(fe) = state.fe(id) else { return Err(Stop::Exit(255)) };
    let (ip, ports) = (fe.ip, [fe.edit_log_port, fe.http_port, fe.rpc_port, fe.query_port]);
    let taken = |port: &u16| state.procs.values().any(|proc| proc.ip == ip && proc.is_running() && proc.ports.contains(port));
    let Some(port) = ports.into_iter().find(taken) else { return Ok(()) };
    fail(state, id, &format!("java.io.IOException: port {port} already in use"), Stop::Exit(0))
}

fn check_helpers(state: &mut State, id: ProcessId) -> Result<(), Stop> {
    let Some(fe) = state.fe(id) else { return Err(Stop::Exit(255)) };
    let own = format!("{}:{}", fe.host, fe.edit_log_port);
    if fe.helpers.contains(&own) {
        let text = "org.apache.doris.common.AnalysisException: errCode = 2, detailMessage = Do not specify the helper node to FE itself. Please specify it to the existing running Master or Follower FE";
        return fail(state, id, text, Stop::Exit(0));
    }
    Ok(())
}

fn make_directories(state: &mut State, id: ProcessId) {
    let Some(fe) = state.fe(id) else { return };
    let (meta, host, port) = (fe.meta.clone(), fe.host.clone(), fe.edit_log_port);
    meta.volume.make_directory(&meta.join("bdb"));
    meta.volume.make_directory(&meta.join("image"));
    state.log(id, "INFO (main|13) [Env.getSelfHostPort():1441] ", &format!("get self node: HostInfo{{host='{host}', port={port}}}"));
}

/// Who this node is: from its files, by founding, or from a helper.
async fn identify(world: &World, id: ProcessId) -> Result<(), Stop> {
    let (identity, helpers) = {
        let state = world.state();
        let Some(fe) = state.fe(id) else { return Err(Stop::Exit(255)) };
        (fe.read_identity(), fe.helpers.clone())
    };
    match identity {
        Identity::Complete { role, name, cluster_id, token } => {
            let mut state = world.state();
            let Some(fe) = state.fe_mut(id) else { return Err(Stop::Exit(255)) };
            (fe.role, fe.name, fe.cluster_id, fe.token) = (role, name, cluster_id, token);
            let configured = fe.settings.get("cluster_id").to_owned();
            if configured != "-1" && configured != cluster_id.to_string() {
                return fail(
                    &mut state,
                    id,
                    "java.io.IOException: cluster id is not equal with config item cluster_id. will exit. If you are in recovery mode, please also modify the cluster_id in 'doris-meta/image/VERSION'",
                    Stop::Hang,
                );
            }
            if !helpers.is_empty() {
                state.log(id, "INFO (main|13) [Env.getHelperNodes():1470] ", "find ROLE and VERSION file in local, ignore helper nodes");
            }
            Ok(())
        }
        Identity::Partial { role_alone } if helpers.is_empty() || !role_alone => {
            let text = "java.io.IOException: role file and version file must both exist or both not exist. please specific one helper node to recover. will exit.";
            fail(&mut world.state(), id, text, Stop::Hang)
        }
        Identity::None if helpers.is_empty() => found(world, id).await,
        Identity::None | Identity::Partial { .. } => ask_helpers(world, id, &helpers).await,
    }
}

/// Founds a cluster: the files appear one after the other, and a kill leaves what is there by then.
async fn found(world: &World, id: ProcessId) -> Result<(), Stop> {
    let step = world.state().timing.founding_step;
    let broken = |_| Stop::Exit(255);
    let meta = {
        let mut state = world.state();
        let name = format!("fe_{}", state.uuid().replace('-', "_"));
        let (cluster_id, token) = (state.rng.u32(1..i32::MAX as u32), state.uuid());
        let Some(fe) = state.fe_mut(id) else { return Err(Stop::Exit(255)) };
        (fe.role, fe.name, fe.cluster_id, fe.token) = (FeRole::Follower, name.clone(), cluster_id, token);
        (fe.first_start, fe.founded) = (true, Some(Founding::Cluster));
        if let Ok(configured) = fe.settings.get("cluster_id").parse() {
            fe.cluster_id = configured;
        }
        let meta = fe.meta.clone();
        let text = format!("very first time to start this node. role: FOLLOWER, node name: {name}");
        state.log(id, "INFO (main|13) [Env.getClusterIdAndRole():1206] ", &text);
        meta
    };
    meta.volume.write(&meta.join("image/ROLE"), Vec::new()).map_err(broken)?;
    world.sleep(id, step).await;
    with_fe(world, id, super::Fe::write_role).map_err(broken)?;
    world.sleep(id, step).await;
    with_fe(world, id, super::Fe::write_version).map_err(broken)?;
    let mut state = world.state();
    let Some(fe) = state.fe(id) else { return Err(Stop::Exit(255)) };
    let text = format!("finished to get cluster id: {}, isElectable: true, role: FOLLOWER and node name: {}", fe.cluster_id, fe.name);
    state.log(id, "INFO (main|13) [Env.getClusterIdAndRole():1366] ", &text);
    Ok(())
}

fn with_fe<T>(
    world: &World,
    id: ProcessId,
    work: impl FnOnce(&super::Fe, i64) -> Result<T, crate::volume::VolumeError>,
) -> Result<T, crate::volume::VolumeError> {
    let state = world.state();
    let now = state.clock.now_ms();
    state.fe(id).map_or(Err(crate::volume::VolumeError::Broken), |fe| work(fe, now))
}

/// Asks the helpers who this node is, for as long as none of them knows it.
async fn ask_helpers(world: &World, id: ProcessId, helpers: &[String]) -> Result<(), Stop> {
    let retry = world.state().timing.helper_retry;
    loop {
        if adopt_identity(&mut world.state(), id, helpers)? {
            return Ok(());
        }
        let text = format!(
            "current node is not added to the group. please add it first. sleep 5 seconds and retry, current helper nodes: {helpers:?}"
        );
        world.state().log(id, "WARN (main|13) [Env.getClusterIdAndRole():1266] ", &text);
        world.sleep(id, retry).await;
    }
}

fn adopt_identity(state: &mut State, id: ProcessId, helpers: &[String]) -> Result<bool, Stop> {
    let Some(fe) = state.fe(id) else { return Err(Stop::Exit(255)) };
    let (host, port, http_port) = (fe.host.clone(), fe.edit_log_port, fe.http_port);
    for helper in helpers {
        let name = helper.rsplit_once(':').map_or(helper.as_str(), |(name, _)| name);
        let Reach::Open(peer) = state.reach_host(id, name, http_port) else { continue };
        let Some(other) = state.fe(peer) else { continue };
        let Some(row) = other.catalog.frontend_at(&host, port) else { continue };
        let (role, own_name, cluster_id, token) = (row.role, row.name.clone(), other.cluster_id, other.token.clone());
        let image = other.newest_image();
        let now = state.clock.now_ms();
        let Some(fe) = state.fe_mut(id) else { return Err(Stop::Exit(255)) };
        (fe.role, fe.name, fe.cluster_id, fe.token) = (role, own_name, cluster_id, token);
        let written = fe.write_role(now).and_then(|()| fe.write_version(now));
        let written = written.and_then(|()| image.map_or(Ok(()), |(number, content)| fe.write_image(number, &content)));
        return written.map(|()| true).map_err(|_| Stop::Exit(255));
    }
    Ok(false)
}

/// Loads the image.
fn load(world: &World, id: ProcessId) -> Result<(), Stop> {
    let mut state = world.state();
    let Some(fe) = state.fe_mut(id) else { return Err(Stop::Exit(255)) };
    fe.rebuild();
    let (image, own) = (fe.catalog.meta_version, fe.version);
    if image > own.meta_version() {
        let text = format!(
            "java.io.IOException: The meta version of image is {image}, which is higher than FE current version {}. Please upgrade your cluster to the latest version first.",
            own.meta_version()
        );
        return fail(&mut state, id, &text, Stop::Exit(255));
    }
    if image > 0 && image < own.oldest_meta_version() {
        let text = format!(
            "java.lang.IllegalArgumentException: Could not set meta version to {image} since it is lower than minimum required version {}",
            own.oldest_meta_version()
        );
        return fail(&mut state, id, &text, Stop::Exit(255));
    }
    Ok(())
}

/// Opens the environment and lets the member live.
async fn open(world: &World, id: ProcessId) -> Result<(), Stop> {
    let wait = world.state().timing.open_bdb;
    world.sleep(id, wait).await;
    {
        let mut state = world.state();
        let Some(fe) = state.fe(id) else { return Err(Stop::Exit(255)) };
        let port = fe.edit_log_port;
        let parse = |helper: &String| helper.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.parse().unwrap_or(9010)));
        let helpers: Vec<_> = fe.helpers.iter().filter_map(parse).collect();
        // Helpers cancel the recovery flag without a word.
        let recovery = fe.recovery && fe.helpers.is_empty();
        let electable = fe.role == FeRole::Follower;
        let alone = helpers.is_empty();
        bdb::open_environment(&mut state, id, helpers);
        let empty = state.fe(id).and_then(|fe| fe.bdb.as_ref()).is_some_and(|bdb| bdb.log.environment.is_empty());
        if recovery && !electable {
            state.log(id, "ERROR (main|13) [BDBEnvironment.setup():190] ", "Current node is not in the electable_nodes list. will exit");
            return Err(Stop::Exit(255));
        }
        let made = match (recovery, empty && alone) {
            (true, _) => {
                state.log(id, "INFO (main|13) [BDBEnvironment.setup():180] ", "group has been reset.");
                note_founding(&mut state, id, Founding::Recovery);
                bdb::reset_group(&mut state, id)
            }
            (false, true) => {
                note_founding(&mut state, id, Founding::Journal);
                bdb::found_group(&mut state, id)
            }
            (false, false) => true,
        };
        if !made {
            return Err(Stop::Exit(255));
        }
        if let Some(bdb) = state.fe_mut(id).and_then(|fe| fe.bdb.as_mut()) {
            bdb.state = BdbState::Unknown { electing: None };
        }
        state.open_port(id, port);
    }
    world.spawn(id, bdb::run(world.clone(), id));
    Ok(())
}

/// Remembers what was made new; a cluster includes its journal.
fn note_founding(state: &mut State, id: ProcessId, what: Founding) {
    if let Some(fe) = state.fe_mut(id) {
        fe.founded = fe.founded.or(Some(what));
    }
}

async fn wait_ready(world: &World, id: ProcessId) {
    let mut changes = world.changes();
    let text = "wait catalog to be ready. feType:INIT isReady:false, counter:1 reason: ";
    world.state().log(id, "INFO (main|13) [Env.waitForReady():1133] ", text);
    loop {
        changes.borrow_and_update();
        if world.state().fe(id).is_some_and(|fe| fe.ready) {
            return;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Opens the servers in Doris' order.
async fn listen(world: &World, id: ProcessId) {
    let (timing, ports) = {
        let state = world.state();
        let Some(fe) = state.fe(id) else { return };
        (state.timing.clone(), [fe.rpc_port, fe.http_port, fe.query_port])
    };
    let waits = [timing.open_rpc, timing.open_http, timing.open_mysql];
    let lines = [
        "[FeServer.start():80] thrift server started.",
        "[AbstractConnector.doStart():333] Started ServerConnector",
        "[QeService.start():75] QE service start.",
    ];
    for ((port, wait), line) in ports.into_iter().zip(waits).zip(lines) {
        world.sleep(id, wait).await;
        let mut state = world.state();
        state.log(id, "INFO (main|13) ", line);
        state.open_port(id, port);
    }
    let mut state = world.state();
    let now = state.clock.now_ms();
    if let Some(fe) = state.fe_mut(id) {
        let name = fe.name.clone();
        fe.frontends_seen.entry(name).or_insert_with(|| Seen { start_ms: now, ..Seen::default() });
    }
}

/// The read-only mode that shows the journal: no group, no accounts, two ports.
async fn debug(world: &World, id: ProcessId) -> Result<(), Stop> {
    let wait = world.state().timing.open_bdb + Duration::from_millis(10);
    world.sleep(id, wait).await;
    let mut state = world.state();
    bdb::open_environment(&mut state, id, Vec::new());
    let Some(fe) = state.fe_mut(id) else { return Err(Stop::Exit(255)) };
    fe.kind = FeType::Init;
    let ports = [fe.http_port, fe.query_port];
    for port in ports {
        state.open_port(id, port);
    }
    Ok(())
}
