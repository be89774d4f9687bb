//! `metav1.Condition` as every tool reads it: transition times that only move with the status, and
//! the triple `Ready`, `Reconciling`, `Stalled`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::clock::whole_seconds;

/// The server refuses longer messages.
const LONGEST_MESSAGE: usize = 32_768;

/// Truth of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody can tell.
    Unknown,
}

impl Truth {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// Builds one manager's list of conditions from the list that the object has.
pub struct Conditions<'a> {
    previous: &'a [Condition],
    observed_generation: Option<i64>,
    now: Timestamp,
    built: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// Begins with what the object has now, whoever wrote it.
    pub fn new(previous: &'a [Condition], observed_generation: Option<i64>, now: Timestamp) -> Self {
        Self { previous, observed_generation, now: whole_seconds(now), built: Vec::new() }
    }

    /// Sets a condition. Its time moves only if its status differs from before; a second setting of
    /// the same type replaces the first, since the server refuses duplicates.
    pub fn set(&mut self, type_: &str, status: Truth, reason: &str, message: impl Into<String>) -> &mut Self {
        let since = self
            .previous
            .iter()
            .find(|condition| condition.type_ == type_ && condition.status == status.as_str())
            .map_or(Time(self.now), |condition| condition.last_transition_time.clone());
        let condition = Condition {
            type_: type_.to_owned(),
            status: status.as_str().to_owned(),
            reason: reason.to_owned(),
            message: crate::text::cut(message.into(), LONGEST_MESSAGE),
            observed_generation: self.observed_generation,
            last_transition_time: since,
        };
        match self.built.iter_mut().find(|built| built.type_ == type_) {
            Some(built) => *built = condition,
            None => self.built.push(condition),
        }
        self
    }

    /// Sets `Ready`, `Reconciling` and `Stalled` so that every tool that follows kstatus agrees.
    pub fn set_progress(&mut self, progress: &Progress) -> &mut Self {
        let (ready, reconciling, stalled, reason, message) = match progress {
            Progress::Ready { message } => (true, false, false, "Ready", message),
            Progress::Reconciling { reason, message } => (false, true, false, *reason, message),
            Progress::ReadyAndReconciling { reason, message } => (true, true, false, *reason, message),
            Progress::Stalled { reason, message } => (false, false, true, *reason, message),
            Progress::Resting { reason, message } => (false, false, false, *reason, message),
        };
        self.set("Ready", ready.into(), reason, message.as_str());
        self.set("Reconciling", reconciling.into(), reason, message.as_str());
        self.set("Stalled", stalled.into(), reason, message.as_str())
    }

    /// The conditions in the order in which they were set.
    pub fn finish(self) -> Vec<Condition> {
        self.built
    }
}

/// How far an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// What was asked for is there.
    Ready {
        /// A sentence.
        message: String,
    },
    /// Not there yet; work goes on.
    Reconciling {
        /// A word.
        reason: &'static str,
        /// What is waited for.
        message: String,
    },
    /// In service while a change is being made.
    ReadyAndReconciling {
        /// A word.
        reason: &'static str,
        /// What is being changed.
        message: String,
    },
    /// Not in service, as was asked for.
    Resting {
        /// A word.
        reason: &'static str,
        /// What is so, and how it ends.
        message: String,
    },
    /// Nothing goes on until somebody does something.
    Stalled {
        /// A word.
        reason: &'static str,
        /// What somebody has to do.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::{Conditions, Progress, Truth};
    use jiff::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::new(second, 123_000_000).expect("a time")
    }

    #[test]
    fn a_transition_time_moves_only_with_the_status() {
        let mut first = Conditions::new(&[], Some(1), at(100));
        first.set("FrontendQuorum", Truth::True, "Majority", "3 of 3");
        let first = first.finish();
        assert_eq!(first[0].last_transition_time.0, Timestamp::from_second(100).expect("a time"));

        for (status, second) in [(Truth::True, 100), (Truth::False, 200), (Truth::Unknown, 200)] {
            let mut next = Conditions::new(&first, Some(2), at(200));
            next.set("FrontendQuorum", status, "Other", "2 of 3");
            let next = next.finish();
            assert_eq!(next[0].last_transition_time.0.as_second(), second, "{status:?}");
            assert_eq!((next[0].observed_generation, next[0].message.as_str()), (Some(2), "2 of 3"));
        }
    }

    #[test]
    fn a_type_is_never_twice_in_the_list() {
        let mut conditions = Conditions::new(&[], None, at(1));
        conditions.set("A", Truth::True, "X", "x").set("B", Truth::True, "X", "x").set("A", Truth::False, "Y", "y");
        let built = conditions.finish();
        assert_eq!(built.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect::<Vec<_>>(), [("A", "False"), ("B", "True")]);
    }

    #[test]
    fn progress_becomes_three_conditions_that_agree() {
        let text = |message: &str| message.to_owned();
        let cases = [
            (Progress::Ready { message: text("m") }, ["True", "False", "False"]),
            (Progress::Reconciling { reason: "Creating", message: text("m") }, ["False", "True", "False"]),
            (Progress::ReadyAndReconciling { reason: "Upgrading", message: text("m") }, ["True", "True", "False"]),
            (Progress::Stalled { reason: "Invalid", message: text("m") }, ["False", "False", "True"]),
            (Progress::Resting { reason: "Suspended", message: text("m") }, ["False", "False", "False"]),
        ];
        for (progress, expected) in cases {
            let mut conditions = Conditions::new(&[], Some(1), at(1));
            conditions.set_progress(&progress);
            let built = conditions.finish();
            assert_eq!(built.iter().map(|c| c.status.as_str()).collect::<Vec<_>>(), expected, "{progress:?}");
        }
    }
}
