//! Running statements, each one on record before and after.

use std::time::Duration;

use controller_kit::events::Severity;
use doris_api::conditions::reason;
use doris_api::initializer::{DorisInitializerStatus, Phase, StatementState, StatementStatus};
use doris_client::{Error as DorisError, Session};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::look::{Again, Look};
use super::plan::delay;
use super::report::{Told, note};
use super::script::{self, Statement};
use crate::error::Error;
use crate::report::Finding;

/// A look goes on with further statements for this long, then the next one does: changes of the spec are seen between two looks.
const SLICE: Duration = Duration::from_secs(30);
/// Until the next look at an object that somebody else changed.
const CHANGED: Duration = Duration::from_millis(200);

impl Look<'_> {
    /// Runs the statements from one on, until the last or the first that fails.
    pub(super) async fn run(
        mut self,
        mut session: Session,
        statements: &[Statement],
        (chain, key): (&[String], &str),
        (from, is_new): (usize, bool),
    ) -> Result<Again, Error> {
        let limit = Duration::from_secs(u64::try_from(self.object.spec.statement_timeout_seconds).unwrap_or(1));
        if let Err(sentence) = self.prepare(&mut session, &statements[..from.min(statements.len())], limit).await {
            session.close().await;
            return self.waiting(reason::CLUSTER_NOT_READY, sentence).await;
        }
        let mut status = self.begun(statements.len(), chain, from, is_new);
        let began = self.ctx.clock.instant();
        for (index, statement) in statements.iter().enumerate().skip(from) {
            let mut shown = StatementStatus {
                number: number(index + 1),
                place: statement.place.clone(),
                digest: script::digest(&[key, &statement.text]),
                text: statement.shown(),
                message: was_interrupted(&status, index + 1)
                    .then(|| "was under work when this process took over; it runs again".to_owned()),
                ..StatementStatus::default()
            };
            note(&mut status.statements, shown.clone());
            let sentence = format!("statement {} of {} ({}) is under work", index + 1, statements.len(), statement.place);
            if !self.tell(status.clone(), &Told::Runs(sentence)).await? {
                // Somebody changed the object: what is sent next is decided on the new one.
                session.close().await;
                return Ok(Some(CHANGED));
            }
            let sent = self.ctx.clock.instant();
            let outcome = session.run_counted(&statement.text, limit).await;
            shown.milliseconds = i64::try_from(self.ctx.clock.instant().duration_since(sent).as_millis()).ok();
            shown.message = None;
            match outcome {
                Ok(rows) => {
                    shown.state = StatementState::Succeeded;
                    shown.rows = i64::try_from(rows).ok();
                    status.done = number(index + 1);
                    status.done_digest = chain.get(index + 1).cloned();
                    status.failures = 0;
                    note(&mut status.statements, shown);
                }
                Err(error) => {
                    session.close().await;
                    return self.failed(status, statement, shown, &error, limit).await;
                }
            }
            if index + 1 < statements.len() && self.ctx.clock.instant().duration_since(began) >= SLICE {
                session.close().await;
                let sentence = format!("{} of {} statements are done", index + 1, statements.len());
                self.tell(status, &Told::Runs(sentence)).await?;
                return Ok(Some(Duration::ZERO));
            }
        }
        session.close().await;
        self.finish(status).await
    }

    /// The status of a run that goes on from a statement.
    fn begun(&self, total: usize, chain: &[String], from: usize, is_new: bool) -> DorisInitializerStatus {
        let before = self.status();
        let now = Time(controller_kit::clock::whole_seconds(self.ctx.clock.now()));
        let (failures, started_at) = if is_new { (0, Some(now)) } else { (before.failures, before.started_at.clone().or(Some(now))) };
        let statements = if from == 0 && is_new { Vec::new() } else { before.statements.clone() };
        DorisInitializerStatus {
            phase: Some(Phase::Running),
            digest: chain.last().cloned(),
            done: number(from),
            done_digest: chain.get(from).cloned(),
            total: number(total),
            failures,
            started_at,
            finished_at: None,
            next_try_at: None,
            statements,
            ..before
        }
    }

    /// What a session needs before it can go on: its database, and what was said to the one before.
    async fn prepare(&self, session: &mut Session, done: &[Statement], limit: Duration) -> Result<(), String> {
        if let Some(database) = &self.object.spec.database {
            let chosen = session.use_database(database).await;
            chosen.map_err(|error| format!("database {database}, which spec.database names, cannot be used: {error}"))?;
        }
        for statement in done.iter().filter(|statement| statement.is_of_session()) {
            let said = session.run_counted(&statement.text, limit).await;
            said.map_err(|error| {
                format!("the statement of {} cannot be said again in a new session: {}", statement.place, words(statement, &error))
            })?;
        }
        Ok(())
    }

    async fn failed(
        mut self,
        mut status: DorisInitializerStatus,
        statement: &Statement,
        mut shown: StatementStatus,
        error: &DorisError,
        limit: Duration,
    ) -> Result<Again, Error> {
        let message = match error {
            DorisError::Timeout { .. } => {
                format!(
                    "Doris did not answer within {} s (spec.statementTimeoutSeconds); it may have done it all the same",
                    limit.as_secs()
                )
            }
            DorisError::Lost { .. } => "the connection to Doris was lost; it may have done it all the same".to_owned(),
            other => words(statement, other),
        };
        let message = controller_kit::text::cut(message, LONGEST_MESSAGE);
        let (number, total) = (shown.number, status.total);
        shown.state = StatementState::Failed;
        shown.message = Some(message.clone());
        note(&mut status.statements, shown);
        status.failures = status.failures.saturating_add(1);
        let failures = status.failures;
        let sentence = format!("statement {number} of {total} ({}) failed: {message}", statement.place);
        let Some(delay) = delay(&self.object.spec, failures) else {
            status.phase = Some(Phase::Failed);
            let sentence = format!(
                "{sentence}; after {failures} tries none is left: change the statements or the spec, and the run goes on from there"
            );
            self.event(Severity::Warning, reason::SQL_FAILED, sentence.clone()).await;
            self.tell(status, &Told::Stalls(Finding::new(reason::SQL_FAILED, sentence))).await?;
            return Ok(Some(Duration::from_mins(1)));
        };
        status.phase = Some(Phase::Retrying);
        let (now, seconds) = (self.ctx.clock.now(), i64::try_from(delay.as_secs()).unwrap_or(i64::MAX));
        let at = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
        status.next_try_at = Some(Time(controller_kit::clock::whole_seconds(at)));
        let sentence = format!("{sentence}; try {} follows in {} s", failures.saturating_add(1), delay.as_secs());
        self.tell(status, &Told::Waits(Finding::new(reason::SQL_FAILED, sentence))).await?;
        Ok(Some(delay))
    }

    async fn finish(mut self, mut status: DorisInitializerStatus) -> Result<Again, Error> {
        status.phase = Some(Phase::Succeeded);
        status.finished_at = Some(Time(controller_kit::clock::whole_seconds(self.ctx.clock.now())));
        let total = status.total;
        if self.tell(status, &Told::Done).await? {
            self.event(Severity::Normal, reason::SQL_DONE, format!("all {total} statements succeeded")).await;
        }
        Ok(Some(Duration::from_mins(1)))
    }
}

/// Longest message of a statement that failed.
const LONGEST_MESSAGE: usize = 400;

/// What may be shown of an error.
fn words(statement: &Statement, error: &DorisError) -> String {
    match error {
        DorisError::Refused { code, message, .. } => format!("{} (error {code})", statement.showable(message)),
        other => statement.showable(&other.to_string()),
    }
}

/// The status shows this statement as under work: whoever began it is gone.
fn was_interrupted(status: &DorisInitializerStatus, number: usize) -> bool {
    status.statements.iter().any(|known| known.state == StatementState::Running && usize::try_from(known.number) == Ok(number))
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
