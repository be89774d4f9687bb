//! Refusals.

use std::fmt;

use doris_api::cluster::BlockedBy;
use doris_api::rules::SafetyRule;

/// One rule does not allow a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The rule.
    pub rule: SafetyRule,
    /// What it is about: a table, a disk, a frontend, a job.
    pub object: String,
    /// What is so, and what would end it.
    pub sentence: String,
    /// Why no annotation can override this refusal, if none can.
    pub hard: Option<&'static str>,
}

impl Blocked {
    /// A refusal that a person may override.
    pub(crate) fn soft(rule: SafetyRule, object: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { rule, object: object.into(), sentence: sentence.into(), hard: None }
    }

    /// A refusal that stands whatever anybody says.
    pub(crate) fn hard(rule: SafetyRule, object: impl Into<String>, sentence: impl Into<String>, why: &'static str) -> Self {
        Self { rule, object: object.into(), sentence: sentence.into(), hard: Some(why) }
    }

    /// A rule cannot be judged because something was not read.
    pub(crate) fn unread(rule: SafetyRule, what: &str) -> Self {
        let sentence = format!("{what} could not be read, and without that this step cannot be judged; it is read again at the next look");
        Self::soft(rule, what, sentence)
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.rule, self.sentence)?;
        if let Some(why) = self.hard { write!(formatter, " (cannot be overridden: {why})") } else { Ok(()) }
    }
}

impl From<&Blocked> for BlockedBy {
    fn from(blocked: &Blocked) -> Self {
        let message = match blocked.hard {
            Some(why) => format!("{} (cannot be overridden: {why})", blocked.sentence),
            None => blocked.sentence.clone(),
        };
        Self { rule: blocked.rule.name().to_owned(), object: blocked.object.clone(), message }
    }
}

/// All rules that do not allow a step, in the order of [`SafetyRule::ALL`]; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Each rule's refusals.
    pub blocked: Vec<Blocked>,
}

impl Refusal {
    /// The refusals as the status shows them, at most 32.
    pub fn status(&self) -> Vec<BlockedBy> {
        self.blocked.iter().take(32).map(BlockedBy::from).collect()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, blocked) in self.blocked.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{blocked}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
