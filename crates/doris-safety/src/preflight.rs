//! What is looked at before an upgrade begins, as a list that says what stands in its way and what a
//! person should know. The rules decide at each step; this tells early what they will say, and more.

use std::time::Duration;

use doris_api::DorisVersion;
use doris_api::rules::SafetyRule;
use jiff::Timestamp;

use crate::blocked::Blocked;
use crate::observed::{Backend, Disk, Frontend, Observed};
use crate::rules;
use crate::step::Step;
use crate::tablets::{Partition, Table};
use crate::text::{be, count, list, short};

/// A schema change that has been running for longer is not about to end.
const LONG: Duration = Duration::from_secs(3600);

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the upgrade must not begin with it.
    pub blocks: bool,
    /// What it is about.
    pub topic: &'static str,
    /// What is so, and what would end it or what it means.
    pub sentence: String,
    /// The rule that it breaks, if a person may override it.
    pub rule: Option<SafetyRule>,
}

/// What is looked at, in the order of the list.
pub const TOPICS: [&str; 7] = ["version", "backups", "frontends", "backends", "disks", "tablets", "alter jobs"];

/// Looks at everything that an upgrade should not find out half-way.
pub fn preflight(observed: &Observed, to: &DorisVersion, now: Timestamp) -> Vec<Finding> {
    let step = Step::ChangeVersion { to: to.clone() };
    let of_rule = |rule, topic| {
        let finding = move |blocked: Blocked| Finding { rule: blocked.hard.is_none().then_some(rule), ..blocker(topic, blocked.sentence) };
        rules::judge(rule, observed, &step).into_iter().map(finding)
    };
    let mut findings: Vec<Finding> =
        of_rule(SafetyRule::VersionPath, "version").chain(of_rule(SafetyRule::BackupIdle, "backups")).collect();
    findings.extend(frontends(observed));
    findings.extend(backends(observed));
    findings.extend(tablets(observed));
    findings.extend(alters(observed, now));
    findings.extend(few_replicas(observed));
    findings
}

fn blocker(topic: &'static str, sentence: String) -> Finding {
    Finding { blocks: true, topic, sentence, rule: None }
}

fn unread(topic: &'static str, what: &str) -> Finding {
    blocker(topic, format!("{what} could not be read; it is read again at the next look"))
}

fn frontends(observed: &Observed) -> Vec<Finding> {
    let Some(frontends) = &observed.frontends else { return vec![unread("frontends", "the list of frontends")] };
    let mut findings = Vec::new();
    let mut tell = |is_so: fn(&Frontend) -> bool, one: &str, many: &str, end: &str| {
        let names: Vec<&str> = frontends.members.iter().filter(|member| is_so(member)).map(|member| short(&member.host)).collect();
        if !names.is_empty() {
            let verb = if names.len() == 1 { one } else { many };
            findings.push(blocker("frontends", format!("{} {verb}; {end}", list(&names))));
        }
    };
    tell(
        |member| !member.joined,
        "has not joined",
        "have not joined",
        "an upgrade begins when every frontend has joined, or has been dropped",
    );
    tell(
        |member| member.joined && !member.alive,
        "does not answer",
        "do not answer",
        "an upgrade begins when every frontend is alive, or has been dropped",
    );
    if let Err(why) = &frontends.master {
        findings.push(blocker("frontends", format!("no frontend has proved to be the master: {why}")));
    }
    findings
}

fn backends(observed: &Observed) -> Vec<Finding> {
    let Some(backends) = &observed.backends else { return vec![unread("backends", "the list of backends")] };
    let mut findings = Vec::new();
    let mut tell = |is_so: fn(&Backend) -> bool, one: &str, many: &str, end: &str| {
        let names: Vec<&str> = backends.iter().filter(|backend| is_so(backend)).map(Backend::name).collect();
        if !names.is_empty() {
            let verb = if names.len() == 1 { one } else { many };
            findings.push(blocker("backends", format!("{} {verb}; {end}", list(&names))));
        }
    };
    tell(|backend| !backend.alive, "is not alive", "are not alive", "an upgrade begins when every backend is alive, or has been dropped");
    tell(|backend| backend.decommissioning, "is being emptied", "are being emptied", "an upgrade begins when that is done or cancelled");
    tell(
        |backend| backend.query_disabled || backend.load_disabled,
        "has disable_query or disable_load set",
        "have disable_query or disable_load set",
        "an upgrade begins when queries and loads reach every backend",
    );
    let is_full = |disk: &&Disk| u128::from(disk.used()) * 100 >= u128::from(disk.total) * 85 && disk.total > 0;
    let full: Vec<String> = backends
        .iter()
        .flat_map(|backend| backend.disks.iter().filter(is_full).map(move |disk| format!("{} of {}", disk.path, backend.name())))
        .collect();
    if !full.is_empty() {
        let sentence =
            format!("{} {} 85 % full or more, and nothing is copied there while other backends are away", list(&full), be(full.len()));
        findings.push(Finding { blocks: false, topic: "disks", sentence, rule: None });
    }
    findings
}

fn tablets(observed: &Observed) -> Option<Finding> {
    let Some(health) = &observed.health else { return Some(unread("tablets", "the health of the tablets")) };
    let accepted = |tablet: &u64| observed.baseline.as_ref().is_some_and(|baseline| baseline.contains(tablet));
    let kinds: Vec<(String, usize)> = health
        .unhealthy
        .iter()
        .map(|one| (format!("{} in {}", one.status, one.database), one.tablets.iter().filter(|tablet| !accepted(tablet)).count()))
        .filter(|(_, number)| *number > 0)
        .collect();
    let sum: usize = kinds.iter().map(|(_, number)| number).sum();
    let kinds: Vec<String> = kinds.into_iter().map(|(kind, number)| format!("{number} {kind}")).collect();
    let sentence = format!(
        "{} {} not healthy: {}; an upgrade begins when they have been repaired, or when they are accepted as they are",
        count(sum, "tablet"),
        be(sum),
        list(&kinds)
    );
    (sum > 0).then(|| Finding { rule: Some(SafetyRule::TabletHealth), ..blocker("tablets", sentence) })
}

fn alters(observed: &Observed, now: Timestamp) -> Option<Finding> {
    let jobs = observed.jobs.as_ref()?;
    // A time that cannot be read is taken for an old one.
    let is_long =
        |made: &Option<Timestamp>| made.is_none_or(|made| Duration::try_from(now.duration_since(made)).is_ok_and(|age| age > LONG));
    let names: Vec<String> = jobs
        .alters
        .iter()
        .filter(|job| is_long(&job.created))
        .map(|job| format!("{}.{} ({})", job.database, job.table, job.state))
        .collect();
    let sentence = format!(
        "{} {} being altered for more than an hour; an upgrade begins when that is done, or after CANCEL ALTER TABLE",
        list(&names),
        be(names.len())
    );
    (!names.is_empty()).then(|| blocker("alter jobs", sentence))
}

/// Tables that will be away for the restart of each of their backends.
fn few_replicas(observed: &Observed) -> Vec<Finding> {
    let Some(map) = &observed.tablets else { return vec![unread("tables", "the replica allocation of the tables")] };
    let with = |wanted: usize| -> Vec<String> {
        let fits = |(table, partition): (&Table, &Partition)| (partition.allocation.replicas() == wanted).then(|| table.full_name());
        let mut names: Vec<String> = map.partitions().filter_map(fits).collect();
        names.dedup();
        names
    };
    let told = [
        (1, "1 replica, and nobody reads or loads what lies on a backend while that restarts"),
        (2, "2 replicas, and loads fail while one of the backends concerned restarts"),
    ];
    let note = |(number, effect): (usize, &str)| {
        let names = with(number);
        let sentence = format!("{} {} {effect}", list(&names), if names.len() == 1 { "has" } else { "have" });
        (!names.is_empty()).then_some(Finding { blocks: false, topic: "tables", sentence, rule: None })
    };
    told.into_iter().filter_map(note).collect()
}
