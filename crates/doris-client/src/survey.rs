//! Reads what the safety rules look at. Everything comes from the master's own session; the parts
//! that a step does not need are left out by not calling for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doris_api::cluster::Medium;
use doris_safety::{
    Allocation, AlterJob, BackupJob, ColocateGroup, Disk, Health, Jobs, PartitionKind, PlacedPartition, Switches, TabletMap,
    TabletMapBuilder, Unhealthy,
};
use futures::future::join_all;

use crate::elect::MasterVerdict;
use crate::error::Error;
use crate::http;
use crate::probe::MasterSearch;
use crate::rows::{Backend, FrontendRole, NodeRole};
use crate::session::Session;
use crate::tablets::{Database, PartitionRow, StoredTable};
use crate::transport::Transport;

/// Rows of replicas that one statement brings at most, about: some megabytes while it is read.
const ROWS: u64 = 10_000;

/// Unhealthy tablets of a database that are looked up one by one; with more, all its tables are read.
const LOOKUPS: usize = 100;

/// Which tables and partitions there are. One statement or two for each table, so it may be kept
/// for some minutes where a rule only asks whether data stays readable; before anything is
/// destroyed it is read afresh.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    databases: Vec<Database>,
    tables: Vec<CatalogTable>,
}

#[derive(Clone, Debug)]
struct CatalogTable {
    database: String,
    table: StoredTable,
    partitions: Vec<PartitionRow>,
    temporary: Vec<PartitionRow>,
}

impl Catalog {
    /// Reads all tables.
    pub async fn read(session: &mut Session) -> Result<Self, Error> {
        let databases = session.databases().await?;
        let mut tables = Vec::new();
        for database in &databases {
            for table in session.stored_tables(database.id).await? {
                let partitions = session.partitions(database.id, table.id, false).await?;
                let temporary = if table.is_view { Vec::new() } else { session.partitions(database.id, table.id, true).await? };
                tables.push(CatalogTable { database: database.name.clone(), table, partitions, temporary });
            }
        }
        Ok(Self { databases, tables })
    }

    /// The databases that store tablets.
    pub fn databases(&self) -> &[Database] {
        &self.databases
    }
}

/// Unhealthy tablets: the sums of all databases, then the ids of those that have any.
pub async fn health(session: &mut Session) -> Result<Health, Error> {
    let sums = session.tablet_health().await?;
    let mut health = Health { unhealthy: Vec::new(), tablets: sums.iter().map(|sum| sum.tablets).sum() };
    for sum in sums.iter().filter(|sum| sum.healthy < sum.tablets) {
        let tablets = session.unhealthy_tablets(sum.database_id).await?;
        let database = &sum.database;
        health.unhealthy.extend(tablets.into_iter().map(|(status, tablets)| Unhealthy { database: database.clone(), status, tablets }));
    }
    Ok(health)
}

/// Which partitions of a database may have unhealthy tablets.
enum Suspects {
    All,
    Some(BTreeSet<(String, String)>),
}

impl Suspects {
    fn has(&self, table: &str, partition: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.contains(&(table.to_owned(), partition.to_owned())),
        }
    }
}

/// Where tablets lie, as far as it matters when so many backends go or are not well
/// ([`doris_safety::away`]): healthy partitions with enough replicas for that are spared a look.
pub async fn tablets(session: &mut Session, catalog: &Catalog, health: &Health, away: usize) -> Result<TabletMap, Error> {
    let suspects = suspects(session, health).await?;
    let mut builder = TabletMapBuilder::new();
    for entry in &catalog.tables {
        builder.table(&entry.database, &entry.table.name, None);
        let is_suspect = |row: &PartitionRow| suspects.get(&entry.database).is_some_and(|names| names.has(&entry.table.name, &row.name));
        let (mut place, mut spare) = (Vec::new(), Vec::new());
        for row in &entry.partitions {
            let needed = is_suspect(row) || TabletMap::needs_placing(&allocation(row), None, away);
            if needed { place.push(row) } else { spare.push(row) }
        }
        for row in spare {
            builder.healthy(facts(row, PartitionKind::Regular, row.name.clone()), tablets_of(row, &entry.table));
        }
        let is_whole = place.len() == entry.partitions.len();
        let batches = batches(&place, entry.table.indexes);
        for batch in &batches {
            let names: Vec<&str> =
                if is_whole && batches.len() == 1 { Vec::new() } else { batch.iter().map(|row| row.name.as_str()).collect() };
            let replicas = session.replicas(&entry.database, &entry.table.name, &names).await?;
            let rows = replicas.iter().map(|replica| (replica.tablet, replica.backend, replica.is_good()));
            if let Some(first) = batch.first() {
                builder.placed(facts(first, PartitionKind::Regular, label(batch)), rows);
            }
        }
        for row in &entry.temporary {
            // No statement tells where the tablets of a temporary partition lie and which are bad.
            let facts = facts(row, PartitionKind::Temporary, row.name.clone());
            let count = tablets_of(row, &entry.table);
            if is_suspect(row) { builder.unknown(facts, count) } else { builder.healthy(facts, count) }
        }
    }
    Ok(builder.finish())
}

async fn suspects(session: &mut Session, health: &Health) -> Result<BTreeMap<String, Suspects>, Error> {
    let mut ids: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for one in &health.unhealthy {
        ids.entry(&one.database).or_default().extend(&one.tablets);
    }
    let mut suspects = BTreeMap::new();
    for (database, tablets) in ids {
        let names = if tablets.len() > LOOKUPS {
            Suspects::All
        } else {
            let mut names = BTreeSet::new();
            for tablet in tablets {
                // One that is gone meanwhile needs no look.
                names.extend(session.tablet_home(tablet).await?.map(|home| (home.table, home.partition)));
            }
            Suspects::Some(names)
        };
        suspects.insert(database.to_owned(), names);
    }
    Ok(suspects)
}

/// Partitions that are read with one statement: of one allocation, since the rows do not tell theirs.
fn batches<'a>(rows: &[&'a PartitionRow], indexes: u32) -> Vec<Vec<&'a PartitionRow>> {
    let mut batches: Vec<(u64, Vec<&PartitionRow>)> = Vec::new();
    for row in rows {
        let replicas: u64 = row.allocation.values().map(|number| u64::from(*number)).sum();
        let size = u64::from(row.buckets) * u64::from(indexes.max(1)) * replicas.max(1);
        let open = batches.iter_mut().find(|(sum, batch)| {
            batch.first().is_some_and(|first| first.allocation == row.allocation && first.medium == row.medium)
                && sum.saturating_add(size) <= ROWS
        });
        match open {
            Some((sum, batch)) => {
                *sum += size;
                batch.push(row);
            }
            None => batches.push((size, vec![row])),
        }
    }
    batches.into_iter().map(|(_, batch)| batch).collect()
}

/// `p1` for one, `p1 to p40 (40)` for several.
fn label(batch: &[&PartitionRow]) -> String {
    match batch {
        [] => String::new(),
        [one] => one.name.clone(),
        [first, .., last] => format!("{} to {} ({})", first.name, last.name, batch.len()),
    }
}

fn facts(row: &PartitionRow, kind: PartitionKind, name: String) -> PlacedPartition {
    PlacedPartition { name, kind, allocation: allocation(row), medium: row.medium.as_deref().and_then(medium) }
}

fn allocation(row: &PartitionRow) -> Allocation {
    Allocation::new(row.allocation.clone())
}

fn tablets_of(row: &PartitionRow, table: &StoredTable) -> u32 {
    row.buckets.saturating_mul(table.indexes.max(1))
}

fn medium(name: &str) -> Option<Medium> {
    [Medium::SSD, Medium::HDD].into_iter().find(|medium| name.eq_ignore_ascii_case(medium.name()))
}

/// Jobs that are not at their end, of all databases. Have the session use UTC before.
pub async fn jobs(session: &mut Session, databases: &[Database]) -> Result<Jobs, Error> {
    let mut jobs = Jobs::default();
    for database in databases {
        let name = || database.name.clone();
        jobs.backups.extend(session.running_backups(&database.name).await?.into_iter().map(|job| BackupJob {
            is_restore: job.is_restore,
            database: name(),
            label: job.label,
            state: job.state,
        }));
        jobs.alters.extend(session.running_alters(database.id).await?.into_iter().map(|job| AlterJob {
            database: name(),
            table: job.table,
            state: job.state,
            created: job.created.as_deref().and_then(utc),
        }));
    }
    Ok(jobs)
}

/// Doris writes times without a zone.
fn utc(text: &str) -> Option<jiff::Timestamp> {
    let time: jiff::civil::DateTime = text.trim().replacen(' ', "T", 1).parse().ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// The groups of tables that lie bucket by bucket on the same backends.
pub async fn colocate_groups(session: &mut Session) -> Result<Vec<ColocateGroup>, Error> {
    let groups = session.colocation_groups().await?;
    Ok(groups
        .into_iter()
        .map(|group| ColocateGroup { name: group.name, allocation: Allocation::new(group.allocation), stable: group.stable })
        .collect())
}

/// The switches of the tablet scheduler, in the memory of the frontend that the session is with.
pub async fn switches(session: &mut Session) -> Result<Switches, Error> {
    let settings = session.frontend_settings("disable%").await?;
    let is_on = |key: &str| {
        let setting = settings.iter().find(|setting| setting.key == key);
        setting
            .map(|setting| setting.value == "true")
            .ok_or_else(|| crate::table::malformed("ADMIN SHOW FRONTEND CONFIG", format!("no {key}")))
    };
    Ok(Switches {
        scheduler_off: is_on("disable_tablet_scheduler")?,
        balance_off: is_on("disable_balance")?,
        colocate_balance_off: is_on("disable_colocate_balance")?,
    })
}

/// The backends, with their disks where these are needed: one statement more for each. Doris does not
/// tell the role of one that is dead, so the last known is given, by host.
pub async fn backends(
    session: &mut Session,
    known: &BTreeMap<String, NodeRole>,
    with_disks: bool,
) -> Result<Vec<doris_safety::Backend>, Error> {
    let mut backends = Vec::new();
    for row in session.backends().await? {
        let disks = if with_disks { disks(session, row.id).await? } else { Vec::new() };
        backends.push(backend(row, known, disks));
    }
    Ok(backends)
}

async fn disks(session: &mut Session, backend: u64) -> Result<Vec<Disk>, Error> {
    let disks = session.backend_disks(backend).await?;
    let disk = |row: crate::rows::BackendDisk| Disk {
        medium: row.medium.as_deref().and_then(medium),
        path: row.root_path,
        online: row.online,
        total: row.total.unwrap_or(0),
        available: row.available.unwrap_or(0),
        data_used: row.data_used.unwrap_or(0),
    };
    Ok(disks.into_iter().map(disk).collect())
}

fn backend(row: Backend, known: &BTreeMap<String, NodeRole>, disks: Vec<Disk>) -> doris_safety::Backend {
    let role = row.role.or_else(|| known.get(&row.host).copied()).map(|role| match role {
        NodeRole::Mix => doris_safety::NodeRole::Mix,
        NodeRole::Computation => doris_safety::NodeRole::Computation,
    });
    doris_safety::Backend {
        id: row.id,
        role,
        alive: row.alive,
        decommissioning: row.decommissioned,
        query_disabled: row.status.is_query_disabled,
        load_disabled: row.status.is_load_disabled,
        location: row.tags.get("location").cloned().unwrap_or_else(|| "default".to_owned()),
        tablets: row.tablets,
        disks,
        host: row.host,
    }
}

/// What Kubernetes and the operation under way say of a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendPod {
    /// What it is to be registered as.
    pub role: FrontendRole,
    /// Whether its process does not run.
    pub stopped: bool,
    /// Whether the operation has nothing more to do to it.
    pub done: bool,
    /// Time since its process was last seen to start, or to join.
    pub steady_for: Option<Duration>,
    /// Whether it keeps a copy of the metadata from before the upgrade.
    pub has_metadata_copy: bool,
}

/// The frontends, from a search for the master and one more look at each journal: the master's first,
/// then the others', so that whoever has as much was not behind when the master was asked.
pub async fn frontends(transport: &dyn Transport, search: &MasterSearch, pods: &BTreeMap<String, FrontendPod>) -> doris_safety::Frontends {
    let target = |host: &str| search.views.iter().map(|view| &view.target).find(|target| target.host == host);
    let master = match &search.verdict {
        MasterVerdict::Accepted { host } => match target(host) {
            Some(target) => http::frontend_metrics(transport, target.http).await.map_err(|error| error.to_string()).and_then(|metrics| {
                let journal = metrics.max_journal_id.ok_or_else(|| format!("{host} does not tell its journal id"))?;
                Ok(doris_safety::Master { host: host.clone(), journal, group: group(search, host) })
            }),
            None => Err(format!("{host} was not asked")),
        },
        MasterVerdict::Refused(why) => Err(why.to_string()),
    };
    let asked = search.views.iter().map(|view| async move {
        let metrics = http::frontend_metrics(transport, view.target.http).await;
        Some((view.target.host.clone(), metrics.ok()?.max_journal_id))
    });
    let journals: Answers = join_all(asked).await.into_iter().flatten().collect();
    let registered: Vec<(String, FrontendRole, bool)> = if search.frontends.is_empty() {
        // Nobody gave a list that can be believed; without a master no rule takes this one for more than it is.
        pods.iter().map(|(host, pod)| (host.clone(), pod.role, false)).collect()
    } else {
        search.frontends.iter().map(|row| (row.host.clone(), row.role, row.joined)).collect()
    };
    let members = registered
        .into_iter()
        .map(|(host, role, joined)| member(search, &journals, pods.get(&host), (host.clone(), role, joined)))
        .collect();
    doris_safety::Frontends { members, master }
}

/// Voting members of the master's replication group, itself included. Members are named by host there.
fn group(search: &MasterSearch, master: &str) -> BTreeSet<String> {
    let view = search.views.iter().find(|view| view.target.host == master);
    let others = view.and_then(|view| view.group.as_ref().ok()).map(|group| group.electable_nodes.clone()).unwrap_or_default();
    others.into_iter().chain([master.to_owned()]).collect()
}

/// Journal ids of the frontends that answered, as far as they tell them.
type Answers = BTreeMap<String, Option<u64>>;

fn member(
    search: &MasterSearch,
    journals: &Answers,
    pod: Option<&FrontendPod>,
    (host, role, joined): (String, FrontendRole, bool),
) -> doris_safety::Frontend {
    let answer = journals.get(&host);
    let view = search.views.iter().find(|view| view.target.host == host);
    doris_safety::Frontend {
        role: match role {
            FrontendRole::Follower => doris_safety::FrontendRole::Follower,
            FrontendRole::Observer => doris_safety::FrontendRole::Observer,
        },
        joined,
        alive: answer.is_some(),
        stopped: answer.is_none() && pod.is_some_and(|pod| pod.stopped),
        journal: answer.copied().flatten(),
        done: pod.is_some_and(|pod| pod.done),
        steady_for: pod.and_then(|pod| pod.steady_for),
        checkpoint: view.and_then(|view| view.group.as_ref().ok()).and_then(|group| group.last_checkpoint_version),
        has_metadata_copy: pod.is_some_and(|pod| pod.has_metadata_copy),
        host,
    }
}
