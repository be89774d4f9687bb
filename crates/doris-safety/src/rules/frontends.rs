//! `FeQuorum` and `MasterLast`.

use std::time::Duration;

use doris_api::rules::SafetyRule;

use crate::blocked::Blocked;
use crate::observed::{Frontend, Frontends, Master, Observed};
use crate::step::{FrontendRole, Step};
use crate::text::{be, count, list, short};

/// Between two changes of the group the survivors have to be steady for this long: a peer that only
/// looks alive took masters down with it.
const STEADY: Duration = Duration::from_secs(60);

const MEMBERSHIP: &str = "the frontends would lose their majority and with it every write";

/// A majority of the registered followers stays alive and caught up.
pub(super) fn quorum(observed: &Observed, step: &Step) -> Vec<Blocked> {
    let Some(frontends) = &observed.frontends else {
        let blocked = Blocked::unread(SafetyRule::FeQuorum, "the list of frontends");
        // A restart can be taken back, a change of the group or a volume that is gone cannot.
        return vec![if matches!(step, Step::RestartFrontend { .. }) { blocked } else { harden(blocked) }];
    };
    match step {
        Step::RestartFrontend { host, .. } => restart(frontends, host),
        Step::AddFrontend { host, role } => add(frontends, host, *role),
        Step::DropFrontend { host } => drop_member(frontends, host),
        Step::RemovePod { host } => remove_pod(frontends, host),
        Step::DeleteFrontendClaim { host, claim } => delete_claim(frontends, host, claim),
        _ => Vec::new(),
    }
}

fn restart(frontends: &Frontends, host: &str) -> Vec<Blocked> {
    let Some(victim) = frontends.find(host) else { return proven(frontends, host).err().into_iter().collect() };
    // Neither an observer's vote nor that of a process that does not run can be missed.
    if victim.role == FrontendRole::Observer || victim.stopped {
        return Vec::new();
    }
    let registered = frontends.followers().count();
    if registered <= 2 {
        // A declared outage: with one or two followers no restart leaves a majority. On the way from
        // one to three, though, the newcomer would be the only one with a vote.
        let joining = frontends.followers().find(|other| other.host != host && !other.joined);
        return joining.map(|joining| joining_refusal(joining, host)).into_iter().collect();
    }
    lacking(frontends, host, registered).into_iter().collect()
}

fn add(frontends: &Frontends, host: &str, role: FrontendRole) -> Vec<Blocked> {
    if role == FrontendRole::Observer {
        return proven(frontends, host).err().into_iter().collect();
    }
    if let Some(joining) = frontends.followers().find(|other| other.host != host && !other.joined) {
        return vec![joining_refusal(joining, host)];
    }
    let master = match proven(frontends, host) {
        Ok(master) => master,
        Err(blocked) => return vec![blocked],
    };
    // The mark that spares a newcomer the vote is in the master's memory alone, so nobody may be missing.
    let lagging: Vec<&Frontend> = frontends.followers().filter(|other| other.host != host && !frontends.is_caught_up(other)).collect();
    let Some(first) = lagging.first() else { return Vec::new() };
    let names: Vec<String> = lagging.iter().map(|other| lag(other, master.journal)).collect();
    let sentence = format!(
        "{} joins once all other followers are alive and caught up, and {}; this ends when they have, or when one that is lost has been dropped",
        short(host),
        list(&names)
    );
    vec![Blocked::soft(SafetyRule::FeQuorum, short(&first.host), sentence)]
}

fn drop_member(frontends: &Frontends, host: &str) -> Vec<Blocked> {
    let Some(victim) = frontends.find(host) else { return unregistered(frontends, host) };
    let master = match proven(frontends, host) {
        Ok(master) => master,
        Err(blocked) => return vec![harden(blocked)],
    };
    // Who never joined, or was left out by a recovery, has no vote that could be missed.
    if victim.role == FrontendRole::Observer || (!victim.alive && !master.group.contains(host)) {
        return Vec::new();
    }
    let unsteady =
        frontends.followers().find(|other| other.host != host && other.alive && other.steady_for.is_some_and(|time| time < STEADY));
    if let Some(other) = unsteady {
        let seconds = other.steady_for.unwrap_or_default().as_secs();
        let sentence = format!(
            "{} started or joined only {seconds} s ago, and {} can be dropped once the others have been steady for {} s",
            short(&other.host),
            short(host),
            STEADY.as_secs()
        );
        return vec![Blocked::hard(SafetyRule::FeQuorum, short(&other.host), sentence, MEMBERSHIP)];
    }
    lacking(frontends, host, frontends.followers().count() - 1).map(harden).into_iter().collect()
}

fn remove_pod(frontends: &Frontends, host: &str) -> Vec<Blocked> {
    match frontends.find(host) {
        Some(member) if !member.stopped => {
            let name = short(host);
            let sentence = format!(
                "{name} runs and is registered as a frontend, and the majority would miss it; its pod can go once it has been dropped"
            );
            vec![Blocked::hard(SafetyRule::FeQuorum, name, sentence, MEMBERSHIP)]
        }
        Some(_) => Vec::new(),
        None => unregistered(frontends, host),
    }
}

fn delete_claim(frontends: &Frontends, host: &str, claim: &str) -> Vec<Blocked> {
    let Some(member) = frontends.find(host) else { return unregistered(frontends, host) };
    let name = short(&member.host);
    let sentence = format!(
        "{name} is still registered as a frontend, and with an empty volume it would come back under its old name without its journal; {claim} can be given up once {name} has been dropped"
    );
    vec![Blocked::hard(SafetyRule::FeQuorum, name, sentence, MEMBERSHIP)]
}

fn joining_refusal(joining: &Frontend, host: &str) -> Blocked {
    let name = short(&joining.host);
    let sentence = format!(
        "{name} is registered as a follower and has not joined yet, so that its vote may be missed while {} is changed; this ends when {name} has joined, or has been dropped",
        short(host)
    );
    Blocked::soft(SafetyRule::FeQuorum, name, sentence)
}

/// Why those who stay are no majority of `registered` followers, if they are none.
fn lacking(frontends: &Frontends, host: &str, registered: usize) -> Option<Blocked> {
    let master = match proven(frontends, host) {
        Ok(master) => master,
        Err(blocked) => return Some(blocked),
    };
    let needed = registered / 2 + 1;
    let others = || frontends.followers().filter(|other| other.host != host);
    let left = others().filter(|other| frontends.is_caught_up(other)).count();
    if left >= needed {
        return None;
    }
    let lagging: Vec<String> = others().filter(|other| !frontends.is_caught_up(other)).map(|other| lag(other, master.journal)).collect();
    let state = if lagging.is_empty() { String::new() } else { format!(": {}", list(&lagging)) };
    let end = if lagging.is_empty() {
        "it can be done once there are more followers"
    } else {
        "this ends when they answer and have caught up with the master"
    };
    let sentence = format!(
        "without {}, {} would be left that {} alive and caught up, and {registered} registered followers need {needed}{state}; {end}",
        short(host),
        count(left, "follower"),
        be(left)
    );
    let object = others().find(|other| !frontends.is_caught_up(other)).map_or(host, |other| other.host.as_str());
    Some(Blocked::soft(SafetyRule::FeQuorum, short(object), sentence))
}

/// One that is not in the list has no vote; but only a proven master's list is believed.
fn unregistered(frontends: &Frontends, host: &str) -> Vec<Blocked> {
    proven(frontends, host).err().map(harden).into_iter().collect()
}

fn lag(member: &Frontend, journal: u64) -> String {
    let name = short(&member.host);
    match member.journal {
        _ if member.stopped => format!("{name} does not run"),
        _ if !member.alive => format!("{name} does not answer"),
        _ if !member.joined => format!("{name} has not joined"),
        Some(own) => {
            let missing = journal.saturating_sub(own);
            let entries = if missing == 1 { "entry" } else { "entries" };
            format!("{name} is {missing} journal {entries} behind")
        }
        None => format!("{name} does not tell its journal id"),
    }
}

fn proven<'a>(frontends: &'a Frontends, host: &str) -> Result<&'a Master, Blocked> {
    frontends.master.as_ref().map_err(|why| {
        let sentence = format!(
            "no frontend has proved to be the master ({why}), and {} is not touched meanwhile; this ends when one is master and a majority follows it",
            short(host)
        );
        Blocked::soft(SafetyRule::FeQuorum, "master", sentence)
    })
}

fn harden(blocked: Blocked) -> Blocked {
    Blocked { hard: Some(MEMBERSHIP), ..blocked }
}

/// The master restarts after all other frontends, and is never dropped.
pub(super) fn master_last(observed: &Observed, step: &Step) -> Vec<Blocked> {
    let Some(frontends) = &observed.frontends else {
        return vec![Blocked::unread(SafetyRule::MasterLast, "the list of frontends")];
    };
    // Without a proven master FeQuorum speaks.
    let Ok(master) = &frontends.master else { return Vec::new() };
    let name = short(&master.host);
    match step {
        Step::DropFrontend { host } if *host == master.host => {
            let sentence = format!(
                "{name} is the master, which Doris does not drop; it can be dropped after a restart of it has made another frontend the master"
            );
            vec![Blocked::hard(SafetyRule::MasterLast, name, sentence, "Doris refuses it")]
        }
        Step::RestartFrontend { host, .. } if *host == master.host => {
            // One that does not run starts with what is wanted, whenever it does.
            let undone: Vec<&Frontend> =
                frontends.members.iter().filter(|other| other.host != *host && !other.stopped && !is_done(frontends, other)).collect();
            let Some(first) = undone.first() else { return Vec::new() };
            let names: Vec<String> = undone.iter().map(|other| reason(frontends, other, master.journal)).collect();
            let sentence = format!(
                "{name} is the master and restarts last, so that one election is enough; {}; this ends when the other frontends are done and have caught up",
                list(&names)
            );
            vec![Blocked::soft(SafetyRule::MasterLast, short(&first.host), sentence)]
        }
        _ => Vec::new(),
    }
}

fn is_done(frontends: &Frontends, member: &Frontend) -> bool {
    member.done && frontends.is_caught_up(member)
}

fn reason(frontends: &Frontends, member: &Frontend, journal: u64) -> String {
    if frontends.is_caught_up(member) { format!("{} waits for its own restart", short(&member.host)) } else { lag(member, journal) }
}
