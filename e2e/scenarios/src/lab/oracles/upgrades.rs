//! Rules about versions: which process runs which, beside which others.

use std::collections::BTreeSet;

use doris_sim::{Crossing, FeStart, ProcessVersion};

use super::model::cluster_of;

/// Where a component stands in the order of an upgrade.
fn rank(fqdn: &str) -> Option<usize> {
    let pod = fqdn.split('.').next()?;
    let (set, _) = pod.rsplit_once('-')?;
    // `fe-ob` before `fe`: the longer name ends in none of the others.
    let order = ["-be", "-cn", "-broker", "-fe-ob", "-fe"];
    order.iter().position(|ending| set.ends_with(ending))
}

/// What was seen of versions so far.
#[derive(Debug, Default)]
pub(super) struct Upgrades {
    broken: BTreeSet<String>,
}

impl Upgrades {
    pub fn broken(&self) -> &BTreeSet<String> {
        &self.broken
    }

    /// Takes a look at what runs.
    pub fn look(&mut self, running: &[ProcessVersion]) {
        for process in running {
            self.order(process, running);
        }
    }

    /// `upgrade-order`: nobody runs a newer version than a member whose turn comes before.
    fn order(&mut self, process: &ProcessVersion, running: &[ProcessVersion]) {
        let (Some(own), Some(cluster)) = (rank(&process.fqdn), cluster_of(&process.fqdn)) else { return };
        let older = running.iter().find(|other| {
            cluster_of(&other.fqdn).as_ref() == Some(&cluster)
                && rank(&other.fqdn).is_some_and(|rank| rank < own)
                && other.version < process.version
        });
        if let Some(older) = older {
            let name = |fqdn: &str| fqdn.split('.').next().unwrap_or_default().to_owned();
            self.broken.insert(format!(
                "upgrade-order: {} runs {} beside {}, which runs {} and comes before it",
                name(&process.fqdn),
                process.version,
                name(&older.fqdn),
                older.version
            ));
        }
    }
}

/// `no-downgrade`: once a master rewrote the metadata, no pod is made whose frontend cannot read it. The ones that are
/// there may try again until it is their turn.
pub(super) fn judge_starts(starts: &[FeStart], crossings: &[Crossing]) -> Vec<String> {
    let mut broken = Vec::new();
    for crossing in crossings {
        let (before, after): (Vec<&FeStart>, Vec<&FeStart>) = starts.iter().partition(|start| start.at_ms <= crossing.at_ms);
        let is_old =
            |start: &&&FeStart| cluster_of(&start.fqdn) == cluster_of(&crossing.fqdn) && start.version.meta_version() < crossing.to;
        let is_known_pod = |start: &FeStart| before.iter().any(|earlier| earlier.fqdn == start.fqdn && earlier.ip == start.ip);
        broken.extend(after.iter().filter(is_old).filter(|start| !is_known_pod(start)).map(|start| {
            format!(
                "no-downgrade: a pod of {} was made with {} after {} wrote metadata {}",
                start.fqdn, start.version, crossing.fqdn, crossing.to
            )
        }));
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn members_stand_in_the_order_of_an_upgrade() {
        let ranks = ["demo-be-0.x", "demo-cn-1.x", "demo-broker-0.x", "demo-fe-ob-2.x", "demo-fe-0.x"].map(rank);
        assert_eq!(ranks, [Some(0), Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(rank("localhost"), None);
    }
}
