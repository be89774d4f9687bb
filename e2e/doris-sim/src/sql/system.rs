//! ALTER SYSTEM.

use super::ast::{Properties, System};
use super::nodes::host_port;
use super::{Context, Outcome, Run, Step};
use crate::answer::SqlError;
use crate::bdb::Entry;
use crate::catalog::{Backend, FeRole, Frontend, Op, Priv};

impl Context<'_> {
    pub(super) fn system(&mut self, clause: &System) -> Run {
        self.require(&[Priv::Node], "NODE")?;
        match clause {
            System::AddFrontend { role, address } => self.add_frontend(*role, address),
            System::DropFrontend { role, address } => self.drop_frontend(*role, address),
            System::MoveFrontend { address, host } => self.move_frontend(address, host),
            System::AddBackends { addresses, properties } => self.add_backends(addresses, properties),
            System::DropBackends { force: false, .. } => Err(SqlError::detail(
                "It is highly NOT RECOMMENDED to use DROP BACKEND stmt.It is not safe to directly drop a backend. All data on this backend will be discarded permanently. If you insist, use DROPP instead of DROP",
            )),
            System::DropBackends { addresses, .. } => {
                let found = self.backends(addresses, "backend does not exists")?;
                Ok(journal(found.into_iter().map(|backend| Op::DropBackend { id: backend.id })))
            }
            System::Decommission { addresses } => self.decommission(addresses),
            System::ModifyBackends { addresses, properties } => self.modify_backends(addresses, properties),
            System::MoveBackend { address, host } => self.move_backend(address, host),
            System::AddBrokers { name, addresses } => self.add_brokers(name, addresses),
            System::DropBrokers { name, addresses } => self.drop_brokers(name, addresses),
            System::DropAllBrokers { name } => {
                self.known_broker(name)?;
                Ok(journal([Op::DropAllBrokers { name: name.clone() }]))
            }
            System::LoadErrorsHub => Err(SqlError::detail("Load errors hub is not supported")),
        }
    }

    fn add_frontend(&mut self, role: FeRole, address: &str) -> Run {
        let (host, port) = host_port(address)?;
        if let Some(old) = self.catalog()?.frontend_at(&host, port) {
            return Err(SqlError::detail(format!("frontend already exists {}", old.describe())));
        }
        let name = format!("fe_{}", self.state.uuid().replace('-', "_"));
        let fe = self.frontend()?;
        let members = fe.bdb.as_ref().map(|bdb| bdb.log.members().clone()).unwrap_or_default();
        let stale = members.into_values().find(|member| member.host == host && member.port == port);
        let mut steps: Vec<Step> = stale.into_iter().map(|member| Step::Group(Entry::Remove { name: member.name })).collect();
        if role == FeRole::Follower {
            steps.push(Step::Unready { name: name.clone(), add: true });
        }
        steps.push(Step::Journal(Op::AddFrontend(Frontend::new(name, host, port, role))));
        Ok(Outcome::Steps(steps))
    }

    fn drop_frontend(&mut self, role: FeRole, address: &str) -> Run {
        let (host, port) = host_port(address)?;
        let fe = self.frontend()?;
        if host == fe.host && port == fe.edit_log_port {
            return Err(SqlError::detail("can not drop current master node."));
        }
        let Some(row) = fe.catalog.frontend_at(&host, port) else {
            return Err(SqlError::detail(format!("frontend does not exist[{host}:{port}]")));
        };
        if row.role != role {
            return Err(SqlError::detail(format!("{} does not exist[{host}:{port}]", role.name())));
        }
        if role == FeRole::Follower && row.alive && fe.version.from_line(2, 1) {
            let followers = fe.catalog.followers();
            let alive = fe.catalog.frontends.iter().filter(|row| row.role == FeRole::Follower && row.alive).count();
            let majority = (followers - 1) / 2 + 1;
            if alive < majority + 1 {
                return Err(SqlError::detail(format!(
                    "Unable to drop this alive follower, because the quorum requirements are not met after this command execution. Current num alive followers {alive}, num followers {followers}, majority after execution {majority}"
                )));
            }
        }
        let name = row.name.clone();
        let member = fe.bdb.as_ref().is_some_and(|bdb| bdb.log.members().contains_key(&name));
        let mut steps = vec![Step::Journal(Op::RemoveFrontend { name: name.clone() })];
        if member {
            // Older masters change the group before they write the drop down.
            let at = usize::from(fe.version.from_line(3, 0));
            steps.insert(at, Step::Group(Entry::Remove { name: name.clone() }));
        }
        if role == FeRole::Follower {
            steps.push(Step::Unready { name, add: false });
        }
        Ok(Outcome::Steps(steps))
    }

    fn move_frontend(&mut self, address: &str, host: &str) -> Run {
        if self.state.net.resolve(host).is_none() {
            return Err(SqlError::detail(format!("Unknown hostname:  {host}: Temporary failure in name resolution")));
        }
        let (old, port) = host_port(address)?;
        let row = self.catalog()?.frontend_at(&old, port);
        let row = row.ok_or_else(|| SqlError::detail(format!("frontend does not exist, host:{old}")))?;
        Ok(journal([Op::MoveFrontend { name: row.name.clone(), host: host.to_owned() }]))
    }

    fn add_backends(&mut self, addresses: &[String], properties: &Properties) -> Run {
        // An address without a port is passed over in silence.
        let wanted: Vec<_> =
            addresses.iter().filter(|address| address.contains(':')).map(|address| host_port(address)).collect::<Result<_, _>>()?;
        let location =
            properties.iter().find(|(key, _)| key == "tag.location").map_or(Ok("default".to_owned()), |(_, value)| tag(value))?;
        let catalog = self.catalog()?;
        if let Some((host, port)) = wanted.iter().find(|(host, port)| catalog.backend_at(host, *port).is_some()) {
            return Err(SqlError::detail(format!("Same backend already exists[{host}:{port}]")));
        }
        let first = catalog.next_id;
        let new = |(id, (host, port)): (u64, (String, u16))| Op::AddBackend(Backend::new(id, host, port, &location));
        Ok(journal((first..).zip(wanted).map(new)))
    }

    /// Backends by `host:port` or id.
    fn backends(&self, addresses: &[String], missing: &str) -> Result<Vec<Backend>, SqlError> {
        let catalog = self.catalog()?;
        let find = |address: &String| {
            let by_id = address.parse::<u64>().ok().filter(|_| self.frontend().is_ok_and(|fe| fe.version.from_line(2, 1)));
            let found = if let Some(id) = by_id {
                catalog.backends.get(&id)
            } else {
                let (host, port) = host_port(address)?;
                catalog.backend_at(&host, port)
            };
            found.cloned().ok_or_else(|| SqlError::detail(format!("{missing}[{address}]")))
        };
        addresses.iter().map(find).collect()
    }

    fn decommission(&mut self, addresses: &[String]) -> Run {
        let leaving = self.backends(addresses, "Backend does not exist")?;
        check_decommission(self.catalog()?, &leaving)?;
        let flagged = leaving.into_iter().filter(|backend| !backend.decommissioned);
        Ok(journal(flagged.map(|backend| Op::ChangeBackend(Backend { decommissioned: true, ..backend }))))
    }

    pub(super) fn cancel_decommission(&mut self, addresses: &[String]) -> Run {
        self.require(&[Priv::Node], "NODE")?;
        let found = self.backends(addresses, "Backend does not exist")?;
        let flagged = found.into_iter().filter(|backend| backend.decommissioned);
        Ok(journal(flagged.map(|backend| Op::ChangeBackend(Backend { decommissioned: false, ..backend }))))
    }

    fn modify_backends(&mut self, addresses: &[String], properties: &Properties) -> Run {
        for (key, _) in properties {
            if !key.starts_with("tag.") && !["disable_query", "disable_load"].contains(&key.as_str()) {
                return Err(SqlError::detail(format!("unknown properties setting for key ({key})")));
            }
        }
        let tagged = properties.iter().any(|(key, _)| key.starts_with("tag."));
        if tagged && !properties.iter().any(|(key, _)| key == "tag.location") {
            return Err(SqlError::detail("Backend must have location type tag. Eg: 'tag.location' = 'xxx'."));
        }
        let mut found = self.backends(addresses, "backend does not exists")?;
        for backend in &mut found {
            for (key, value) in properties {
                match key.as_str() {
                    // Anything but "true" is false to Java.
                    "disable_query" => backend.query_disabled = value.eq_ignore_ascii_case("true"),
                    "disable_load" => backend.load_disabled = value.eq_ignore_ascii_case("true"),
                    _ => drop(backend.tags.insert(key.trim_start_matches("tag.").to_owned(), tag(value)?)),
                }
            }
        }
        Ok(journal(found.into_iter().map(Op::ChangeBackend)))
    }

    fn move_backend(&mut self, address: &str, host: &str) -> Run {
        if self.state.net.resolve(host).is_none() {
            return Err(SqlError::detail(format!("Unknown hostname:  {host}")));
        }
        let found = self.backends(&[address.to_owned()], "backend does not exists")?;
        Ok(journal(found.into_iter().map(|backend| Op::ChangeBackend(Backend { host: host.to_owned(), ..backend }))))
    }

    fn known_broker(&self, name: &str) -> Result<(), SqlError> {
        if self.catalog()?.brokers.contains_key(name) { Ok(()) } else { Err(SqlError::detail(format!("Unknown broker name({name})"))) }
    }

    fn add_brokers(&mut self, name: &str, addresses: &[String]) -> Run {
        let addresses: Vec<_> = addresses.iter().map(|address| host_port(address)).collect::<Result<_, _>>()?;
        let known = self.catalog()?.brokers.get(name);
        for (host, port) in &addresses {
            if known.is_some_and(|brokers| brokers.iter().any(|broker| broker.host == *host && broker.port == *port)) {
                return Err(SqlError::detail(format!("Broker({host}:{port}) has already in brokers.")));
            }
        }
        Ok(journal([Op::AddBrokers { name: name.to_owned(), addresses }]))
    }

    fn drop_brokers(&mut self, name: &str, addresses: &[String]) -> Run {
        self.known_broker(name)?;
        let addresses: Vec<_> = addresses.iter().map(|address| host_port(address)).collect::<Result<_, _>>()?;
        let known = self.catalog()?.brokers.get(name);
        for (host, port) in &addresses {
            if !known.is_some_and(|brokers| brokers.iter().any(|broker| broker.host == *host && broker.port == *port)) {
                return Err(SqlError::detail(format!("Broker({host}:{port}) has not in brokers.")));
            }
        }
        Ok(journal([Op::DropBrokers { name: name.to_owned(), addresses }]))
    }
}

/// The server's own look at replica numbers; it counts every backend that lives, compute nodes too.
pub(crate) fn check_decommission(catalog: &crate::catalog::Catalog, leaving: &[Backend]) -> Result<(), SqlError> {
    let stays = |b: &&Backend| b.alive && !b.decommissioned && !leaving.iter().any(|other| other.id == b.id);
    for database in catalog.databases.values() {
        for table in database.tables.values() {
            for partition in &table.partitions {
                let available = catalog.backends.values().filter(stays).filter(|b| b.location() == partition.location).count();
                let touches = leaving.iter().any(|b| b.location() == partition.location);
                if touches && partition.copies > available {
                    return Err(SqlError::detail(format!(
                        "After decommission, partition {} of table {}.{} 's replication allocation {{ tag.location.{}: {} }} > available backend num {available} on tag {{\"location\" : \"{}\"}}, otherwise need to decrease the partition's replication num.",
                        partition.name, database.name, table.name, partition.location, partition.copies, partition.location
                    )));
                }
            }
        }
    }
    Ok(())
}

/// A tag's value; blanks in it vanish.
fn tag(value: &str) -> Result<String, SqlError> {
    let value: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    let starts = value.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts && value.len() <= 33 && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(value);
    }
    Err(SqlError::detail(format!("Invalid tag value format: {value}")))
}

pub(super) fn journal(ops: impl IntoIterator<Item = Op>) -> Outcome {
    Outcome::Steps(ops.into_iter().map(Step::Journal).collect())
}
