use std::time::Duration;

use doris_client::{Login, Password};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use tokio::time::Instant;

use super::Candidate::{Operator, OperatorNext, RootApplied, RootEmpty, RootNext, RootWanted};
use super::Outcome::{Denied, Unclear};
use super::{Candidate, FOUNDING, Outcome, OwnStep, Passwords, Patience, REGAINING, ROOT, RootStep, Step, own_step, plan, wanted};

fn fresh(candidate: Candidate) -> bool {
    matches!(candidate, RootWanted | RootEmpty)
}

#[test]
fn the_stored_logins_are_tried_in_their_order() {
    let table: [(&[(Candidate, Outcome)], Step); 4] = [
        (&[], Step::Try(RootWanted)),
        (&[(RootWanted, Denied)], Step::Try(RootEmpty)),
        (&[(RootWanted, Denied), (RootEmpty, Denied)], Step::LockedOut),
        (&[(RootWanted, Unclear)], Step::Wait),
    ];
    for (tried, step) in table {
        assert_eq!(plan(&REGAINING, tried, fresh), step, "{tried:?}");
    }
}

#[test]
fn an_unanswered_login_never_leads_to_another_one() {
    for order in [&FOUNDING[..], &REGAINING, &ROOT] {
        for stop in order {
            let before = order.iter().take_while(|candidate| *candidate != stop);
            let tried: Vec<_> = before.map(|candidate| (*candidate, Denied)).chain([(*stop, Unclear)]).collect();
            assert_eq!(plan(order, &tried, |_| true), Step::Wait);
        }
    }
}

#[test]
fn what_root_was_being_changed_to_is_tried_before_what_is_wanted_now() {
    assert_eq!(plan(&ROOT, &[(RootApplied, Denied)], |_| true), Step::Try(RootNext));
    assert_eq!(plan(&ROOT, &[(RootApplied, Denied), (RootNext, Denied)], |_| true), Step::Try(RootWanted));
    assert_eq!(plan(&ROOT, &[(RootApplied, Denied), (RootNext, Denied), (RootWanted, Denied)], |_| true), Step::LockedOut);
}

fn passwords(applied: &str, next: &str, wanted: &str) -> Passwords {
    let stored = |text: &str| (!text.is_empty()).then(|| Password::new(text));
    Passwords { applied: stored(applied), next: stored(next), wanted: stored(wanted) }
}

#[test]
fn root_is_changed_from_wherever_a_crash_left_it() {
    let set = |text| RootStep::Set(Password::new(text));
    let record = |text| RootStep::Record(Password::new(text));
    let table = [
        // A new password is wanted.
        (("old", "", "new"), RootApplied, set("new")),
        // Somebody set the new one by hand.
        (("old", "", "new"), RootWanted, record("new")),
        // A crash before Doris took it, and one after.
        (("old", "new", "new"), RootApplied, set("new")),
        (("old", "new", "new"), RootNext, record("new")),
        // The same, and meanwhile another one is wanted.
        (("old", "new", "newer"), RootApplied, set("newer")),
        (("old", "new", "newer"), RootNext, record("new")),
        // The same, and meanwhile the old one is wanted again.
        (("old", "new", "old"), RootApplied, record("old")),
        (("old", "new", "old"), RootNext, record("new")),
        // Nobody knew root's password, and now the user gives one.
        (("", "", "new"), RootWanted, record("new")),
    ];
    for ((applied, next, wanted), by, step) in table {
        let passwords = passwords(applied, next, wanted);
        assert!(passwords.are_due());
        assert_eq!(passwords.root_step(by), step, "{applied}/{next}/{wanted} by {by:?}");
    }
}

#[test]
fn at_rest_nothing_is_due() {
    for (applied, next, wanted, due) in [("a", "", "a", false), ("a", "", "", false), ("", "", "", false), ("a", "b", "a", true)] {
        assert_eq!(passwords(applied, next, wanted).are_due(), due, "{applied}/{next}/{wanted}");
    }
}

#[test]
fn an_account_whose_password_nobody_knows_is_left_alone_until_the_user_gives_one() {
    let generated = Password::new("generated");
    assert_eq!(wanted(None, &generated, None), None);
    assert_eq!(wanted(None, &generated, Some(&Password::new("of-user"))), Some(generated.clone()), "the reference was taken out");
    assert_eq!(wanted(Some(&Password::new("of-user")), &generated, None), Some(Password::new("of-user")));
}

#[test]
fn the_operators_password_is_changed_once_for_each_wish() {
    let table = [
        ((Operator, false, None, None), OwnStep::Nothing),
        ((Operator, false, Some("1"), None), OwnStep::Store),
        ((Operator, false, Some("1"), Some("1")), OwnStep::Nothing),
        ((Operator, false, Some("2"), Some("1")), OwnStep::Store),
        ((Operator, false, None, Some("1")), OwnStep::Nothing),
        // After a crash: before Doris took it, and after.
        ((Operator, true, Some("1"), Some("1")), OwnStep::Set),
        ((OperatorNext, true, Some("1"), Some("1")), OwnStep::Promote),
        ((OperatorNext, true, None, Some("1")), OwnStep::Promote),
    ];
    for ((by, has_next, asked, done), step) in table {
        assert_eq!(own_step(by, has_next, asked, done), step, "{by:?} {has_next} {asked:?} {done:?}");
    }
}

fn login(password: &str) -> Login {
    Login { user: "root".into(), password: Password::new(password) }
}

proptest! {
    /// What Doris has is always one of the stored passwords, whatever the user's wishes and wherever the work is broken off.
    #[test]
    fn root_is_never_lost(wishes in proptest::collection::vec((0u8..4, 0u8..5), 1..40)) {
        let mut doris = Password::new("0");
        let mut stored = passwords("0", "", "0");
        for (wish, broken_off) in wishes {
            stored.wanted = Some(Password::new(wish.to_string()));
            if !stored.are_due() {
                prop_assert_eq!(stored.applied.as_ref(), Some(&doris));
                continue;
            }
            let by = [(RootApplied, &stored.applied), (RootNext, &stored.next)].into_iter().find(|(_, known)| known.as_ref() == Some(&doris));
            let (by, _) = by.expect("root logs in by a password on record, whatever is wanted");
            match stored.root_step(by) {
                RootStep::Nothing => prop_assert!(false, "it is due"),
                RootStep::Record(password) => {
                    if broken_off != 0 {
                        (stored.applied, stored.next) = (Some(password), None);
                    }
                }
                RootStep::Set(password) => {
                    if broken_off == 0 { continue; }
                    stored.next = Some(password.clone());
                    if broken_off == 1 { continue; }
                    doris = password.clone();
                    if broken_off == 2 { continue; }
                    (stored.applied, stored.next) = (Some(password), None);
                }
            }
        }
    }

    #[test]
    fn a_refused_login_is_tried_at_most_once_a_minute(steps in proptest::collection::vec((any::<bool>(), 1u64..90), 1..60)) {
        let (mut patience, mut now, mut last) = (Patience::default(), Instant::now(), None::<Instant>);
        for (lengthens, seconds) in steps {
            if patience.allows(&login("a"), now) {
                prop_assert!(last.is_none_or(|last| now - last >= Duration::from_mins(1)));
                patience.refused(&login("a"), lengthens, now);
                last = Some(now);
            }
            prop_assert!(patience.allows(&login("b"), now), "another password is another matter");
            now += Duration::from_secs(seconds);
        }
        prop_assert!(patience.allows(&login("a"), now + Duration::from_mins(30)));
    }
}
