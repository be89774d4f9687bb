//! Whose round is next: many tenants, one process.
//!
//! As many rounds run at the same time as are allowed. When more want to, the tenant with the fewest rounds under way is next, and among its
//! rounds the one that waits longest. Two more bounds keep room for those who come later: one tenant has at most three quarters of the
//! places, and rounds that are known to take long (their cluster does not answer) have at most half of them. Urgent rounds come before all
//! others: they are for those whom a process that begins sees in need, once each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The places for rounds, shared by all who want one.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Rounds at the same time.
    places: usize,
    running: BTreeMap<String, usize>,
    slow: usize,
    waiting: Vec<Waiting>,
}

/// What is known of a round before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It comes before all others. Whoever is urgent again and again keeps others from their turn.
    Urgent,
    /// Nothing in particular.
    Usual,
    /// The last round of this cluster took long.
    Slow,
}

#[derive(Debug)]
struct Waiting {
    tenant: String,
    kind: Kind,
    turn: oneshot::Sender<Turn>,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Turn {
    turns: Turns,
    tenant: String,
    kind: Kind,
}

impl State {
    fn under_way(&self, tenant: &str) -> usize {
        self.running.get(tenant).copied().unwrap_or(0)
    }

    fn all_under_way(&self) -> usize {
        self.running.values().sum()
    }

    /// Whether the bounds of tenants and of slow rounds leave room for it.
    fn may_run(&self, waiting: &Waiting) -> bool {
        let of_a_tenant = (self.places * 3 / 4).max(1);
        let of_slow_ones = (self.places / 2).max(1);
        self.under_way(&waiting.tenant) < of_a_tenant && (waiting.kind != Kind::Slow || self.slow < of_slow_ones)
    }

    /// Who is next: the urgent, then the tenant with the fewest rounds; those that wait stand in the order in which they came.
    fn next(&self) -> Option<usize> {
        if self.all_under_way() >= self.places {
            return None;
        }
        let waiting = self.waiting.iter().enumerate().filter(|(_, waiting)| self.may_run(waiting));
        waiting
            .min_by_key(|(index, waiting)| (waiting.kind != Kind::Urgent, self.under_way(&waiting.tenant), *index))
            .map(|(index, _)| index)
    }
}

impl Turns {
    /// So many rounds at the same time, at least one.
    pub fn new(places: u16) -> Self {
        let state = State { places: usize::from(places.max(1)), running: BTreeMap::new(), slow: 0, waiting: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits for a place.
    pub async fn take(&self, tenant: &str, kind: Kind) -> Turn {
        let (turn, granted) = oneshot::channel();
        self.lock().waiting.push(Waiting { tenant: tenant.to_owned(), kind, turn });
        self.grant();
        match granted.await {
            Ok(turn) => turn,
            // The sender stays in the queue until it has sent.
            Err(_) => std::future::pending().await,
        }
    }

    /// Rounds that run, and that wait.
    pub fn count(&self) -> (usize, usize) {
        let state = self.lock();
        (state.all_under_way(), state.waiting.iter().filter(|waiting| !waiting.turn.is_closed()).count())
    }

    fn grant(&self) {
        while let Some((turn, to)) = self.take_next() {
            // Who does not wait any more gives the place back as the turn that could not be sent is dropped; not under the lock.
            let _ = to.send(turn);
        }
    }

    fn take_next(&self) -> Option<(Turn, oneshot::Sender<Turn>)> {
        let mut state = self.lock();
        state.waiting.retain(|waiting| !waiting.turn.is_closed());
        let next = state.next()?;
        let Waiting { tenant, kind, turn } = state.waiting.remove(next);
        *state.running.entry(tenant.clone()).or_default() += 1;
        state.slow += usize::from(kind == Kind::Slow);
        Some((Turn { turns: self.clone(), tenant, kind }, turn))
    }

    /// Nothing under the lock panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        if let Some(count) = state.running.get_mut(&self.tenant) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.running.remove(&self.tenant);
            }
        }
        state.slow = state.slow.saturating_sub(usize::from(self.kind == Kind::Slow));
        drop(state);
        self.turns.grant();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::{Kind, Turn, Turns};

    /// Whether the place is there at once.
    fn taken(turns: &Turns, tenant: &str, kind: Kind) -> Option<Turn> {
        match pin!(turns.take(tenant, kind)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn one_tenant_never_has_all_places_and_slow_rounds_half_of_them() {
        let turns = Turns::new(8);
        let greedy: Vec<Turn> = (0..200).map_while(|_| taken(&turns, "greedy", Kind::Usual)).collect();
        assert_eq!(greedy.len(), 6);
        let other: Vec<Turn> = (0..200).map_while(|_| taken(&turns, "other", Kind::Slow)).collect();
        assert_eq!((other.len(), turns.count()), (2, (8, 0)), "who gave up waiting waits no more");
        drop(greedy);
        let more: Vec<Turn> = (0..200).map_while(|_| taken(&turns, "third", Kind::Slow)).collect();
        assert_eq!(more.len(), 2, "four slow ones in all");
        drop((other, more));
        assert_eq!(turns.count(), (0, 0));
    }

    #[test]
    fn with_one_place_everybody_gets_it() {
        let turns = Turns::new(0);
        drop(taken(&turns, "a", Kind::Slow).expect("a place"));
        drop(taken(&turns, "a", Kind::Usual).expect("a place"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_tenant_with_the_fewest_rounds_is_next() {
        let turns = Turns::new(4);
        let mut running: Vec<Turn> = (0..3).map_while(|_| taken(&turns, "greedy", Kind::Usual)).collect();
        running.push(taken(&turns, "b", Kind::Usual).expect("the fourth"));
        let (order, mut came) = tokio::sync::mpsc::unbounded_channel();
        for tenant in ["greedy", "greedy", "b", "new", "new"] {
            let (turns, order) = (turns.clone(), order.clone());
            tokio::spawn(async move {
                let turn = turns.take(tenant, Kind::Usual).await;
                order.send((tenant, turn)).expect("it is listened to");
            });
            tokio::task::yield_now().await;
        }
        assert_eq!(turns.count(), (4, 5));
        drop(running.remove(0));
        let (first, first_turn) = came.recv().await.expect("one came");
        drop(running.remove(0));
        let (second, second_turn) = came.recv().await.expect("one came");
        assert_eq!((first, second), ("new", "greedy"), "none under way; then each has one under way, and greedy waits longest");
        drop((running, first_turn, second_turn));
        let mut rest = Vec::new();
        while rest.len() < 3 {
            rest.push(came.recv().await.expect("one came").0);
        }
        rest.sort_unstable();
        assert_eq!(rest, ["b", "greedy", "new"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_urgent_come_first_whoever_waits_longer() {
        let turns = Turns::new(4);
        let mut running = ["a", "a", "b", "b"].map(|tenant| taken(&turns, tenant, Kind::Usual)).into_iter();
        let (order, mut came) = tokio::sync::mpsc::unbounded_channel();
        for (tenant, kind) in [("c", Kind::Usual), ("c", Kind::Slow), ("b", Kind::Urgent), ("d", Kind::Usual)] {
            let (turns, order) = (turns.clone(), order.clone());
            tokio::spawn(async move {
                let turn = turns.take(tenant, kind).await;
                order.send((tenant, turn)).expect("it is listened to");
            });
            tokio::task::yield_now().await;
        }
        drop(running.next());
        let first = came.recv().await.expect("one came");
        assert_eq!(first.0, "b", "though two tenants have no round under way");
        assert!(came.try_recv().is_err());
        drop(running.next());
        assert_eq!(came.recv().await.expect("one came").0, "c");
    }

    /// Whoever waits gets a place in the end, whatever others do, and the bounds hold all the time.
    #[tokio::test(start_paused = true)]
    async fn nobody_starves_in_any_order() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let places = random.u16(1..12);
            let turns = Turns::new(places);
            let rounds: Vec<_> = (0..random.usize(1..60))
                .map(|_| {
                    let kind = [Kind::Urgent, Kind::Usual, Kind::Slow][random.usize(0..3)];
                    let (turns, tenant) = (turns.clone(), format!("t{}", random.u8(0..5)));
                    let (before, length) = (random.u64(0..50), random.u64(0..50));
                    // Some give up before they had their turn.
                    let patience = if random.u8(0..4) == 0 { random.u64(0..30) } else { 1_000_000 };
                    tokio::spawn(async move {
                        tokio::time::sleep(std::time::Duration::from_millis(before)).await;
                        let patience = std::time::Duration::from_millis(patience);
                        let Ok(turn) = tokio::time::timeout(patience, turns.take(&tenant, kind)).await else { return };
                        assert!(turns.count().0 <= usize::from(places), "seed {seed}");
                        tokio::time::sleep(std::time::Duration::from_millis(length)).await;
                        drop(turn);
                    })
                })
                .collect();
            let all = tokio::time::timeout(std::time::Duration::from_secs(30), futures::future::join_all(rounds)).await;
            assert!(all.unwrap_or_else(|_| panic!("seed {seed}: somebody waits for ever")).iter().all(Result::is_ok), "seed {seed}");
            assert_eq!(turns.count(), (0, 0), "seed {seed}");
        }
    }
}
