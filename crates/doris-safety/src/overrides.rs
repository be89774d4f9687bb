//! Overrides of a rule by a person: an annotation that names the rule and says until when. Each is
//! used for one step and recorded, so that an annotation which stays in Git for ever acts once.

use std::collections::BTreeMap;
use std::time::Duration;

use doris_api::labels::OVERRIDE_PREFIX;
use doris_api::rules::SafetyRule;
use jiff::Timestamp;

/// No override reaches further ahead: one for years would be no rule any more.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// An annotation that overrides a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The rule.
    pub rule: SafetyRule,
    /// Until when.
    pub until: Timestamp,
    /// The annotation's value as it was written; with the rule it is the override's identity.
    pub value: String,
}

/// The record of an override that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverrideUse {
    /// Name of the rule.
    pub rule: SafetyRule,
    /// The annotation's value.
    pub value: String,
    /// The step that it was used for, with the operation that the step belongs to.
    pub step: String,
    /// When.
    pub at: Timestamp,
}

/// Why an annotation overrides nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its name is no rule's.
    #[error("{annotation}: {rule:?} is not a safety rule")]
    UnknownRule {
        /// The annotation.
        annotation: String,
        /// The name in it.
        rule: String,
    },
    /// Its value is no time.
    #[error("{annotation}: {value:?} is not a time such as 2026-11-23T09:30:00Z")]
    NoTime {
        /// The annotation.
        annotation: String,
        /// Its value.
        value: String,
    },
    /// Its time has passed.
    #[error("{annotation}: {until} has passed")]
    Expired {
        /// The annotation.
        annotation: String,
        /// Its time.
        until: Timestamp,
    },
    /// Its time is too far away.
    #[error("{annotation}: {until} is more than 7 days ahead; an override is for a step that is about to be done")]
    TooFar {
        /// The annotation.
        annotation: String,
        /// Its time.
        until: Timestamp,
    },
}

/// Name of the annotation that overrides a rule.
pub fn annotation(rule: SafetyRule) -> String {
    format!("{OVERRIDE_PREFIX}{rule}")
}

/// The overrides in an object's annotations, and what is wrong with those that are none.
pub fn overrides_of(annotations: &BTreeMap<String, String>, now: Timestamp) -> (Vec<Override>, Vec<Refused>) {
    let mut overrides = Vec::new();
    let mut refused = Vec::new();
    for (annotation, value) in annotations {
        let Some(rule) = annotation.strip_prefix(OVERRIDE_PREFIX) else { continue };
        match parse(annotation, rule, value, now) {
            Ok(one) => overrides.push(one),
            Err(why) => refused.push(why),
        }
    }
    (overrides, refused)
}

fn parse(annotation: &str, rule: &str, value: &str, now: Timestamp) -> Result<Override, Refused> {
    let annotation = annotation.to_owned();
    let Ok(rule) = rule.parse::<SafetyRule>() else { return Err(Refused::UnknownRule { annotation, rule: rule.to_owned() }) };
    let Ok(until) = value.trim().parse::<Timestamp>() else { return Err(Refused::NoTime { annotation, value: value.to_owned() }) };
    if until <= now {
        return Err(Refused::Expired { annotation, until });
    }
    if Duration::try_from(until.duration_since(now)).is_ok_and(|ahead| ahead > LONGEST) {
        return Err(Refused::TooFar { annotation, until });
    }
    Ok(Override { rule, until, value: value.to_owned() })
}

impl Override {
    /// Whether it may be used for a step: it has not been used, or for this very step, whose
    /// controller may have died between the record and the deed.
    pub fn applies(&self, step: &str, used: &[OverrideUse], now: Timestamp) -> bool {
        let records = used.iter().filter(|record| record.rule == self.rule && record.value == self.value);
        now < self.until && records.into_iter().all(|record| record.step == step)
    }

    /// The record of its use.
    pub fn used_for(&self, step: &str, now: Timestamp) -> OverrideUse {
        OverrideUse { rule: self.rule, value: self.value.clone(), step: step.to_owned(), at: now }
    }
}
