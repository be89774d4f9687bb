//! Replaying journal entries.

use std::collections::BTreeMap;

use super::nodes::Broker;
use super::ops::{BackendBeat, BrokerBeat, FrontendBeat, Op};
use super::tables::{Binned, Database, Replica};
use super::{Catalog, WorkloadGroup};

impl Catalog {
    /// Replays one entry. Entries about things that are gone change nothing.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Timestamp(ms) => self.timestamp_ms = *ms,
            Op::MetaVersion(version) => self.meta_version = *version,
            Op::Master(info) => self.master = Some(info.clone()),
            Op::Heartbeat { frontends, backends, brokers } => {
                for beat in frontends {
                    self.frontend_beat(beat);
                }
                for beat in backends {
                    self.backend_beat(beat);
                }
                for beat in brokers {
                    self.broker_beat(beat);
                }
            }
            Op::AddFrontend(_) | Op::RemoveFrontend { .. } | Op::MoveFrontend { .. } => self.apply_frontend(op),
            Op::AddBackend(_) | Op::DropBackend { .. } | Op::ChangeBackend(_) => self.apply_backend(op),
            Op::AddBrokers { .. } | Op::DropBrokers { .. } | Op::DropAllBrokers { .. } => self.apply_broker(op),
            Op::CreateUser(_) | Op::DropUser(_) | Op::SetPassword { .. } | Op::LockPolicy { .. } | Op::Grant { .. } | Op::Revoke { .. } => {
                self.apply_account(op);
            }
            Op::CreateRole(name) => self.roles.push(name.clone()),
            Op::DropRole(name) => self.roles.retain(|role| role != name),
            Op::Global { name, value } => drop(self.globals.insert(name.clone(), value.clone())),
            Op::WorkloadGroup { name, id, properties } => {
                self.used(*id);
                let group = self.workload_groups.entry(name.clone()).or_insert(WorkloadGroup { id: *id, properties: BTreeMap::default() });
                group.properties.extend(properties.iter().cloned());
            }
            Op::DropWorkloadGroup { name } => drop(self.workload_groups.remove(name)),
            Op::CreateDatabase { .. }
            | Op::DropDatabase { .. }
            | Op::CreateTable { .. }
            | Op::DropTable { .. }
            | Op::EraseTables(_)
            | Op::ReplicationNum { .. }
            | Op::Colocate { .. } => self.apply_table(op),
            Op::Replica { .. } | Op::DropReplica { .. } => self.apply_replica(op),
            Op::Transaction(txn) => self.apply_transaction(txn),
            Op::Publish(publication) => self.publish(publication),
            Op::CreateCatalog { name, id } => {
                self.used(*id);
                self.catalogs.insert(name.clone(), *id);
            }
            Op::DropCatalog { name } => drop(self.catalogs.remove(name)),
            Op::Repository(_) | Op::DropRepository { .. } | Op::Snapshot(_) | Op::Alter(_) => self.apply_job(op),
        }
    }

    pub(super) fn used(&mut self, id: u64) {
        self.next_id = self.next_id.max(id + 1);
    }

    fn apply_frontend(&mut self, op: &Op) {
        match op {
            Op::AddFrontend(frontend) => {
                self.frontends.retain(|old| old.name != frontend.name);
                self.frontends.push(frontend.clone());
            }
            Op::RemoveFrontend { name } => self.frontends.retain(|frontend| frontend.name != *name),
            Op::MoveFrontend { name, host } => {
                self.frontends.iter_mut().filter(|frontend| frontend.name == *name).for_each(|frontend| frontend.host.clone_from(host));
            }
            _ => {}
        }
    }

    fn apply_backend(&mut self, op: &Op) {
        self.shape += 1;
        match op {
            Op::AddBackend(backend) | Op::ChangeBackend(backend) => {
                self.used(backend.id);
                self.backends.insert(backend.id, backend.clone());
            }
            Op::DropBackend { id } => drop(self.backends.remove(id)),
            _ => {}
        }
    }

    fn apply_broker(&mut self, op: &Op) {
        match op {
            Op::AddBrokers { name, addresses } => {
                let brokers = self.brokers.entry(name.clone()).or_default();
                let new =
                    |(host, port): &(String, u16)| Broker { host: host.clone(), port: *port, alive: false, start_ms: -1, update_ms: -1 };
                brokers.extend(addresses.iter().map(new));
            }
            Op::DropBrokers { name, addresses } => {
                if let Some(brokers) = self.brokers.get_mut(name) {
                    brokers.retain(|broker| !addresses.iter().any(|(host, port)| broker.host == *host && broker.port == *port));
                }
            }
            Op::DropAllBrokers { name } => drop(self.brokers.remove(name)),
            _ => {}
        }
    }

    fn apply_account(&mut self, op: &Op) {
        match op {
            Op::CreateUser(user) => self.users.push(user.clone()),
            Op::DropUser(identity) => self.users.retain(|user| user.identity != *identity),
            Op::SetPassword { user, hash } => {
                self.users.iter_mut().filter(|known| known.identity == *user).for_each(|known| known.password.clone_from(hash));
            }
            Op::LockPolicy { user, lock } => {
                self.users.iter_mut().filter(|known| known.identity == *user).for_each(|known| known.lock = *lock);
            }
            Op::Grant { user, scope, privileges } => {
                let known = self.users.iter_mut().filter(|known| known.identity == *user);
                known.for_each(|known| known.privileges.entry(scope.clone()).or_default().extend(privileges.iter().copied()));
            }
            Op::Revoke { user, scope, privileges } => {
                let known = self.users.iter_mut().filter(|known| known.identity == *user);
                known.for_each(|known| known.privileges.entry(scope.clone()).or_default().retain(|held| !privileges.contains(held)));
            }
            _ => {}
        }
    }

    fn apply_table(&mut self, op: &Op) {
        self.shape += 1;
        match op {
            Op::CreateDatabase { id, name } => {
                self.used(*id);
                self.databases.insert(*id, Database { id: *id, name: name.clone(), tables: BTreeMap::default() });
            }
            Op::DropDatabase { id, ms } => {
                if let Some(database) = self.databases.remove(id) {
                    for table in database.tables.into_values() {
                        let binned = Binned { database: *id, database_name: database.name.clone(), dropped_ms: *ms, table };
                        self.bin.push(binned);
                    }
                }
            }
            Op::CreateTable { database, table } => {
                let replicas = table.partitions.iter().flat_map(|p| &p.tablets).flat_map(|t| &t.replicas).map(|replica| replica.id);
                let highest = replicas.chain(table.partitions.iter().flat_map(|p| &p.tablets).map(|t| t.id)).max();
                self.used(highest.unwrap_or(0).max(table.id));
                if let Some(database) = self.databases.get_mut(database) {
                    database.tables.insert(table.id, (**table).clone());
                }
            }
            Op::DropTable { database, table, ms, force } => {
                let Some(database) = self.databases.get_mut(database) else { return };
                let Some(table) = database.tables.remove(table) else { return };
                if !force {
                    self.bin.push(Binned { database: database.id, database_name: database.name.clone(), dropped_ms: *ms, table });
                }
            }
            Op::EraseTables(ids) => self.bin.retain(|binned| !ids.contains(&binned.table.id)),
            Op::Colocate { name, group } => {
                self.used(group.id);
                self.groups.insert(name.clone(), group.clone());
            }
            Op::ReplicationNum { database, table, copies } => {
                if let Some(table) = self.databases.get_mut(database).and_then(|database| database.tables.get_mut(table)) {
                    table.partitions.iter_mut().for_each(|partition| partition.copies = *copies);
                }
            }
            _ => {}
        }
    }

    fn apply_replica(&mut self, op: &Op) {
        self.shape += 1;
        match op {
            Op::Replica { tablet, replica } => {
                self.used(replica.id);
                self.with_tablet(*tablet, |replicas| match replicas.iter_mut().find(|known| known.backend == replica.backend) {
                    Some(known) => known.clone_from(replica),
                    None => replicas.push(replica.clone()),
                });
            }
            Op::DropReplica { tablet, backend } => self.with_tablet(*tablet, |replicas| replicas.retain(|r| r.backend != *backend)),
            _ => {}
        }
    }

    fn with_tablet(&mut self, id: u64, change: impl FnOnce(&mut Vec<Replica>)) {
        let tables = self.databases.values_mut().flat_map(|database| database.tables.values_mut());
        let mut found = tables.flat_map(|table| &mut table.partitions).flat_map(|partition| &mut partition.tablets);
        if let Some(tablet) = found.find(|tablet| tablet.id == id) {
            change(&mut tablet.replicas);
        }
    }

    fn frontend_beat(&mut self, beat: &FrontendBeat) {
        let Some(frontend) = self.frontends.iter_mut().find(|frontend| frontend.name == beat.name) else { return };
        frontend.alive = beat.alive;
        if beat.alive {
            frontend.query_port = beat.query_port;
            frontend.rpc_port = beat.rpc_port;
            frontend.arrow_port = beat.arrow_port;
            frontend.replayed = beat.replayed;
        }
    }

    fn backend_beat(&mut self, beat: &BackendBeat) {
        let Some(backend) = self.backends.get_mut(&beat.id) else { return };
        self.shape += u64::from(backend.alive != beat.alive);
        backend.alive = beat.alive;
        backend.stopping = beat.stopping;
        if beat.alive {
            backend.be_port = beat.be_port;
            backend.http_port = beat.http_port;
            backend.brpc_port = beat.brpc_port;
            backend.arrow_port = beat.arrow_port;
            backend.version.clone_from(&beat.version);
            backend.role.clone_from(&beat.role);
            backend.start_ms = beat.start_ms;
            backend.beat_ms = beat.beat_ms;
        }
    }

    fn broker_beat(&mut self, beat: &BrokerBeat) {
        let Some(brokers) = self.brokers.get_mut(&beat.name) else { return };
        for broker in brokers.iter_mut().filter(|broker| broker.host == beat.host && broker.port == beat.port) {
            if beat.alive && !broker.alive {
                broker.start_ms = beat.time_ms;
            }
            broker.alive = beat.alive;
            broker.update_ms = beat.time_ms;
        }
    }
}
