//! Work that is due: each piece at most once, in the order it came; later work by time.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::index::Key;

/// A controller's number and the object it has to look at.
pub(crate) type Work = (usize, Key);

/// First and longest delay after failures, as in the real work queues.
const FIRST_DELAY: Duration = Duration::from_millis(5);
const LONGEST_DELAY: Duration = Duration::from_secs(1000);

#[derive(Default)]
pub(crate) struct Queue {
    urgent: VecDeque<Work>,
    ready: VecDeque<Work>,
    waiting: HashSet<Work>,
    timers: BTreeMap<(Instant, u64), Work>,
    timed: HashMap<Work, (Instant, u64)>,
    failures: HashMap<Work, u32>,
    sequence: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, work: Work) {
        if self.waiting.insert(work.clone()) {
            self.ready.push_back(work);
        }
    }

    /// Does it before all that is not urgent.
    pub(crate) fn push_urgent(&mut self, work: Work) {
        if self.waiting.insert(work.clone()) {
            self.urgent.push_back(work);
        }
    }

    /// Looks at it again at this time, or earlier if that was already agreed.
    pub(crate) fn push_at(&mut self, work: Work, at: Instant) {
        if let Some(earlier) = self.timed.get(&work).copied() {
            if earlier.0 <= at {
                return;
            }
            self.timers.remove(&earlier);
        }
        self.sequence += 1;
        let slot = (at, self.sequence);
        self.timed.insert(work.clone(), slot);
        self.timers.insert(slot, work);
    }

    /// Takes the oldest piece of ready work, urgent work first.
    pub(crate) fn pop(&mut self) -> Option<Work> {
        let work = self.urgent.pop_front().or_else(|| self.ready.pop_front())?;
        self.waiting.remove(&work);
        Some(work)
    }

    /// Makes what is due by now ready.
    pub(crate) fn ripen(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let work = entry.remove();
            self.timed.remove(&work);
            self.push(work);
        }
    }

    /// When the next timer is due.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// How long to wait after one more failure.
    pub(crate) fn back_off(&mut self, work: &Work) -> Duration {
        let failures = self.failures.entry(work.clone()).or_default();
        *failures += 1;
        FIRST_DELAY.saturating_mul(1_u32.checked_shl(*failures - 1).unwrap_or(u32::MAX)).min(LONGEST_DELAY)
    }

    /// The work was done.
    pub(crate) fn succeed(&mut self, work: &Work) {
        self.failures.remove(work);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Queue;
    use crate::index::Key;

    fn key(name: &str) -> Key {
        Key { name: name.into(), ..Key::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_done_once_and_in_order() {
        let mut queue = Queue::default();
        for name in ["b", "a", "b"] {
            queue.push((0, key(name)));
        }
        assert_eq!(queue.pop(), Some((0, key("b"))));
        assert_eq!(queue.pop(), Some((0, key("a"))));
        assert_eq!(queue.pop(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn urgent_work_overtakes() {
        let mut queue = Queue::default();
        queue.push((0, key("a")));
        queue.push_urgent((1, key("b")));
        queue.push_urgent((1, key("c")));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, key)| key.name).collect();
        assert_eq!(order, ["b", "c", "a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_of_two_timers_counts() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.push_at((0, key("a")), now + Duration::from_secs(9));
        queue.push_at((0, key("a")), now + Duration::from_secs(2));
        queue.push_at((0, key("a")), now + Duration::from_secs(5));
        assert_eq!(queue.next_timer(), Some(now + Duration::from_secs(2)));
        queue.ripen(now + Duration::from_secs(2));
        assert_eq!(queue.pop(), Some((0, key("a"))));
        assert_eq!(queue.next_timer(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn delays_double_up_to_a_bound_and_start_over_after_success() {
        let mut queue = Queue::default();
        let work = (0, key("a"));
        assert_eq!(queue.back_off(&work), Duration::from_millis(5));
        assert_eq!(queue.back_off(&work), Duration::from_millis(10));
        for _ in 0..60 {
            queue.back_off(&work);
        }
        assert_eq!(queue.back_off(&work), Duration::from_secs(1000));
        queue.succeed(&work);
        assert_eq!(queue.back_off(&work), Duration::from_millis(5));
    }
}
