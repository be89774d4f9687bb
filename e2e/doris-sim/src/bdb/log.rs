//! One member's log and its file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::catalog::Op;
use crate::volume::{VolumeDir, VolumeError};

const FILE: &str = "bdb/00000000.jdb";

/// A member of the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub electable: bool,
}

/// What a record says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Entry {
    Journal {
        id: u64,
        op: Op,
    },
    Epoch(u64),
    Join(Member),
    Remove {
        name: String,
    },
    /// A new journal database whose name is its first id.
    Roll(u64),
}

/// A record of the log. Term and number together identify it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub vlsn: u64,
    pub term: u64,
    pub entry: Entry,
}

/// What the records so far add up to, journal contents apart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Totals {
    vlsn: u64,
    term: u64,
    journal: u64,
    epoch: u64,
    members: BTreeMap<String, Member>,
    removed: BTreeSet<String>,
    databases: Vec<u64>,
}

impl Totals {
    fn add(&mut self, record: &Record) {
        self.vlsn = record.vlsn;
        self.term = record.term;
        match &record.entry {
            Entry::Journal { id, .. } => self.journal = *id,
            Entry::Epoch(epoch) => self.epoch = *epoch,
            Entry::Join(member) => {
                self.members.insert(member.name.clone(), member.clone());
            }
            Entry::Remove { name } => {
                self.members.remove(name);
                self.removed.insert(name.clone());
            }
            Entry::Roll(first) => self.databases.push(*first),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    environment: String,
    base: Totals,
}

/// A member's log: what was cleaned away in total, and the records after it.
#[derive(Clone, Debug)]
pub(crate) struct BdbLog {
    /// Identity of the environment; empty while there is none.
    pub environment: String,
    base: Totals,
    records: Vec<Record>,
    totals: Totals,
}

impl BdbLog {
    pub fn new(environment: impl Into<String>) -> Self {
        Self { environment: environment.into(), base: Totals::default(), records: Vec::new(), totals: Totals::default() }
    }

    /// The log that a new member of this group begins with: its environment and first members, no record.
    /// Where records were cleaned away it begins with nothing, and has to be restored.
    pub fn beginning(&self) -> Self {
        let base = if self.base.vlsn == 0 { self.base.clone() } else { Totals::default() };
        Self { environment: self.environment.clone(), totals: base.clone(), base, records: Vec::new() }
    }

    /// Reads the log of a metadata directory; `None` when its `bdb/` has no log file.
    pub fn load(dir: &VolumeDir) -> Option<Self> {
        let text = dir.read_text(FILE)?;
        let mut lines = text.lines();
        let header: Header = serde_json::from_str(lines.next()?).ok()?;
        let mut log = Self { totals: header.base.clone(), environment: header.environment, base: header.base, records: Vec::new() };
        for record in lines.map_while(|line| serde_json::from_str(line).ok()) {
            log.totals.add(&record);
            log.records.push(record);
        }
        Some(log)
    }

    /// Writes the whole log anew.
    pub fn rewrite(&self, dir: &VolumeDir) -> Result<(), VolumeError> {
        let header = Header { environment: self.environment.clone(), base: self.base.clone() };
        let mut text = line(&header);
        self.records.iter().for_each(|record| text.push_str(&line(record)));
        for name in ["je.config.csv", "je.info.0", "je.info.0.lck", "je.lck", "je.stat.csv"] {
            dir.volume.write(&dir.join(&format!("bdb/{name}")), Vec::new())?;
        }
        dir.volume.write(&dir.join(FILE), text)
    }

    /// Adds a record here and in the file.
    pub fn append(&mut self, dir: &VolumeDir, record: Record) -> Result<(), VolumeError> {
        dir.volume.append(&dir.join(FILE), line(&record).as_bytes())?;
        self.totals.add(&record);
        self.records.push(record);
        Ok(())
    }

    /// Drops all records after the given number.
    pub fn truncate(&mut self, vlsn: u64) {
        self.records.retain(|record| record.vlsn <= vlsn);
        self.totals = self.base.clone();
        self.records.iter().for_each(|record| self.totals.add(record));
    }

    /// Forgets the records up to a journal id that an image contains.
    pub fn clean(&mut self, journal: u64) {
        let keep = self.records.iter().position(|record| matches!(record.entry, Entry::Journal { id, .. } if id > journal));
        let rest = self.records.split_off(keep.unwrap_or(self.records.len()));
        let gone = std::mem::replace(&mut self.records, rest);
        for record in &gone {
            self.base.add(record);
        }
    }

    pub fn last_vlsn(&self) -> u64 {
        self.totals.vlsn
    }

    /// Rank in an election: the newest term, then the longest log.
    pub fn rank(&self) -> (u64, u64) {
        (self.totals.term, self.totals.vlsn)
    }

    pub fn last_journal(&self) -> u64 {
        self.totals.journal
    }

    pub fn epoch(&self) -> u64 {
        self.totals.epoch
    }

    pub fn members(&self) -> &BTreeMap<String, Member> {
        &self.totals.members
    }

    pub fn was_removed(&self, name: &str) -> bool {
        self.totals.removed.contains(name)
    }

    pub fn electable(&self) -> usize {
        self.totals.members.values().filter(|member| member.electable).count()
    }

    /// Journal databases: name (first id) and number of entries.
    pub fn databases(&self) -> Vec<(u64, u64)> {
        let firsts = &self.totals.databases;
        let ends = firsts.iter().skip(1).copied().chain([self.totals.journal + 1]);
        firsts.iter().zip(ends).map(|(first, end)| (*first, end.saturating_sub(*first))).collect()
    }

    /// Drops the names of journal databases that an image made superfluous.
    pub fn clean_databases(&mut self, journal: u64) {
        let keep = self.totals.databases.iter().rposition(|first| *first <= journal + 1).unwrap_or(0);
        let kept = self.totals.databases.split_off(keep);
        self.totals.databases.clone_from(&kept);
        self.base.databases.retain(|first| kept.contains(first));
    }

    /// Journal entries after an id, in order.
    pub fn journals_after(&self, journal: u64) -> impl Iterator<Item = (u64, &Op)> {
        self.records.iter().filter_map(move |record| match &record.entry {
            Entry::Journal { id, op } if *id > journal => Some((*id, op)),
            _ => None,
        })
    }

    fn term_at(&self, vlsn: u64) -> Option<u64> {
        if vlsn == self.base.vlsn {
            return Some(self.base.term);
        }
        self.records.iter().rev().find(|record| record.vlsn == vlsn).map(|record| record.term)
    }

    /// Newest record that both logs have; `None` when this one no longer holds where the other left.
    pub fn match_point(&self, other: &Self) -> Option<u64> {
        let mut vlsn = self.totals.vlsn.min(other.totals.vlsn);
        let floor = self.base.vlsn.max(other.base.vlsn);
        while vlsn >= floor {
            match (self.term_at(vlsn), other.term_at(vlsn)) {
                (Some(a), Some(b)) if a == b => return Some(vlsn),
                _ if vlsn == 0 => return None,
                _ => vlsn -= 1,
            }
        }
        None
    }

    /// Copies of the records after a number.
    pub fn records_after(&self, vlsn: u64) -> Vec<Record> {
        let from = self.records.partition_point(|record| record.vlsn <= vlsn);
        self.records[from..].to_vec()
    }

    /// Makes this environment one of its own with a single member.
    pub fn become_alone(&mut self, environment: String, member: &Member) {
        self.environment = environment;
        for totals in [&mut self.base, &mut self.totals] {
            totals.members = BTreeMap::from([(member.name.clone(), member.clone())]);
            totals.removed.clear();
        }
        self.records.retain(|record| !matches!(record.entry, Entry::Join(_) | Entry::Remove { .. }));
    }
}

fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).map(|text| text + "\n").unwrap_or_default()
}
