//! The status of an initializer.

use controller_kit::conditions::{Conditions, Progress};
use doris_api::DorisInitializer;
use doris_api::conditions::reason;
use doris_api::initializer::{DorisInitializerStatus, StatementStatus};
use jiff::Timestamp;

use crate::report::Finding;

/// Statements that the status shows: the one under work and those before it.
pub const SHOWN: usize = 20;
/// Longest text in the `STATUS` column.
const LONGEST_SUMMARY: usize = 120;

/// What the conditions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// All statements succeeded.
    Done,
    /// A statement is under work.
    Runs(String),
    /// Something is waited for.
    Waits(Finding),
    /// A person has to do something.
    Stalls(Finding),
}

/// Puts what follows from the rest into a status.
pub fn complete(initializer: &DorisInitializer, status: DorisInitializerStatus, told: &Told, now: Timestamp) -> DorisInitializerStatus {
    let old = initializer.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut conditions = Conditions::new(old, initializer.metadata.generation, now);
    let (progress, summary) = match told {
        Told::Done => {
            let message = format!("all {} statements succeeded", status.total);
            (Progress::Ready { message: message.clone() }, message)
        }
        Told::Runs(message) => (Progress::Reconciling { reason: reason::RUNNING_SQL, message: message.clone() }, message.clone()),
        Told::Waits(finding) => {
            (Progress::Reconciling { reason: finding.reason, message: finding.message.clone() }, finding.message.clone())
        }
        Told::Stalls(finding) => {
            let summary = format!("Stalled ({}): {}", finding.reason, finding.message);
            (Progress::Stalled { reason: finding.reason, message: finding.message.clone() }, summary)
        }
    };
    conditions.set_progress(&progress);
    DorisInitializerStatus {
        observed_generation: initializer.metadata.generation,
        summary: Some(controller_kit::text::cut(summary, LONGEST_SUMMARY)),
        progress: Some(format!("{}/{}", status.done, status.total)),
        conditions: conditions.finish(),
        ..status
    }
}

/// Puts what is known of a statement into the list that is shown; the oldest ones go.
pub fn note(statements: &mut Vec<StatementStatus>, statement: StatementStatus) {
    statements.retain(|known| known.number < statement.number);
    statements.push(statement);
    let excess = statements.len().saturating_sub(SHOWN);
    statements.drain(..excess);
}

#[cfg(test)]
mod tests {
    use super::{SHOWN, note};
    use doris_api::initializer::StatementStatus;

    #[test]
    fn the_last_statements_are_shown() {
        let of = |number| StatementStatus { number, ..StatementStatus::default() };
        let mut list = Vec::new();
        (1..=50).for_each(|number| note(&mut list, of(number)));
        assert_eq!(list.len(), SHOWN);
        assert_eq!(list.first().map(|statement| statement.number), Some(31));
        note(&mut list, of(40));
        assert_eq!(list.last().map(|statement| statement.number), Some(40), "a run that begins anew in the middle");
        note(&mut list, of(1));
        assert_eq!(list.iter().map(|statement| statement.number).collect::<Vec<_>>(), [1]);
    }
}
