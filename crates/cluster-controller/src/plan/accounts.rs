//! Accounts: which stored password logs in, and what follows from it.
//!
//! The operator's password is stored before Doris learns it, so after a crash at any point one of
//! the candidates still logs in and says where the work stopped.

/// A candidate login, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Candidate {
    /// The operator's account with its current password.
    Operator,
    /// The operator's account with the password it is being changed to.
    OperatorNext,
    /// Root with the password that Doris last took.
    RootApplied,
    /// Root with the password that the spec asks for.
    RootWanted,
    /// Root without a password.
    RootEmpty,
}

/// How one login ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Works,
    /// Doris refused user or password (1045).
    Denied,
    /// Not a matter of passwords: no connection, no answer, another error.
    Unclear,
}

/// What is to be done about accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The operator's account works.
    Ready,
    /// The next password has become the valid one: promote it in the Secret.
    PromoteNext,
    /// Try this login and plan again.
    Try(Candidate),
    /// As root by this login: create the account (or give it the stored password again), grant it
    /// its rights, give root the wanted password if it has another, give admin its own.
    Establish {
        /// The login of root that works.
        by: Candidate,
        /// Root does not have the wanted password yet.
        set_root: bool,
    },
    /// No frontend could be asked; nothing may be concluded.
    Wait,
    /// Every candidate was denied.
    LockedOut,
}

/// Order while the cluster is being founded. Root alone can finish a set-up that was broken off:
/// the operator's account may be there already and lack a right.
pub const FOUNDING: [Candidate; 3] = [Candidate::RootWanted, Candidate::RootApplied, Candidate::RootEmpty];

/// Order in a founded cluster.
pub const FOUNDED: [Candidate; 5] =
    [Candidate::Operator, Candidate::OperatorNext, Candidate::RootApplied, Candidate::RootWanted, Candidate::RootEmpty];

/// Decides from the logins tried so far. `has` tells which candidates have a stored password.
pub fn plan(order: &[Candidate], tried: &[(Candidate, Outcome)], has: impl Fn(Candidate) -> bool) -> Step {
    for candidate in order.iter().copied().filter(|candidate| has(*candidate)) {
        match tried.iter().find(|(known, _)| *known == candidate).map(|(_, outcome)| *outcome) {
            None => return Step::Try(candidate),
            Some(Outcome::Unclear) => return Step::Wait,
            Some(Outcome::Denied) => {}
            Some(Outcome::Works) => {
                return match candidate {
                    Candidate::Operator => Step::Ready,
                    Candidate::OperatorNext => Step::PromoteNext,
                    Candidate::RootApplied => Step::Establish { by: candidate, set_root: has(Candidate::RootWanted) },
                    Candidate::RootWanted => Step::Establish { by: candidate, set_root: false },
                    Candidate::RootEmpty => Step::Establish { by: candidate, set_root: true },
                };
            }
        }
    }
    Step::LockedOut
}

#[cfg(test)]
mod tests {
    use super::Candidate::{Operator, OperatorNext, RootApplied, RootEmpty, RootWanted};
    use super::Outcome::{Denied, Unclear, Works};
    use super::{Candidate, FOUNDED, FOUNDING, Outcome, Step, plan};

    fn fresh(candidate: Candidate) -> bool {
        matches!(candidate, Operator | RootWanted | RootEmpty)
    }

    #[test]
    fn each_row_of_working_logins_leads_to_its_step() {
        let table: [(&[(Candidate, Outcome)], Step); 7] = [
            (&[], Step::Try(Operator)),
            (&[(Operator, Works)], Step::Ready),
            (&[(Operator, Denied)], Step::Try(RootWanted)),
            (&[(Operator, Denied), (RootWanted, Works)], Step::Establish { by: RootWanted, set_root: false }),
            (&[(Operator, Denied), (RootWanted, Denied), (RootEmpty, Works)], Step::Establish { by: RootEmpty, set_root: true }),
            (&[(Operator, Denied), (RootWanted, Denied), (RootEmpty, Denied)], Step::LockedOut),
            (&[(Operator, Unclear)], Step::Wait),
        ];
        for (tried, step) in table {
            assert_eq!(plan(&FOUNDED, tried, fresh), step, "{tried:?}");
        }
    }

    #[test]
    fn an_unanswered_login_never_leads_to_another_one() {
        for stop in [Operator, RootWanted, RootEmpty] {
            let tried: Vec<_> = [Operator, RootWanted, RootEmpty]
                .into_iter()
                .take_while(|candidate| *candidate != stop)
                .map(|candidate| (candidate, Denied))
                .chain([(stop, Unclear)])
                .collect();
            assert_eq!(plan(&FOUNDED, &tried, fresh), Step::Wait);
        }
    }

    #[test]
    fn a_crash_during_rotation_is_finished_by_promotion() {
        assert_eq!(plan(&FOUNDED, &[(Operator, Denied), (OperatorNext, Works)], |_| true), Step::PromoteNext);
    }

    #[test]
    fn root_with_the_applied_password_is_brought_to_the_wanted_one() {
        let tried = [(Operator, Denied), (OperatorNext, Denied), (RootApplied, Works)];
        assert_eq!(plan(&FOUNDED, &tried, |_| true), Step::Establish { by: RootApplied, set_root: true });
    }

    #[test]
    fn while_founding_only_root_is_tried_since_the_operator_may_lack_a_right() {
        assert_eq!(plan(&FOUNDING, &[], |_| true), Step::Try(RootWanted));
        let step = plan(&FOUNDING, &[(RootWanted, Denied), (RootApplied, Works)], |_| true);
        assert_eq!(step, Step::Establish { by: RootApplied, set_root: true });
        assert_eq!(plan(&FOUNDING, &[(RootWanted, Denied), (RootApplied, Denied), (RootEmpty, Denied)], |_| true), Step::LockedOut);
    }
}
