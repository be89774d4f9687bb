//! A registered frontend that came back without its metadata: whether it may be dropped now.
//!
//! Under its old name it would vote without what it had acknowledged, so it has to be registered anew,
//! and dropped before. The followers that stay must have everything that it ever acknowledged, and must
//! go on as a majority without it.

use std::time::Duration;

use super::joining::FrontendRow;

/// A second loss has to be this old before anything is done about the first.
const SECOND_LOSS: Duration = Duration::from_mins(5);

/// What is known when a frontend is to be dropped.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The member's own name.
    pub fqdn: &'a str,
    /// `FOLLOWER` or `OBSERVER`.
    pub role: &'a str,
    /// The accepted master.
    pub master: &'a str,
    /// The master's list.
    pub rows: &'a [FrontendRow],
    /// For how long the same frontends have been away.
    pub unchanged_for: Duration,
}

/// What keeps the member registered; a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It passes when the other members do what they are waited for.
    Wait(String),
    /// Only a person can go on.
    Stall(String),
}

/// The followers beside the master that must have an entry written just before: then the member may be dropped.
pub fn may_drop(case: &Case<'_>) -> Result<Vec<String>, Held> {
    let wait = |text: String| Err(Held::Wait(text));
    let Some(victim) = case.rows.iter().find(|row| row.host == case.fqdn) else {
        return wait("it is not registered any more".to_owned());
    };
    if victim.alive {
        return wait("Doris takes it for alive until its next heartbeat".to_owned());
    }
    if case.role != "FOLLOWER" {
        // It has no vote: nobody needs it to go on.
        return Ok(Vec::new());
    }
    let followers = case.rows.iter().filter(|row| row.role == "FOLLOWER").count();
    if followers <= 2 {
        return Err(Held::Stall(format!(
            "of {followers} registered followers none can be dropped: the rest would be no majority of what was registered. Restore its volume \
             from a copy that has both image/ and bdb/ and delete the pod"
        )));
    }
    let others: Vec<&FrontendRow> = case.rows.iter().filter(|row| row.role == "FOLLOWER" && row.host != case.fqdn).collect();
    if let Some(joiner) = others.iter().find(|row| !row.joined) {
        return wait(format!("{} has to join first: one change of the group at a time", joiner.host));
    }
    if let Some(behind) = others.iter().find(|row| row.alive && !row.follows) {
        return wait(format!("{} has to catch up with the master: what the lost volume acknowledged may be missing there", behind.host));
    }
    let needed = followers / 2 + 1;
    let following: Vec<&&FrontendRow> = others.iter().filter(|row| row.alive && row.follows).collect();
    if following.len() < needed {
        return wait(format!("{} of {followers} followers are alive and follow the master, {needed} have to", following.len()));
    }
    if let Some(away) = others.iter().find(|row| !row.alive)
        && case.unchanged_for < SECOND_LOSS
    {
        return wait(format!("{} is away as well: it is given {} min to come back", away.host, SECOND_LOSS.as_secs() / 60));
    }
    Ok(following.into_iter().filter(|row| row.host != case.master).map(|row| row.host.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::{Case, Held, SECOND_LOSS, may_drop};
    use crate::plan::joining::FrontendRow;
    use std::time::Duration;

    fn row(host: &str) -> FrontendRow {
        FrontendRow {
            host: host.into(),
            port: 9010,
            name: format!("fe_{host}"),
            role: "FOLLOWER".into(),
            joined: true,
            alive: true,
            follows: true,
        }
    }

    fn dead(host: &str) -> FrontendRow {
        FrontendRow { alive: false, follows: false, ..row(host) }
    }

    fn observer(row: FrontendRow) -> FrontendRow {
        FrontendRow { role: "OBSERVER".into(), ..row }
    }

    fn decide(rows: &[FrontendRow], unchanged_for: Duration) -> Result<Vec<String>, Held> {
        let role = rows.iter().find(|row| row.host == "v").map_or("FOLLOWER", |row| row.role.as_str());
        may_drop(&Case { fqdn: "v", role, master: "m", rows, unchanged_for })
    }

    #[test]
    fn it_goes_when_all_that_stay_are_a_majority_and_have_everything() {
        assert_eq!(decide(&[row("m"), row("a"), dead("v")], Duration::ZERO), Ok(vec!["a".to_owned()]));
        let five = [row("m"), row("a"), row("b"), row("c"), dead("v")];
        assert_eq!(decide(&five, Duration::ZERO), Ok(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn each_thing_that_could_lose_a_write_or_the_majority_holds_it() {
        let behind = FrontendRow { follows: false, ..row("a") };
        let joining = FrontendRow { joined: false, ..dead("b") };
        let table: [(&str, Vec<FrontendRow>, &str); 5] = [
            ("still alive", vec![row("m"), row("a"), row("v")], "until its next heartbeat"),
            ("gone", vec![row("m"), row("a")], "not registered any more"),
            ("one lags", vec![row("m"), behind, dead("v")], "a has to catch up"),
            ("one joins", vec![row("m"), row("a"), joining, dead("v")], "b has to join"),
            ("too few", vec![row("m"), dead("a"), dead("v")], "1 of 3 followers"),
        ];
        for (what, rows, words) in table {
            let held = decide(&rows, SECOND_LOSS);
            assert!(matches!(&held, Err(Held::Wait(message)) if message.contains(words)), "{what}: {held:?}");
        }
    }

    #[test]
    fn of_one_or_two_followers_none_is_ever_dropped() {
        for rows in [vec![dead("v")], vec![row("m"), dead("v")], vec![row("m"), dead("v"), observer(row("o"))]] {
            assert!(matches!(decide(&rows, SECOND_LOSS), Err(Held::Stall(_))), "{rows:?}");
        }
    }

    #[test]
    fn a_second_loss_must_be_old_enough() {
        let rows = [row("m"), row("a"), row("b"), dead("c"), dead("v")];
        let held = decide(&rows, SECOND_LOSS / 2);
        assert!(matches!(&held, Err(Held::Wait(message)) if message.contains("c is away as well")), "{held:?}");
        assert_eq!(decide(&rows, SECOND_LOSS), Ok(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn an_observer_has_no_vote_that_could_be_missed() {
        assert_eq!(decide(&[row("m"), observer(dead("v"))], Duration::ZERO), Ok(Vec::new()));
        assert!(decide(&[row("m"), observer(row("v"))], Duration::ZERO).is_err());
    }
}
