//! Telling what the safety rules refuse: in the status, as an Event, as a number.

use std::collections::BTreeSet;

use controller_kit::events::Severity;
use doris_api::conditions::reason;
use doris_api::rules::SafetyRule;
use doris_safety::{Blocked, Passed, Refusal};

use super::Round;
use crate::safety;

/// Sentences of a refusal that a condition repeats; all are in `status.operation.blockedBy`.
const TOLD: usize = 3;

/// What was told last, so that the same refusal is no news.
#[derive(Debug, Default)]
pub struct RefusalMemory {
    told: BTreeSet<(SafetyRule, String)>,
}

impl Round<'_> {
    /// Tells a refusal: as an Event if it is news, and as a number. `what` begins the sentence, as in "demo-be-2 is not restarted".
    pub(super) async fn tell_refusal(&mut self, what: &str, refusal: &Refusal) {
        let rules: BTreeSet<SafetyRule> = refusal.blocked.iter().map(|blocked| blocked.rule).collect();
        self.ctx.safety.refused(&rules);
        self.ctx.safety.blocked(self.key, &rules);
        let news: BTreeSet<_> = refusal.blocked.iter().map(|blocked| (blocked.rule, blocked.object.clone())).collect();
        if self.memory.refusal.told == news {
            return;
        }
        self.memory.refusal.told = news;
        tracing::info!(cluster = self.key.name, %refusal, "a safety rule refuses a step");
        let note = format!("{what}: {}", sentences(&refusal.blocked));
        self.announce(Severity::Warning, reason::BLOCKED, "Check", note).await;
    }

    /// Nothing is refused any more.
    pub(super) fn tell_leave(&mut self) {
        self.memory.refusal.told.clear();
        self.ctx.safety.blocked(self.key, &BTreeSet::new());
    }

    /// Whether every override that a step needs is on record. What is not is recorded now, and the
    /// step is done once the server has the record.
    pub(super) async fn overrides_are_recorded(&mut self, passed: &Passed) -> bool {
        let on_server = self.cluster.status.iter().flat_map(|status| &status.overrides);
        let known: BTreeSet<(String, String)> = on_server.map(|record| (record.rule.clone(), record.value.clone())).collect();
        let mut all = true;
        for used in &passed.used {
            if known.contains(&(used.rule.name().to_owned(), used.value.clone())) {
                continue;
            }
            all = false;
            self.facts.overrides.push(safety::record(used));
            self.ctx.safety.overridden(used.rule);
            let overridden: Vec<Blocked> = passed.overridden.iter().filter(|blocked| blocked.rule == used.rule).cloned().collect();
            let note = format!("{} is overridden until {} for {}: {}", used.rule, used.value, used.step, sentences(&overridden));
            self.announce(Severity::Warning, reason::OVERRIDDEN, "Check", note).await;
        }
        all
    }
}

/// The first refusals with their rules.
pub(super) fn sentences(blocked: &[Blocked]) -> String {
    let told: Vec<String> = blocked.iter().take(TOLD).map(ToString::to_string).collect();
    let more = blocked.len().saturating_sub(TOLD);
    let rest = if more == 0 { String::new() } else { format!("; and {more} more in status.operation.blockedBy") };
    format!("{}{rest}", told.join("; "))
}

/// A refusal in one sentence, with what is mistaken about the overrides that somebody wrote.
pub(super) fn sentence(what: &str, blocked: &[Blocked], mistaken: &[String]) -> String {
    let told = [sentences(blocked)].into_iter().chain(mistaken.iter().cloned());
    format!("{what}: {}", told.collect::<Vec<_>>().join("; "))
}

/// Rules about our own view and our own turn: they end by themselves within moments.
pub(super) fn is_passing(refusal: &Refusal) -> bool {
    refusal.blocked.iter().all(|blocked| matches!(blocked.rule, SafetyRule::OneAtATime | SafetyRule::Fresh))
}
