//! Session and global variables, and configuration.

use std::collections::BTreeMap;

use super::ast::{Assignment, Properties};
use super::system::journal;
use super::{Context, Outcome, Run, like};
use crate::answer::{Column, ColumnType, Rows, SqlError};
use crate::catalog::{Op, Priv};
use crate::state::Reach;
use crate::truth::note_setting;

const TABLE: &str = include_str!("vars.tsv");

/// A variable's default and type.
pub(super) struct Variable {
    pub name: &'static str,
    pub default: String,
    pub kind: &'static str,
}

impl Context<'_> {
    pub(super) fn variables(&self) -> Result<Vec<Variable>, SqlError> {
        let comment = format!("Doris version {}", self.frontend()?.version.build());
        let read = |line: &'static str| {
            let mut cells = line.split('\t');
            let (name, default, kind) = (cells.next()?, cells.next()?, cells.next()?);
            let default = if name == "version_comment" { comment.clone() } else { default.to_owned() };
            Some(Variable { name, default, kind })
        };
        Ok(TABLE.lines().filter_map(read).collect())
    }

    /// Value that counts in this session.
    pub(super) fn value(&self, variable: &Variable) -> String {
        let global = self.catalog().ok().and_then(|catalog| catalog.globals.get(variable.name));
        self.client.variables.get(variable.name).or(global).unwrap_or(&variable.default).clone()
    }

    pub(super) fn set(&mut self, list: &[Assignment]) -> Run {
        let known = self.variables()?;
        let mut ops = Vec::new();
        for assignment in list {
            let Some(variable) = known.iter().find(|variable| variable.name == assignment.name) else {
                return Err(SqlError::coded(1228, "HY000", unknown(&assignment.name, &known)));
            };
            let value = assignment.value.clone().unwrap_or_default();
            let value = match (variable.kind, value.to_ascii_lowercase().as_str()) {
                ("boolean", "1" | "true" | "on") => "true".to_owned(),
                ("boolean", "0" | "false" | "off") => "false".to_owned(),
                ("int" | "bigint", _) if value.parse::<i64>().is_err() && variable.name != "max_execution_time" => {
                    return Err(SqlError::coded(1232, "42000", format!("Incorrect argument type to variable '{}'", variable.name)));
                }
                _ => value,
            };
            if assignment.global {
                self.require(&[Priv::Admin], "ADMIN")?;
                ops.push(Op::Global { name: assignment.name.clone(), value: value.clone() });
            }
            self.client.variables.insert(assignment.name.clone(), value);
        }
        Ok(if ops.is_empty() { Outcome::Done } else { journal(ops) })
    }

    pub(super) fn show_variables(&self, pattern: Option<&String>) -> Run {
        let mut rows = Rows::of_strings(&["Variable_name", "Value", "Default_Value", "Changed"]);
        for variable in self.variables()?.iter().filter(|variable| pattern.is_none_or(|pattern| like(pattern, variable.name))) {
            let value = self.value(variable);
            let changed = if value == variable.default { "0" } else { "1" };
            rows.push([variable.name.to_owned(), value, variable.default.clone(), changed.to_owned()].map(Some).to_vec());
        }
        Ok(Outcome::Rows(rows))
    }

    pub(super) fn show_config(&self, pattern: Option<&String>) -> Run {
        self.require(&[Priv::Admin], "ADMIN")?;
        let names = ["Key", "Value", "Type", "IsMutable", "MasterOnly", "Comment"];
        let settings = &self.frontend()?.settings;
        // The newer planner answers this one, with the unlimited text type; the older one with VARCHAR.
        let kind = if self.frontend()?.version.from_line(3, 0) { ColumnType::Blob } else { ColumnType::Str };
        let mut rows = Rows { columns: names.map(|name| Column { name: name.to_owned(), kind }).to_vec(), rows: Vec::new() };
        for (name, key) in settings.keys().filter(|(name, _)| pattern.is_none_or(|pattern| like(pattern, name))) {
            let row = [
                name.clone(),
                settings.get(name).to_owned(),
                key.kind.clone(),
                key.mutable.to_string(),
                key.master_only.to_string(),
                String::new(),
            ];
            rows.push(row.map(Some).to_vec());
        }
        Ok(Outcome::Rows(rows))
    }

    /// Changes a value in this process, and with `all` in every living one. A key for the master alone
    /// comes back to the master from whoever is told it, so it changes nowhere else.
    pub(super) fn set_config(&mut self, pairs: &Properties, all: bool) -> Run {
        self.require(&[Priv::Admin], "ADMIN")?;
        let [(key, value)] = pairs.as_slice() else {
            return Err(SqlError::detail("config parameter size is not equal to 1"));
        };
        self.frontend_mut()?.settings.set(key, value).map_err(SqlError::detail)?;
        note_setting(self.state, self.fe, key, value, false);
        let fe = self.frontend()?;
        if !all || fe.settings.key(key).is_some_and(|known| known.master_only) {
            return Ok(Outcome::Done);
        }
        let (own, port) = (fe.name.clone(), fe.rpc_port);
        let others: Vec<_> = fe.catalog.frontends.iter().filter(|row| row.alive && row.name != own).map(|row| row.host.clone()).collect();
        for host in others {
            let reach = self.state.reach_host(self.fe, &host, port);
            let Reach::Open(peer) = reach else {
                return Err(SqlError::detail(format!("failed to apply to fe {host}:{port}, error message: {}", reach.java(&host))));
            };
            if let Some(other) = self.state.fe_mut(peer) {
                other.settings.set(key, value).map_err(SqlError::detail)?;
                note_setting(self.state, peer, key, value, false);
            }
        }
        Ok(Outcome::Done)
    }
}

fn unknown(name: &str, known: &[Variable]) -> String {
    let mut near: Vec<_> = known.iter().map(|variable| (distance(name, variable.name), variable.name)).collect();
    near.sort_unstable();
    let names: Vec<_> = near.iter().take(3).map(|(_, name)| format!("'{name}'")).collect();
    format!("Unknown system variable '{name}',the similar variables are {{{}}}", names.join(", "))
}

/// Number of letters that one name has and the other has not.
fn distance(a: &str, b: &str) -> i64 {
    let mut letters: BTreeMap<char, i64> = BTreeMap::new();
    a.chars().for_each(|c| *letters.entry(c).or_default() += 1);
    b.chars().for_each(|c| *letters.entry(c).or_default() -= 1);
    letters.values().map(|count| count.abs()).sum()
}
