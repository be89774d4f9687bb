//! How far backends are emptied, how long it will take, and why nothing moves.

use std::collections::BTreeMap;
use std::time::Duration;

use controller_kit::events::Severity;
use doris_api::Component;
use doris_api::cluster::OperationStatus;
use doris_client::{Queue, ScheduledTablet, Session, survey};
use doris_safety::Step;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::super::Round;
use crate::error::Error;
use crate::plan::scaling::Leaver;

/// The rate is that of so long.
const WINDOW: Duration = Duration::from_mins(5);
/// Between two samples.
const SAMPLE: Duration = Duration::from_secs(5);
/// So long without a tablet less is no pause any more.
const STANDS_STILL: Duration = Duration::from_mins(10);
/// Between two questions for the reason.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// How far it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Tablets that are left; `None` while no backend is being emptied.
    pub left: Option<u64>,
    /// Tablets when it began.
    pub total: u64,
    /// When the last one will be moved, by the rate of the last minutes.
    pub estimate: Option<Timestamp>,
    /// All this in a sentence.
    pub sentence: Option<String>,
}

impl Round<'_> {
    /// Counts the tablets on the backends that are being emptied.
    pub(super) async fn progress(
        &mut self,
        session: &mut Session,
        operation: Option<&OperationStatus>,
        leavers: &[Leaver],
    ) -> Result<Progress, Error> {
        let emptying: Vec<&Leaver> = leavers
            .iter()
            .filter(|leaver| leaver.component == Component::Be && leaver.row.as_ref().is_some_and(|row| row.emptying))
            .collect();
        if emptying.is_empty() {
            self.memory.scaling.samples.clear();
            self.memory.scaling.fewest = None;
            self.memory.scaling.stall = None;
            return Ok(Progress::default());
        }
        let left: u64 = emptying.iter().filter_map(|leaver| leaver.row.as_ref()).map(|row| row.tablets).sum();
        let total = operation.filter(|operation| counts_tablets(operation)).and_then(|operation| operation.total);
        let total = total.and_then(|total| u64::try_from(total).ok()).unwrap_or(0).max(left);
        let now = self.ctx.clock.instant();
        self.note_sample(now, left);
        let rate = self.rate();
        let names = emptying.iter().map(|leaver| leaver.pod.as_str()).collect::<Vec<_>>().join(", ");
        let mut sentence = match (left, rate) {
            (0, _) => format!("{names} {} empty: Doris drops them by itself, or they are dropped after five minutes", be(emptying.len())),
            (left, Some(rate)) => {
                format!("{names} {} emptied: {left} of {total} tablets are left, {rate:.0} go in a minute", being(emptying.len()))
            }
            (left, None) => format!("{names} {} emptied: {left} of {total} tablets are left", being(emptying.len())),
        };
        if left > 0
            && let Some(why) = self.why_nothing_moves(session, &emptying, now).await?
        {
            sentence = format!("{sentence}. For ten minutes none has gone: {why}");
        }
        let estimate = rate.filter(|_| left > 0).and_then(|rate| estimate(self.ctx.clock.now(), left, rate));
        Ok(Progress { left: Some(left), total, estimate, sentence: Some(sentence) })
    }

    fn note_sample(&mut self, now: Instant, left: u64) {
        let memory = &mut self.memory.scaling;
        if memory.fewest.is_none_or(|(fewest, _)| left != fewest && (left < fewest || left > fewest.saturating_mul(2))) {
            memory.fewest = Some((left, now));
            memory.stall = None;
        }
        if memory.samples.back().is_none_or(|(at, _)| now.duration_since(*at) >= SAMPLE) {
            memory.samples.push_back((now, left));
        }
        while memory.samples.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            memory.samples.pop_front();
        }
    }

    /// Tablets in a minute; `None` while it cannot be told.
    fn rate(&self) -> Option<f64> {
        let samples = &self.memory.scaling.samples;
        let ((began, first), (ended, last)) = (samples.front()?, samples.back()?);
        let minutes = ended.duration_since(*began).as_secs_f64() / 60.0;
        let moved = u32::try_from(first.checked_sub(*last)?).ok()?;
        (moved > 0 && minutes > 0.0).then(|| f64::from(moved) / minutes)
    }

    /// The reason, asked once a minute, when it has stood still for long; an Event tells it once.
    async fn why_nothing_moves(&mut self, session: &mut Session, emptying: &[&Leaver], now: Instant) -> Result<Option<String>, Error> {
        let stands_since = self.memory.scaling.fewest.map(|(_, since)| since);
        if stands_since.is_none_or(|since| now.duration_since(since) < STANDS_STILL) {
            return Ok(None);
        }
        if let Some((at, why)) = &self.memory.scaling.stall
            && now.duration_since(*at) < ASK_AGAIN
        {
            return Ok(Some(why.clone()));
        }
        let why = self.find_reason(session, emptying).await?;
        let is_news = self.memory.scaling.stall.as_ref().is_none_or(|(_, before)| *before != why);
        self.memory.scaling.stall = Some((now, why.clone()));
        if is_news {
            let names = emptying.iter().map(|leaver| leaver.pod.as_str()).collect::<Vec<_>>().join(", ");
            let note = format!("no tablet has left {names} for ten minutes: {why}");
            self.announce(Severity::Warning, "ScaleInStandsStill", super::KIND.name, note).await;
        }
        Ok(Some(why))
    }

    /// What keeps tablets where they are: what forbids it, then what the scheduler says of them.
    async fn find_reason(&mut self, session: &mut Session, emptying: &[&Leaver]) -> Result<String, Error> {
        let failed = |source| Error::Doris { what: "asking why no tablet moves", source };
        let rows = session.backends().await.map_err(failed)?;
        let ids = rows.iter().filter(|row| emptying.iter().any(|leaver| leaver.host == row.host)).map(|row| row.id).collect();
        let step = Step::DecommissionBackends { backends: ids };
        let observed = survey::for_step(session, &step, None, &BTreeMap::new()).await.map_err(failed)?;
        let mut forbidden = doris_safety::stalls(&observed, &step).into_iter().map(|blocked| blocked.sentence);
        if let Some(first) = forbidden.next() {
            return Ok(first);
        }
        let running = session.scheduled_tablets(Queue::Running).await.map_err(failed)?;
        let pending = session.scheduled_tablets(Queue::Pending).await.map_err(failed)?;
        Ok(by_the_scheduler(&running, &pending))
    }
}

/// What the scheduler's own lists tell.
fn by_the_scheduler(running: &[ScheduledTablet], pending: &[ScheduledTablet]) -> String {
    if running.is_empty() && pending.is_empty() {
        return "the tablets that are left are not on the scheduler's lists, so they most likely belong to dropped tables in the recycle bin \
                (SHOW CATALOG RECYCLE BIN); they go when catalog_trash_expire_second has passed, or with DROP CATALOG RECYCLE BIN, which \
                deletes what could still be recovered"
            .to_owned();
    }
    let failing = running.iter().chain(pending).filter(|tablet| !tablet.error.is_empty() || tablet.failures.1 > 0);
    match failing.max_by_key(|tablet| tablet.failures.1) {
        Some(tablet) if tablet.failures.1 > 0 => format!(
            "copying tablet {} has failed {} times ({}); a copy that takes too long is given more time by max_clone_task_timeout_sec",
            tablet.tablet, tablet.failures.1, tablet.error
        ),
        Some(tablet) => format!("the scheduler says of tablet {}: {}", tablet.tablet, tablet.error),
        None => {
            let (running, pending) = (running.len(), pending.len());
            format!("{running} tablets are being copied and {pending} wait; large tablets take their time, and so do running loads")
        }
    }
}

/// Whether an operation's numbers are of tablets.
pub(super) fn counts_tablets(operation: &OperationStatus) -> bool {
    operation.estimated_completion.is_some() || operation.step.contains(" tablets are left")
}

fn estimate(now: Timestamp, left: u64, rate: f64) -> Option<Timestamp> {
    let minutes = f64::from(u32::try_from(left).ok()?) / rate;
    let seconds = SignedDuration::try_from_secs_f64(minutes * 60.0).ok()?;
    let at = now.checked_add(seconds).ok()?;
    Timestamp::from_second(at.as_second()).ok()
}

fn be(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

fn being(number: usize) -> &'static str {
    if number == 1 { "is being" } else { "are being" }
}

#[cfg(test)]
mod tests {
    use super::{by_the_scheduler, estimate};
    use doris_client::ScheduledTablet;
    use jiff::Timestamp;

    fn tablet(failures: (u32, u32), error: &str) -> ScheduledTablet {
        ScheduledTablet {
            tablet: 7,
            kind: "REPAIR".into(),
            status: "REPLICA_RELOCATING".into(),
            destination: None,
            failures,
            error: error.into(),
        }
    }

    #[test]
    fn the_schedulers_lists_tell_why_nothing_moves() {
        let cases = [
            (vec![], vec![], "recycle bin"),
            (vec![tablet((0, 3), "clone timeout")], vec![], "failed 3 times (clone timeout)"),
            (vec![], vec![tablet((9, 0), "unable to find dest path")], "unable to find dest path"),
            (vec![tablet((0, 0), "")], vec![], "1 tablets are being copied"),
        ];
        for (running, pending, words) in cases {
            let told = by_the_scheduler(&running, &pending);
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn the_end_is_estimated_by_the_rate() {
        let at = estimate(Timestamp::UNIX_EPOCH, 30, 10.0).map(Timestamp::as_second);
        assert_eq!(at, Some(180));
    }
}
