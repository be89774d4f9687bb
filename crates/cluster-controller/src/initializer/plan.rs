//! What is done next about an initializer. Pure: decides on what was read.

use std::time::Duration;

use doris_api::initializer::{DorisInitializerSpec, DorisInitializerStatus, Phase, RunPolicy};
use jiff::Timestamp;

/// What is known of the statements, without their text.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// Digests of nothing, of the first statement, of the first two, and so on.
    pub chain: &'a [String],
}

impl Script<'_> {
    /// Digest of all of them.
    pub fn digest(&self) -> &str {
        self.chain.last().map(String::as_str).unwrap_or_default()
    }

    /// How many of them are known to be done: the run goes on after those that did not change.
    fn done(&self, status: &DorisInitializerStatus) -> usize {
        let done = usize::try_from(status.done).unwrap_or(0);
        let is_same = self.chain.get(done).is_some_and(|digest| status.done_digest.as_ref() == Some(digest));
        if is_same { done } else { 0 }
    }
}

/// What is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// All is done.
    Rest,
    /// No try is left; a change of the spec or of the statements gives new ones.
    GivenUp,
    /// The next try is due later.
    Later(Duration),
    /// The statements from this one on are run, counted from 0.
    Run {
        /// The first of them.
        from: usize,
        /// It is another run than the one that the status tells of.
        is_new: bool,
    },
}

/// Whether the statements need not even be read.
pub fn is_settled(spec: &DorisInitializerSpec, status: &DorisInitializerStatus) -> bool {
    status.phase == Some(Phase::Succeeded) && spec.run == RunPolicy::Once
}

/// Decides what is done next.
pub fn plan(
    spec: &DorisInitializerSpec,
    generation: Option<i64>,
    status: &DorisInitializerStatus,
    script: Script<'_>,
    now: Timestamp,
) -> Step {
    let is_same_script = status.digest.as_deref() == Some(script.digest());
    let is_changed = !is_same_script || status.observed_generation != generation;
    match status.phase {
        Some(Phase::Succeeded) if spec.run == RunPolicy::Once || is_same_script => Step::Rest,
        Some(Phase::Succeeded) => Step::Run { from: 0, is_new: true },
        Some(Phase::Failed) if !is_changed => Step::GivenUp,
        Some(Phase::Retrying) if !is_changed => match status.next_try_at.as_ref().map(|at| at.0.duration_since(now)) {
            Some(left) if left.is_positive() => Step::Later(left.unsigned_abs()),
            _ => Step::Run { from: script.done(status), is_new: false },
        },
        Some(Phase::Failed | Phase::Retrying) | None => {
            Step::Run { from: script.done(status), is_new: status.phase.is_none() || is_changed }
        }
        Some(Phase::Running | Phase::Waiting) => Step::Run { from: script.done(status), is_new: !is_same_script },
    }
}

/// How long the next try is waited for after so many failures in a row, the first being 1; `None` if there is none.
pub fn delay(spec: &DorisInitializerSpec, failures: i32) -> Option<Duration> {
    let retries = spec.retries;
    if failures > retries.limit {
        return None;
    }
    let longest = u64::try_from(retries.max_delay_seconds).unwrap_or(0);
    let first = u64::try_from(retries.delay_seconds).unwrap_or(0);
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(0);
    let seconds = 2_u64.checked_pow(doublings).and_then(|factor| first.checked_mul(factor)).map_or(longest, |delay| delay.min(longest));
    Some(Duration::from_secs(seconds.max(1)))
}

#[cfg(test)]
mod tests {
    use super::{Script, Step, delay, is_settled, plan};
    use doris_api::initializer::{DorisInitializerSpec, DorisInitializerStatus, Phase, RunPolicy};
    use jiff::{SignedDuration, Timestamp};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use std::time::Duration;

    fn spec(run: RunPolicy) -> DorisInitializerSpec {
        let spec = serde_json::json!({"clusterRef": {"name": "demo"}, "sql": [{"text": "SELECT 1"}]});
        DorisInitializerSpec { run, ..serde_json::from_value(spec).expect("a spec") }
    }

    fn chain(texts: &[&str]) -> Vec<String> {
        texts
            .iter()
            .scan(String::new(), |all, text| {
                all.push_str(text);
                Some(all.clone())
            })
            .collect()
    }

    fn status(phase: Phase, digest: &str, done: i32, done_digest: &str) -> DorisInitializerStatus {
        DorisInitializerStatus {
            observed_generation: Some(1),
            phase: Some(phase),
            digest: Some(digest.into()),
            done,
            done_digest: Some(done_digest.into()),
            ..DorisInitializerStatus::default()
        }
    }

    #[test]
    fn a_run_goes_on_after_what_is_done_and_begins_anew_where_that_changed() {
        let run = |from, is_new| Step::Run { from, is_new };
        // The digest of `n` statements is `s` and the first `n` letters.
        let (abc, abx, xbc) = (chain(&["s", "a", "b", "c"]), chain(&["s", "a", "b", "x"]), chain(&["s", "x", "b", "c"]));
        let table = [
            (RunPolicy::Once, DorisInitializerStatus::default(), &abc, run(0, true)),
            (RunPolicy::Once, status(Phase::Running, "sabc", 2, "sab"), &abc, run(2, false)),
            (RunPolicy::Once, status(Phase::Waiting, "sabc", 2, "sab"), &abc, run(2, false)),
            (RunPolicy::Once, status(Phase::Running, "sabc", 2, "sab"), &abx, run(2, true)),
            (RunPolicy::Once, status(Phase::Running, "sabc", 2, "sab"), &xbc, run(0, true)),
            (RunPolicy::Once, status(Phase::Running, "sabc", 9, "sab"), &abc, run(0, false)),
            (RunPolicy::Once, status(Phase::Failed, "sabc", 2, "sab"), &abc, Step::GivenUp),
            (RunPolicy::Once, status(Phase::Failed, "sabc", 2, "sab"), &abx, run(2, true)),
            (RunPolicy::Once, status(Phase::Succeeded, "sabc", 3, "sabc"), &abx, Step::Rest),
            (RunPolicy::OnChange, status(Phase::Succeeded, "sabc", 3, "sabc"), &abc, Step::Rest),
            (RunPolicy::OnChange, status(Phase::Succeeded, "sabc", 3, "sabc"), &abx, run(0, true)),
        ];
        for (policy, status, chain, step) in table {
            let told = plan(&spec(policy), Some(1), &status, Script { chain }, Timestamp::UNIX_EPOCH);
            assert_eq!(told, step, "{policy:?} {status:?}");
        }
        assert!(is_settled(&spec(RunPolicy::Once), &status(Phase::Succeeded, "x", 3, "x")));
        assert!(!is_settled(&spec(RunPolicy::OnChange), &status(Phase::Succeeded, "x", 3, "x")));
    }

    #[test]
    fn a_change_of_the_spec_gives_new_tries_at_once() {
        let (chain, now) = (chain(&["s", "a"]), Timestamp::UNIX_EPOCH);
        let mut waiting = status(Phase::Retrying, "sa", 0, "s");
        waiting.next_try_at = Some(Time(now + SignedDuration::from_secs(7)));
        let script = Script { chain: &chain };
        assert_eq!(plan(&spec(RunPolicy::Once), Some(1), &waiting, script, now), Step::Later(Duration::from_secs(7)));
        assert_eq!(
            plan(&spec(RunPolicy::Once), Some(1), &waiting, script, now + SignedDuration::from_secs(7)),
            Step::Run { from: 0, is_new: false }
        );
        assert_eq!(plan(&spec(RunPolicy::Once), Some(2), &waiting, script, now), Step::Run { from: 0, is_new: true });
        let failed = status(Phase::Failed, "sa", 0, "s");
        assert_eq!(plan(&spec(RunPolicy::Once), Some(2), &failed, script, now), Step::Run { from: 0, is_new: true });
    }

    #[test]
    fn tries_come_at_longer_and_longer_intervals_and_end() {
        let mut spec = spec(RunPolicy::Once);
        spec.retries.max_delay_seconds = 60;
        let delays: Vec<_> = (1..=6).map(|failures| delay(&spec, failures).map(|delay| delay.as_secs())).collect();
        assert_eq!(delays, [Some(10), Some(20), Some(40), Some(60), Some(60), None]);
        spec.retries.limit = 100;
        assert_eq!(delay(&spec, 90).map(|delay| delay.as_secs()), Some(60));
    }
}
