//! A client's connection to a frontend.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::answer::{Answer, Column, ColumnType, Rows, SqlError};
use crate::bdb::Entry;
use crate::be;
use crate::catalog::{Identity, User, hash_password};
use crate::fe::{Fe, SessionInfo, journal};
use crate::load;
use crate::net::{Cut, Link};
use crate::process::ProcessId;
use crate::query;
use crate::sql::{self, Client, Context, Outcome, Route, Statement, Step};
use crate::state::{Reach, State, is_localhost};
use crate::world::World;

/// Rows that a result holds at most.
const MOST_ROWS: usize = 1000;

/// How a client proves who it is.
pub(crate) enum Proof<'a> {
    Password(&'a str),
    Scramble { challenge: &'a [u8], answer: &'a [u8] },
}

impl Proof<'_> {
    fn given(&self) -> bool {
        match self {
            Self::Password(password) => !password.is_empty(),
            Self::Scramble { answer, .. } => !answer.is_empty(),
        }
    }

    fn fits(&self, user: &User) -> bool {
        match self {
            Self::Password(password) => hash_password(password) == user.password,
            Self::Scramble { challenge, answer } => user.accepts(challenge, answer),
        }
    }
}

/// Checks a login at a time, and counts it where the account is locked after too many that failed.
pub(crate) fn authenticate(fe: &mut Fe, now: i64, from: IpAddr, user: &str, proof: &Proof<'_>) -> Result<Identity, SqlError> {
    let lock = fe.catalog.users.iter().find(|known| known.identity.user == user).map(|known| known.lock).unwrap_or_default();
    let (failed, locked_until) = fe.failed_logins.get(user).copied().unwrap_or_default();
    if lock.attempts > 0 && now < locked_until {
        let left = (locked_until - now + 999) / 1000;
        let text = format!(
            "Access denied for user '{user}'@'{from}'. Account is blocked for {} second(s) ({left} second(s) remaining) due to {failed} \
             consecutive failed logins.",
            lock.seconds
        );
        return Err(SqlError::bare(3955, "HY000", text));
    }
    let checked = check_password(fe, from, user, proof);
    if checked.is_ok() {
        fe.failed_logins.remove(user);
    } else if lock.attempts > 0 {
        let failed = if locked_until > 0 { 1 } else { failed + 1 };
        let until = if failed >= lock.attempts { now.saturating_add(lock.seconds.saturating_mul(1000)) } else { 0 };
        fe.failed_logins.insert(user.to_owned(), (failed, until));
    }
    checked
}

fn check_password(fe: &Fe, from: IpAddr, user: &str, proof: &Proof<'_>) -> Result<Identity, SqlError> {
    let identity = Identity::new(user, "%");
    let built_in = user == "root" || user == "admin";
    let local = built_in && is_localhost(from) && fe.settings.flag("skip_localhost_auth_check");
    let accepted = if fe.debug {
        // Without accounts from the journal, only the built-in ones with empty passwords are there.
        (built_in && !proof.given()).then_some(identity)
    } else {
        let known =
            fe.catalog.users.iter().filter(|known| known.identity.user == user && sql::like(&known.identity.host, &from.to_string()));
        let fits = known.filter(|known| local || proof.fits(known));
        fits.map(|known| known.identity.clone()).next()
    };
    accepted.ok_or_else(|| {
        let using =
            if proof.given() || (!built_in && !fe.catalog.users.iter().any(|known| known.identity.user == user)) { "YES" } else { "NO" };
        SqlError::bare(1045, "28000", format!("Access denied for user '{user}@{from}' (using password: {using})"))
    })
}

/// A connection; statements run on it one after the other.
pub struct Session {
    world: World,
    fe: ProcessId,
    client: Client,
}

impl Session {
    pub(crate) fn login(world: &World, fe: ProcessId, from: IpAddr, user: &str, password: &str) -> Result<Self, SqlError> {
        Self::open(world, fe, from, &format!("{from}:40000"), user, &Proof::Password(password))
    }

    pub(crate) fn would_log_in(fe: &Fe, from: IpAddr, user: &str, password: &str) -> bool {
        check_password(fe, from, user, &Proof::Password(password)).is_ok()
    }

    pub(crate) fn open(world: &World, id: ProcessId, from: IpAddr, address: &str, user: &str, proof: &Proof<'_>) -> Result<Self, SqlError> {
        let mut state = world.state();
        let now = state.clock.now_ms();
        let fe = state.fe_mut(id).ok_or(SqlError::Refused)?;
        let identity = authenticate(fe, now, from, user, proof)?;
        if fe.sessions.len() as u64 >= fe.settings.number("qe_max_connection") {
            return Err(SqlError::bare(1203, "42000", "Reach limit of connections"));
        }
        let connection = fe.next_connection;
        fe.next_connection += 1;
        let info = SessionInfo {
            user: identity.clone(),
            client: address.to_owned(),
            login_ms: now,
            database: String::new(),
            command: "Sleep",
            since_ms: now,
            state: "OK",
            query_id: String::new(),
            info: String::new(),
        };
        fe.sessions.insert(connection, info);
        let client = Client {
            user: identity,
            name: user.to_owned(),
            from,
            connection,
            database: String::new(),
            variables: BTreeMap::default(),
            home: id,
        };
        Ok(Self { world: world.clone(), fe: id, client })
    }

    /// The connection's number on its frontend.
    pub fn connection_id(&self) -> u32 {
        self.client.connection
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.client.user
    }

    /// Runs one statement. Given several, runs them in order and tells the last one's answer.
    pub async fn query(&mut self, sql: &str) -> Result<Answer, SqlError> {
        let mut answers = self.query_all(sql).await;
        answers.pop().unwrap_or(Ok(Answer::DONE))
    }

    /// Runs all statements of a text, up to the first error.
    pub async fn query_all(&mut self, sql: &str) -> Vec<Result<Answer, SqlError>> {
        let statements = match sql::parse(sql) {
            Ok(statements) => statements,
            Err(error) => return vec![Err(error)],
        };
        let mut answers = Vec::new();
        for statement in statements {
            self.note("Query", sql);
            let answer = self.attend(&statement).await;
            self.note("Sleep", "");
            let failed = answer.is_err();
            answers.push(answer);
            if failed {
                break;
            }
        }
        answers
    }

    /// Chooses a database, as the protocol's own command does.
    pub async fn use_database(&mut self, name: &str) -> Result<Answer, SqlError> {
        self.attend(&Statement::Use(name.to_owned())).await
    }

    fn note(&self, command: &'static str, sql: &str) {
        let mut state = self.world.state();
        let now = state.clock.now_ms();
        let query_id = state.uuid().replace('-', "");
        let Some(fe) = state.fe_mut(self.fe) else { return };
        fe.queries += u64::from(command == "Query");
        if let Some(info) = fe.sessions.get_mut(&self.client.connection) {
            (info.command, info.since_ms) = (command, now);
            info.database.clone_from(&self.client.database);
            if command == "Query" {
                info.query_id = format!("{}-{}", &query_id[..16], &query_id[16..]);
                info.info = sql.chars().take(1000).collect();
            }
        }
    }

    async fn attend(&mut self, statement: &Statement) -> Result<Answer, SqlError> {
        let (world, id) = (self.world.clone(), self.fe);
        world.note_registration(statement, self.client.from);
        link_up(&world, self.client.from, id).await;
        world.awake(id).await;
        let from = self.client.from;
        let entry = world.state().procs.get(&id).map(|proc| proc.ip);
        let answer = tokio::select! {
            biased;
            () = world.ended(id) => Err(SqlError::Lost),
            answer = run(&world, id, &mut self.client, statement) => {
                link_up(&world, from, id).await;
                answer
            }
        };
        if let Some((entry, (work, name))) = entry.zip(statement.work()) {
            world.note_work(entry, work, &self.client.name, &name, answer.as_ref().err().map(ToString::to_string));
        }
        answer
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(fe) = self.world.state().fe_mut(self.fe) {
            fe.sessions.remove(&self.client.connection);
        }
    }
}

/// Waits while the way between a client and its frontend is cut.
async fn link_up(world: &World, from: IpAddr, id: ProcessId) {
    let mut changes = world.changes();
    loop {
        changes.borrow_and_update();
        {
            let state = world.state();
            let cut = state.procs.get(&id).is_some_and(|proc| state.net.link(from, proc.ip) == Link::Cut(Cut::Silent));
            if !cut {
                return;
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Runs a statement where it belongs.
async fn run(world: &World, id: ProcessId, client: &mut Client, statement: &Statement) -> Result<Answer, SqlError> {
    let forward = {
        let state = world.state();
        let fe = state.fe(id).ok_or(SqlError::Lost)?;
        let elected = fe.bdb.as_ref().is_some_and(|bdb| bdb.state.is_master());
        if elected && !fe.is_master() && statement.route(fe) != Route::Here {
            return Err(not_ready(fe));
        }
        match statement.route(fe) {
            Route::Here => false,
            Route::HereIfReadable => !fe.debug && !fe.can_read(),
            Route::Master => !fe.debug && !fe.is_master(),
            Route::MasterIfAsked => !fe.debug && !fe.is_master() && asked(fe, client),
        }
    };
    if !forward {
        return execute(world, id, client, statement).await;
    }
    let mut visitor = client.clone();
    let peer = master_of(world, id).await?;
    let answer = tokio::select! {
        biased;
        () = world.ended(peer) => Err(SqlError::bare(1105, "HY000", "ForwardToMasterException, msg: org.apache.doris.qe.MasterOpExecutor$ForwardToMasterException: forward to master FE failed, cause: EOF, Socket is closed by peer.")),
        answer = execute(world, peer, &mut visitor, statement) => answer,
    };
    client.variables = visitor.variables;
    catch_up(world, id, peer).await;
    answer
}

fn asked(fe: &Fe, client: &Client) -> bool {
    let global = fe.catalog.globals.get("forward_to_master");
    client.variables.get("forward_to_master").or(global).is_none_or(|value| value == "true")
}

fn not_ready(fe: &Fe) -> SqlError {
    SqlError::bare(1105, "HY000", format!("Exception, msg: java.lang.Exception: {}", fe.not_ready()))
}

/// The master that a frontend forwards to: the one that its journal names, whether it still is or not.
async fn master_of(world: &World, id: ProcessId) -> Result<ProcessId, SqlError> {
    let mut changes = world.changes();
    loop {
        changes.borrow_and_update();
        if let Some(found) = try_master(&mut world.state(), id)? {
            return Ok(found);
        }
        if changes.changed().await.is_err() {
            return Err(SqlError::Lost);
        }
    }
}

/// `None` while the way to the master is silently cut.
fn try_master(state: &mut State, id: ProcessId) -> Result<Option<ProcessId>, SqlError> {
    let failed = |text: String| SqlError::bare(1105, "HY000", text);
    let fe = state.fe(id).ok_or(SqlError::Lost)?;
    let Some(master) = fe.catalog.master.clone() else {
        return Err(failed("Exception, msg: java.lang.Exception: Failed to get master client.".to_owned()));
    };
    let reach = state.reach_host(id, &master.host, master.rpc_port);
    let number = state.rng.u32(1..10_000);
    let fe = state.fe_mut(id).ok_or(SqlError::Lost)?;
    let pooled = fe.master_client.take();
    match reach {
        Reach::Silent => {
            fe.master_client = pooled;
            Ok(None)
        }
        Reach::Open(peer) => {
            fe.master_client = Some(peer);
            match state.fe(peer) {
                Some(other) if other.is_master() => Ok(Some(peer)),
                Some(other) if other.bdb.as_ref().is_some_and(|bdb| bdb.state.is_master()) => Err(not_ready(other)),
                _ => Err(SqlError::detail(format!(
                    "The statement has been forwarded to master FE({}) and failed to execute because Master FE is not ready. You may need to check FE's status",
                    master.host
                ))),
            }
        }
        _ if pooled.is_some() => Err(failed(format!(
            "ForwardToMasterException, msg: org.apache.doris.qe.MasterOpExecutor$ForwardToMasterException: forward to master FE TNetworkAddress(hostname:{}, port:{}), statement id: {number} : failed, cause: EOF, Socket is closed by peer.",
            master.host, master.rpc_port
        ))),
        failure => Err(failed(format!("Exception, msg: {}", failure.java(&master.host)))),
    }
}

/// Waits until what the master wrote is visible here, as long as this frontend follows it.
async fn catch_up(world: &World, id: ProcessId, master: ProcessId) {
    let mut changes = world.changes();
    loop {
        changes.borrow_and_update();
        let behind = {
            let state = world.state();
            let follows = state.hears(id, master);
            follows && state.fe(id).zip(state.fe(master)).is_some_and(|(own, other)| own.applied < other.applied && own.lost_at.is_none())
        };
        if !behind || changes.changed().await.is_err() {
            return;
        }
    }
}

/// Runs a statement on one frontend and writes what it has to write.
async fn execute(world: &World, id: ProcessId, client: &mut Client, statement: &Statement) -> Result<Answer, SqlError> {
    let lock = if statement.writes() { world.state().fe(id).map(|fe| fe.journal.clone()) } else { None };
    let _turn = match &lock {
        Some(lock) => Some(lock.lock().await),
        None => None,
    };
    let outcome = Context { state: &mut world.state(), fe: id, client }.run(statement)?;
    let steps = match outcome {
        Outcome::Rows(rows) => return Ok(Answer::Rows(rows)),
        Outcome::Done => return Ok(Answer::DONE),
        Outcome::Steps(steps) => steps,
        Outcome::Read { read, columns, counts } => {
            let query = query_id(&mut world.state(), client);
            let rows = query::run(world, id, &read, &query).await?;
            return Ok(Answer::Rows(result(columns, counts, rows)));
        }
        Outcome::Load(batch) => {
            let affected = load::insert(world, id, &batch).await?;
            return Ok(Answer::Ok { affected });
        }
    };
    for step in steps {
        match step {
            Step::Journal(op) => journal::write_in_turn(world, id, Entry::Journal { id: 0, op }).await,
            Step::Group(entry) => journal::write_in_turn(world, id, entry).await,
            Step::Unready { name, add } => count_unready(&mut world.state(), id, name, add),
            Step::CreateTablets(table) => be::create_on_backends(&world.state(), id, &table),
        }
    }
    world.state().bump();
    Ok(Answer::DONE)
}

/// The statement's number as the process list shows it.
fn query_id(state: &mut State, client: &Client) -> String {
    let shown = state.fe(client.home).and_then(|fe| fe.sessions.get(&client.connection)).map(|session| session.query_id.clone());
    shown.filter(|id| !id.is_empty()).unwrap_or_else(|| state.uuid())
}

/// What a query tells of the rows that it read: their number where it counts them, else as many rows without values.
fn result(columns: Vec<Column>, counts: bool, read: u64) -> Rows {
    if counts {
        let cells = columns.iter().map(|column| Some(if column.kind == ColumnType::LongLong { read.to_string() } else { String::new() }));
        let row = cells.collect();
        return Rows { columns, rows: vec![row] };
    }
    let shown = usize::try_from(read).unwrap_or(usize::MAX).min(MOST_ROWS);
    let row = vec![None; columns.len()];
    Rows { columns, rows: vec![row; shown] }
}

/// Keeps a follower that was only added out of the majority, in this master's memory.
fn count_unready(state: &mut State, id: ProcessId, name: String, add: bool) {
    let Some(fe) = state.fe_mut(id) else { return };
    if add {
        fe.unready.insert(name);
    } else if !fe.unready.remove(&name) && fe.unready.is_empty() {
        return;
    }
    // When one is added its row is not in the catalog yet.
    let followers = fe.catalog.followers() + usize::from(add);
    let left = fe.unready.len();
    if let Some(bdb) = fe.bdb.as_mut() {
        bdb.size_override = (left > 0).then(|| followers.saturating_sub(left));
    }
}
