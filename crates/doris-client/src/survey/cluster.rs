//! Jobs, groups, switches and backends.

use std::collections::BTreeMap;

use doris_api::cluster::Medium;
use doris_safety::{Allocation, AlterJob, BackupJob, ColocateGroup, Disk, Jobs, Switches};

use crate::error::Error;
use crate::rows::{Backend, NodeRole};
use crate::session::Session;
use crate::tablets::Database;

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
        scheduler_off: is_on(Switches::SCHEDULER)?,
        balance_off: is_on(Switches::BALANCE)?,
        colocate_balance_off: is_on(Switches::COLOCATE_BALANCE)?,
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

pub(super) fn medium(name: &str) -> Option<Medium> {
    [Medium::SSD, Medium::HDD].into_iter().find(|medium| name.eq_ignore_ascii_case(medium.name()))
}
