//! One installation divided over its replicas.
//!
//! All objects are divided into a fixed number of shards by a hash of their names, and each shard has a Lease: whoever holds it works on the
//! shard, and nobody else does. A replica that ends or dies is succeeded in each of its shards like any leader. One that has two shards fewer
//! than another asks for one of those by an annotation of its Lease; the holder finishes what it is doing there and gives it up.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use kube::{Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::elector::{ElectionSettings, LeaderElector, View, WANTED_BY};
use super::record::{self, Record, RequestError, Written};
use crate::clock::Clock;
use crate::leadership::Leadership;

/// Into how many shards the objects of an installation are divided; more replicas than this have nothing to do. It never changes: two
/// processes that divide in different ways would both work on the same object.
pub const SHARDS: usize = 8;

/// The shard of an object: the same in every process and every version.
pub fn shard_of(namespace: &str, name: &str) -> usize {
    // FNV-1a: what the standard library hashes with may change.
    let hash = namespace
        .bytes()
        .chain([b'/'])
        .chain(name.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // The low bits of the hash of short names are not evenly spread alone.
    usize::try_from((hash ^ (hash >> 32)) % SHARDS as u64).unwrap_or(0)
}

/// The Lease of a shard, by the name of the one that an undivided installation holds.
pub fn lease_of(name: &str, shard: usize) -> String {
    format!("{name}-shard-{shard}")
}

/// A shard's Lease was lost without being given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Lease of shard {0} is lost; another process may be writing already")]
pub struct ShardLost(pub usize);

/// What is done as shards come and go.
pub trait ShardWork: Sync {
    /// The shard is ours: work may begin.
    fn begin(&self, shard: usize) -> impl Future<Output = ()> + Send;
    /// The shard is to be handed over: returns when nothing is under way there any more, and nothing begins.
    fn end(&self, shard: usize) -> impl Future<Output = ()> + Send;
}

/// The elections of all shards.
pub struct Shards {
    client: Client,
    base: ElectionSettings,
    clock: Arc<dyn Clock>,
    slots: Vec<Slot>,
}

struct Slot {
    leadership: Leadership,
    view: watch::Sender<View>,
}

impl Shards {
    /// Prepares the elections. `base` names the Lease that an undivided installation would hold.
    pub fn new(client: Client, base: ElectionSettings, clock: Arc<dyn Clock>) -> Self {
        let slot = |_| Slot { leadership: Leadership::new(clock.clone()), view: watch::Sender::default() };
        Self { client, base, slots: (0..SHARDS).map(slot).collect(), clock }
    }

    /// The leadership of each shard, to check at every write.
    pub fn leaderships(&self) -> Vec<Leadership> {
        self.slots.iter().map(|slot| slot.leadership.clone()).collect()
    }

    /// Takes part in all elections until stopped, then gives up what is held. Stop it only after the last write was sent.
    ///
    /// # Errors
    /// A shard was lost: what was begun there is best ended with the process.
    pub async fn run(&self, stop: CancellationToken, work: &impl ShardWork) -> Result<(), ShardLost> {
        let all = (0..self.slots.len()).map(|shard| self.take_part(shard, &stop, work));
        tokio::select! {
            outcome = futures::future::try_join_all(all) => outcome.map(|_| ()),
            () = self.balance() => Ok(()),
        }
    }

    async fn take_part(&self, shard: usize, stop: &CancellationToken, work: &impl ShardWork) -> Result<(), ShardLost> {
        let slot = &self.slots[shard];
        loop {
            let settings = ElectionSettings {
                name: lease_of(&self.base.name, shard),
                // Whoever holds the undivided Lease works on everything.
                rivals: vec![self.base.name.clone()],
                ..self.base.clone()
            };
            let elector = LeaderElector::again(&self.client, settings, self.clock.clone(), slot.leadership.clone(), slot.view.clone());
            let give_up = stop.child_token();
            let mut election = pin!(elector.run(give_up.clone()));
            let in_turn = async {
                slot.leadership.acquired().await;
                work.begin(shard).await;
                self.is_wanted(shard).await;
                work.end(shard).await;
            };
            tokio::select! {
                () = &mut election => return if stop.is_cancelled() { Ok(()) } else { Err(ShardLost(shard)) },
                () = in_turn => {}
            }
            give_up.cancel();
            election.await;
            // Who asked has time to take it.
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(self.base.duration) => {}
            }
        }
    }

    async fn is_wanted(&self, shard: usize) {
        let mut view = self.slots[shard].view.subscribe();
        let is_wanted = |view: &View| view.wanted_by.as_ref().is_some_and(|who| *who != self.base.identity);
        // The sender lives as long as `self`.
        let _ = view.wait_for(is_wanted).await;
    }

    /// Asks for a shard now and then while another replica has too many.
    async fn balance(&self) {
        loop {
            sleep(self.base.duration / 3).await;
            let views: Vec<View> = self.slots.iter().map(|slot| slot.view.borrow().clone()).collect();
            if let Some(shard) = to_ask_for(&views, &self.base.identity)
                && let Err(error) = self.ask_for(shard).await
            {
                tracing::warn!(shard, error = %error, "another replica can't be asked for a shard");
            }
        }
    }

    async fn ask_for(&self, shard: usize) -> Result<(), RequestError> {
        let record = Record::new(self.client.clone(), &self.base.namespace, &lease_of(&self.base.name, shard), self.base.duration / 3);
        // Its holder may renew it at the same moment.
        for _ in 0..3 {
            let Some(read) = record.get().await? else { return Ok(()) };
            let is_asked = read.annotations().contains_key(WANTED_BY);
            let Some(spec) = read.spec.clone().filter(|_| record::holder(&read).is_some() && !is_asked) else { return Ok(()) };
            let asked = vec![(WANTED_BY, Some(self.base.identity.clone()))];
            if let Written::Done(_) = record.put(Some(&read), spec, asked).await? {
                tracing::info!(shard, holder = record::holder(&read), "asks another replica for a shard");
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The shard to ask for: one of the replica that has most, if that is two more than we have and nobody waits for one of its already.
fn to_ask_for(views: &[View], we: &str) -> Option<usize> {
    let mut held: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (shard, view) in views.iter().enumerate() {
        held.entry(view.holder.as_deref()?).or_default().push(shard);
    }
    let ours = held.get(we).map_or(0, Vec::len);
    let (_, most) = held.into_iter().max_by_key(|(_, shards)| shards.len())?;
    let is_asked =
        views.iter().any(|view| view.wanted_by.as_deref() == Some(we)) || most.iter().any(|shard| views[*shard].wanted_by.is_some());
    (most.len() >= ours + 2 && !is_asked).then(|| most.last().copied()).flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    use super::super::server::Server;
    use super::{ElectionSettings, LeaderElector, SHARDS, ShardWork, Shards, View, lease_of, shard_of, to_ask_for};
    use crate::clock::SteppedClock;
    use crate::leadership::{Leadership, WriteGate as _};

    const TERM: Duration = Duration::from_secs(9);

    #[test]
    fn shards_are_told_by_names_alone_and_evenly() {
        assert_eq!(shard_of("default", "demo"), shard_of("default", "demo"));
        let mut counts = [0_usize; SHARDS];
        for namespace in 0..40 {
            for name in 0..25 {
                counts[shard_of(&format!("team-{namespace}"), &format!("doris-{name}"))] += 1;
            }
        }
        assert!(counts.iter().all(|count| (90..=160).contains(count)), "{counts:?}");
        // Written down: a process of another version has to agree.
        assert_eq!(["demo", "prod", "a", "b", "c"].map(|name| shard_of("default", name)), [2, 5, 2, 7, 4]);
    }

    fn views(holders: [&str; SHARDS], wanted: Option<(usize, &str)>) -> Vec<View> {
        let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        let view = |(shard, holder): (usize, &&str)| View {
            holder: named(holder),
            wanted_by: wanted.filter(|(at, _)| *at == shard).map(|(_, who)| who.to_owned()),
        };
        holders.iter().enumerate().map(view).collect()
    }

    #[test]
    fn who_has_two_fewer_asks_the_one_with_most() {
        let cases = [
            (["a"; SHARDS], None, Some(7)),
            (["a"; SHARDS], Some((7, "c")), None),
            (["a", "a", "a", "a", "a", "a", "b", "b"], None, Some(5)),
            (["a", "a", "a", "a", "b", "b", "b", ""], None, None),
            (["a", "a", "a", "a", "a", "b", "b", "b"], None, Some(4)),
            (["a", "a", "a", "a", "b", "b", "b", "b"], None, None),
            (["a", "a", "a", "c", "c", "b", "b", "b"], Some((3, "b")), None),
        ];
        for (holders, wanted, expected) in cases {
            assert_eq!(to_ask_for(&views(holders, wanted), "b"), expected, "{holders:?} {wanted:?}");
        }
    }

    /// Who works on what; a shard that two work on is a failure.
    #[derive(Clone, Default)]
    struct Board(Arc<Mutex<BTreeMap<usize, String>>>);

    struct Worker(Board, String, Vec<Leadership>);

    impl ShardWork for Worker {
        async fn begin(&self, shard: usize) {
            let before = self.0.0.lock().expect("no panic").insert(shard, self.1.clone());
            assert_eq!(before, None, "shard {shard} is worked on already");
            assert!(self.2[shard].check().is_ok());
        }

        async fn end(&self, shard: usize) {
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert!(self.2[shard].check().is_ok(), "the Lease is renewed while the last rounds end");
            assert_eq!(self.0.0.lock().expect("no panic").remove(&shard), Some(self.1.clone()));
        }
    }

    fn settings(identity: &str) -> ElectionSettings {
        ElectionSettings { namespace: "ns".into(), name: "leader".into(), identity: identity.into(), duration: TERM, rivals: Vec::new() }
    }

    fn clock() -> Arc<SteppedClock> {
        Arc::new(SteppedClock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time")))
    }

    fn start(server: &Server, board: &Board, identity: &str, stop: &CancellationToken) -> JoinSet<()> {
        let shards = Shards::new(server.client(), settings(identity), clock());
        let worker = Worker(board.clone(), identity.to_owned(), shards.leaderships());
        let stop = stop.clone();
        let mut process = JoinSet::new();
        process.spawn(async move { shards.run(stop, &worker).await.expect("nothing is lost") });
        process
    }

    fn counts(board: &Board) -> Vec<usize> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for who in board.0.lock().expect("no panic").values() {
            *counts.entry(who.clone()).or_default() += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable();
        counts
    }

    #[tokio::test(start_paused = true)]
    async fn replicas_share_the_shards_and_take_those_of_the_dead() {
        let (server, board, stop) = (Server::default(), Board::default(), CancellationToken::new());
        let first = start(&server, &board, "a", &stop);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(counts(&board), [8], "one alone has them all at once");
        let _second = start(&server, &board, "b", &stop);
        tokio::time::sleep(Duration::from_mins(4)).await;
        assert_eq!(counts(&board), [4, 4]);
        let _third = start(&server, &board, "c", &stop);
        tokio::time::sleep(Duration::from_mins(4)).await;
        assert_eq!(counts(&board), [2, 3, 3]);
        drop(first);
        board.0.lock().expect("no panic").retain(|_, who| who != "a");
        tokio::time::sleep(TERM + Duration::from_secs(1)).await;
        assert_eq!(counts(&board).iter().sum::<usize>(), SHARDS, "succeeded within a term");
        tokio::time::sleep(Duration::from_mins(4)).await;
        assert_eq!(counts(&board), [4, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn divided_and_undivided_installations_never_work_at_the_same_time() {
        let (server, board, stop) = (Server::default(), Board::default(), CancellationToken::new());
        let undivided = |identity: &str| {
            let rivals = (0..SHARDS).map(|shard| lease_of("leader", shard)).collect();
            LeaderElector::new(&server.client(), ElectionSettings { rivals, ..settings(identity) }, clock())
        };
        let whole = undivided("whole");
        let leads = whole.leadership();
        let give_up = CancellationToken::new();
        tokio::spawn(whole.run(give_up.clone()));
        leads.acquired().await;
        let mut divided = start(&server, &board, "a", &stop);
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert_eq!(counts(&board), [] as [usize; 0], "the undivided one has everything");
        give_up.cancel();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(counts(&board), [8]);
        let back = undivided("back");
        let leads = back.leadership();
        tokio::spawn(back.run(CancellationToken::new()));
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert!(!leads.is_held(), "shards are held");
        stop.cancel();
        while divided.join_next().await.is_some() {}
        tokio::time::timeout(Duration::from_secs(3), leads.acquired()).await.expect("given up at the end");
    }
}
