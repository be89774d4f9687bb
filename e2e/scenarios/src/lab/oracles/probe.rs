//! Rules about logins, asked of the model: whoever only watches must not add to the refusals that Doris counts.

use std::net::IpAddr;

use doris_sim::{MemberFacts, World};

use super::ClusterName;
use super::model::cluster_of;
use crate::lab::CONTROLLER_ADDRESS;

/// Name of the operator's own account.
const OPERATOR: &str = "doris_operator";

/// What is to hold for a cluster's accounts.
#[derive(Clone, Debug)]
pub(super) struct ClusterAccounts {
    pub cluster: ClusterName,
    /// The identity says that the cluster was founded.
    pub founded: bool,
    /// Stored passwords of the operator's account.
    pub operator: Vec<String>,
    /// Stored passwords of root; empty if nobody knows it.
    pub root: Vec<String>,
    /// Clients have a Service to come in by.
    pub is_open: bool,
}

/// `operator-logs-in`, `root-logs-in` and `no-empty-password`.
pub(super) fn judge(world: &World, accounts: &ClusterAccounts) -> Vec<String> {
    let mut broken = Vec::new();
    for (ip, fqdn, is_master) in serving(world, &accounts.cluster) {
        let is_denied = |user: &str, passwords: &[String]| {
            let answers: Vec<bool> =
                passwords.iter().filter_map(|password| world.would_log_in(CONTROLLER_ADDRESS, ip, user, password)).collect();
            !answers.is_empty() && !answers.contains(&true)
        };
        if accounts.founded && is_master && is_denied(OPERATOR, &accounts.operator) {
            broken.push(format!("operator-logs-in: {fqdn} refuses the stored passwords of the operator's account"));
        }
        if accounts.founded && is_master && is_denied("root", &accounts.root) {
            broken.push(format!("root-logs-in: {fqdn} refuses the stored passwords of root"));
        }
        for user in ["root", "admin"] {
            if accounts.is_open && world.would_log_in(CONTROLLER_ADDRESS, ip, user, "") == Some(true) {
                broken.push(format!("no-empty-password: {user} needs no password at {fqdn} and the Service is there"));
            }
        }
    }
    broken
}

fn serving(world: &World, cluster: &ClusterName) -> Vec<(IpAddr, String, bool)> {
    let members = world.members();
    let frontends = members.iter().filter(|member| member.is_running()).filter_map(MemberFacts::frontend);
    let of_cluster = frontends.filter(|fe| fe.ready && cluster_of(&fe.start.fqdn).as_ref() == Some(cluster));
    of_cluster.map(|fe| (fe.start.ip, fe.start.fqdn.clone(), fe.says_master)).collect()
}
