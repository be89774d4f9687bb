//! Users of a cluster: queries and loads through the access Service, as a careful client makes them.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doris_sim::{LoadError, Session, StreamLoad, World};
use node_sim::NameService;
use tokio::task::JoinSet;

use super::{CONTROLLER_ADDRESS, Lab};

/// Between two queries of one client, and two loads.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// A query that failed is sent again after this: the frontend that is just elected answers nobody while it takes over.
const RESEND: Duration = Duration::from_secs(2);
/// Between two tries of one load, and how often it is tried.
const LOAD_RETRY: (Duration, usize) = (Duration::from_secs(1), 60);
const PORT: u16 = 9030;

/// What users got.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Queries that were answered.
    pub queries: u64,
    /// Of these, those that were sent a second time over a new connection.
    pub sent_again: u64,
    /// What queries failed of although they were sent again.
    pub failed_queries: Vec<String>,
    /// Loads that count.
    pub loads: u64,
    /// Tries of loads that were repeated under their label.
    pub repeated: u64,
    /// What loads failed of although they were repeated.
    pub failed_loads: Vec<String>,
}

/// Clients at work; they end when dropped.
pub struct Users {
    tally: Arc<Mutex<Tally>>,
    _tasks: JoinSet<()>,
}

/// Where and as whom a client works.
#[derive(Clone)]
struct Place {
    world: World,
    names: Arc<NameService>,
    service: String,
    password: String,
    turn: Arc<AtomicUsize>,
    tally: Arc<Mutex<Tally>>,
}

impl Users {
    /// Starts clients of table `d.t`: some that query, and one that loads. They come in by the access Service of
    /// the frontends, reconnect when a statement fails and send it once again.
    ///
    /// # Panics
    /// When the cluster has no password on record.
    pub async fn of(lab: &Lab, cluster: &str, queries: usize) -> Self {
        let password = lab.secret(&doris_api::names::identity(cluster), "root.applied").await.expect("a password is on record");
        let tally = Arc::new(Mutex::new(Tally::default()));
        let place = Place {
            world: lab.world.clone(),
            names: lab.nodes.names(),
            service: format!("{cluster}-fe.default.svc.cluster.local"),
            password,
            turn: Arc::default(),
            tally: tally.clone(),
        };
        let mut tasks = JoinSet::new();
        for _ in 0..queries {
            tasks.spawn(ask(place.clone()));
        }
        tasks.spawn(load(place));
        Self { tally, _tasks: tasks }
    }

    /// What they got so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Place {
    /// One of the frontends behind the Service, in turn.
    fn frontend(&self) -> Option<IpAddr> {
        let ready = self.names.resolve(&self.service);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        ready.get(turn % ready.len().max(1)).map(|address| IpAddr::V4(*address))
    }

    async fn connect(&self) -> Result<Session, String> {
        let frontend = self.frontend().ok_or("nobody is behind the Service")?;
        self.world.connect(CONTROLLER_ADDRESS, frontend, PORT, "root", &self.password).await.map_err(|error| error.to_string())
    }

    fn note(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

async fn ask(place: Place) {
    let mut session = None;
    loop {
        tokio::time::sleep(PAUSES.0).await;
        let first = query(&place, &mut session).await;
        let is_second = first.is_err();
        let answer = match first {
            Ok(()) => Ok(()),
            Err(first) => {
                tokio::time::sleep(RESEND).await;
                query(&place, &mut session).await.map_err(|second| (first, second))
            }
        };
        place.note(|tally| match answer {
            Ok(()) => {
                tally.queries += 1;
                tally.sent_again += u64::from(is_second);
            }
            Err((first, second)) => tally.failed_queries.push(format!("{first}, then {second}")),
        });
    }
}

/// Sends a query, over the connection that is there or a new one. One that failed is not used again.
async fn query(place: &Place, session: &mut Option<Session>) -> Result<(), String> {
    let mut open = match session.take() {
        Some(open) => open,
        None => place.connect().await?,
    };
    open.query("SELECT count(*) FROM d.t").await.map_err(|error| error.to_string())?;
    *session = Some(open);
    Ok(())
}

async fn load(place: Place) {
    let mut number = 0u64;
    loop {
        tokio::time::sleep(PAUSES.1).await;
        number += 1;
        let mut tries = 0;
        let failed = loop {
            tries += 1;
            match one_load(&place, number).await {
                Ok(()) => break None,
                Err(error) if tries >= LOAD_RETRY.1 => break Some(error),
                Err(_) => tokio::time::sleep(LOAD_RETRY.0).await,
            }
        };
        place.note(|tally| {
            tally.repeated += u64::try_from(tries - 1).unwrap_or(u64::MAX);
            match failed {
                None => tally.loads += 1,
                Some(error) => tally.failed_loads.push(error),
            }
        });
    }
}

/// A try under the load's label: one that counted before is not made twice.
async fn one_load(place: &Place, number: u64) -> Result<(), String> {
    let frontend = place.frontend().ok_or("nobody is behind the Service")?;
    let load = StreamLoad { password: place.password.clone(), ..StreamLoad::new("d", "t", format!("users-{number}")) };
    match place.world.stream_load(CONTROLLER_ADDRESS, frontend, &load).await {
        Ok(_) => Ok(()),
        Err(LoadError::LabelInUse { state, .. }) if state == "VISIBLE" || state == "COMMITTED" => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
