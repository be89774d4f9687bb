//! Accounts: which stored password logs in, and what follows from it.
//!
//! A password is stored before Doris learns it, so after a crash at any point one of the candidates
//! still logs in and says where the work stopped.

use std::time::Duration;

use doris_client::{Login, Password};
use tokio::time::Instant;

/// A candidate login, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Candidate {
    /// The operator's account with its current password.
    Operator,
    /// The operator's account with the password it is being changed to.
    OperatorNext,
    /// Root with the password that Doris last took.
    RootApplied,
    /// Root with the password that it is being changed to.
    RootNext,
    /// Root with the password that the spec asks for.
    RootWanted,
    /// Root without a password.
    RootEmpty,
}

/// How a login that was of no use ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Doris refused user or password (1045).
    Denied,
    /// Not a matter of passwords: no connection, no answer, another error.
    Unclear,
}

/// Which login is tried next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try this one.
    Try(Candidate),
    /// Something other than a password was in the way; nothing may be concluded, and no other login be tried.
    Wait,
    /// Every candidate was denied.
    LockedOut,
}

/// Order while the cluster is being founded. Root alone can finish a set-up that was broken off:
/// the operator's account may be there already and lack a right.
pub const FOUNDING: [Candidate; 3] = [Candidate::RootApplied, Candidate::RootWanted, Candidate::RootEmpty];

/// Order in which an account of the operator that is refused is set up again; its own two passwords were tried before.
pub const REGAINING: [Candidate; 4] = [Candidate::RootApplied, Candidate::RootNext, Candidate::RootWanted, Candidate::RootEmpty];

/// Order in which root's password is changed. An empty one is nobody's wish, and each vain try counts where the user
/// set accounts to be locked.
pub const ROOT: [Candidate; 3] = [Candidate::RootApplied, Candidate::RootNext, Candidate::RootWanted];

/// Decides from the logins tried in vain so far. `has` tells which candidates have a stored password.
pub fn plan(order: &[Candidate], tried: &[(Candidate, Outcome)], has: impl Fn(Candidate) -> bool) -> Step {
    for candidate in order.iter().copied().filter(|candidate| has(*candidate)) {
        match tried.iter().find(|(known, _)| *known == candidate).map(|(_, outcome)| *outcome) {
            None => return Step::Try(candidate),
            Some(Outcome::Unclear) => return Step::Wait,
            Some(Outcome::Denied) => {}
        }
    }
    Step::LockedOut
}

/// Passwords of one account: which one Doris has by our record, which one it is being given, and which one it is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passwords {
    /// The one that Doris last took.
    pub applied: Option<Password>,
    /// The one that was about to be set; only root's is recorded.
    pub next: Option<Password>,
    /// The one it is to have; `None` if nobody asks for one.
    pub wanted: Option<Password>,
}

impl Passwords {
    /// Whether anything is to be done. At rest nothing is, and Doris is not asked.
    pub fn are_due(&self) -> bool {
        self.next.is_some() || (self.wanted.is_some() && self.wanted != self.applied)
    }

    /// What follows from the login by which root came in. The first that works is the only one that does.
    pub fn root_step(&self, by: Candidate) -> RootStep {
        let record = |password: &Option<Password>| password.clone().map_or(RootStep::Nothing, RootStep::Record);
        match (by, &self.wanted) {
            (Candidate::RootNext, _) => record(&self.next),
            (Candidate::RootWanted, _) => record(&self.wanted),
            (Candidate::RootApplied, Some(wanted)) if self.applied.as_ref() != Some(wanted) => RootStep::Set(wanted.clone()),
            // What was about to be set is not asked for any more, and Doris never took it.
            (Candidate::RootApplied, _) => record(&self.applied),
            (Candidate::RootEmpty | Candidate::Operator | Candidate::OperatorNext, _) => RootStep::Nothing,
        }
    }
}

/// The password that an account is to have. Without one of the user it is the generated one, unless nobody knows what
/// Doris has: then the account belongs to whoever set it.
pub fn wanted(given: Option<&Password>, generated: &Password, applied: Option<&Password>) -> Option<Password> {
    given.or_else(|| applied.map(|_| generated)).cloned()
}

/// What is done about root's password, once it is known by which one it logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootStep {
    /// Nothing.
    Nothing,
    /// Put it on record as the next one, have Doris take it, log in with it, put it on record as the one in force.
    Set(Password),
    /// Doris has it: put it on record as the one in force.
    Record(Password),
}

/// What is done about the operator's own password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnStep {
    /// Nothing.
    Nothing,
    /// Make a new one and store it as the next one.
    Store,
    /// Have Doris take the next one.
    Set,
    /// Doris has the next one: log in with it elsewhere, too, and let it take the place of the current one.
    Promote,
}

/// Decides about the operator's own password. `asked` and `done` are the wishes for a new one, by digest.
pub fn own_step(by: Candidate, has_next: bool, asked: Option<&str>, done: Option<&str>) -> OwnStep {
    match (by, has_next) {
        (Candidate::OperatorNext, _) => OwnStep::Promote,
        (_, true) => OwnStep::Set,
        (_, false) if asked.is_some() && asked != done => OwnStep::Store,
        (_, false) => OwnStep::Nothing,
    }
}

/// Logins that Doris refused and when each is tried again: where the user has accounts locked after refusals, trying
/// must not be what locks them.
#[derive(Debug, Default)]
pub struct Patience(Vec<Refused>);

#[derive(Debug)]
struct Refused {
    login: Login,
    again_at: Instant,
    pause: Duration,
}

/// Between two tries of one login.
const PAUSE: Duration = Duration::from_mins(1);
/// The same for root, after many: nothing but a person changes what it answers.
const LONGEST_PAUSE: Duration = Duration::from_mins(30);
/// Logins remembered; one that is forgotten is tried once too early.
const REMEMBERED: usize = 16;

impl Patience {
    /// Whether a login may be tried now.
    pub fn allows(&self, login: &Login, now: Instant) -> bool {
        self.0.iter().all(|refused| refused.login != *login || now >= refused.again_at)
    }

    /// Takes note of a refusal. Each one of the same login doubles the pause where `lengthens`.
    pub fn refused(&mut self, login: &Login, lengthens: bool, now: Instant) {
        let before = self.0.iter().find(|refused| refused.login == *login).map(|refused| refused.pause);
        let pause = before.filter(|_| lengthens).map_or(PAUSE, |before| (before * 2).min(LONGEST_PAUSE));
        self.0.retain(|refused| refused.login != *login);
        if self.0.len() >= REMEMBERED {
            self.0.remove(0);
        }
        self.0.push(Refused { login: login.clone(), again_at: now + pause, pause });
    }

    /// The account lets us in, or has another password: what it refused before says nothing any more.
    pub fn forget(&mut self, user: &str) {
        self.0.retain(|refused| refused.login.user != user);
    }
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
