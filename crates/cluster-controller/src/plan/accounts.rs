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
pub const FOUNDING: [Candidate; 3] = [Candidate::RootWanted, Candidate::RootApplied, Candidate::RootEmpty];

/// Order in a founded cluster.
pub const FOUNDED: [Candidate; 5] =
    [Candidate::Operator, Candidate::OperatorNext, Candidate::RootApplied, Candidate::RootWanted, Candidate::RootEmpty];

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

#[cfg(test)]
mod tests {
    use super::Candidate::{Operator, OperatorNext, RootApplied, RootEmpty, RootWanted};
    use super::Outcome::{Denied, Unclear};
    use super::{Candidate, FOUNDED, FOUNDING, Outcome, Step, plan};

    fn fresh(candidate: Candidate) -> bool {
        matches!(candidate, Operator | RootWanted | RootEmpty)
    }

    #[test]
    fn the_stored_logins_are_tried_in_their_order() {
        let table: [(&[(Candidate, Outcome)], Step); 5] = [
            (&[], Step::Try(Operator)),
            (&[(Operator, Denied)], Step::Try(RootWanted)),
            (&[(Operator, Denied), (RootWanted, Denied)], Step::Try(RootEmpty)),
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
    fn both_passwords_of_a_change_under_way_are_tried_before_root() {
        assert_eq!(plan(&FOUNDED, &[(Operator, Denied)], |_| true), Step::Try(OperatorNext));
        assert_eq!(plan(&FOUNDED, &[(Operator, Denied), (OperatorNext, Denied)], |_| true), Step::Try(RootApplied));
    }

    #[test]
    fn while_founding_only_root_is_tried_since_the_operator_may_lack_a_right() {
        assert_eq!(plan(&FOUNDING, &[], |_| true), Step::Try(RootWanted));
        assert_eq!(plan(&FOUNDING, &[(RootWanted, Denied)], |_| true), Step::Try(RootApplied));
        assert_eq!(plan(&FOUNDING, &[(RootWanted, Denied), (RootApplied, Denied), (RootEmpty, Denied)], |_| true), Step::LockedOut);
    }
}
