//! Rules about logins, tried as any client would.

use std::net::IpAddr;

use doris_sim::{MemberFacts, SqlError, World};

use super::ClusterName;
use super::model::cluster_of;

/// Port that frontends answer clients at, unless their configuration says otherwise.
const QUERY_PORT: u16 = 9030;
/// Doris' word for a wrong user or password.
const ACCESS_DENIED: u16 = 1045;
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
    /// Clients have a Service to come in by.
    pub is_open: bool,
}

/// `operator-logs-in` and `no-empty-password`.
pub(super) async fn judge(world: &World, accounts: &ClusterAccounts) -> Vec<String> {
    let mut broken = Vec::new();
    for (ip, fqdn, is_master) in serving(world, &accounts.cluster) {
        if accounts.founded && is_master && operator_is_denied(world, ip, accounts).await {
            broken.push(format!("operator-logs-in: {fqdn} refuses the stored passwords of the operator's account"));
        }
        for user in ["root", "admin"] {
            if accounts.is_open && try_login(world, ip, user, "").await.is_ok() {
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

async fn operator_is_denied(world: &World, ip: IpAddr, accounts: &ClusterAccounts) -> bool {
    for password in accounts.operator.iter().filter(|password| !password.is_empty()) {
        match try_login(world, ip, OPERATOR, password).await {
            Err(SqlError::Server { code: ACCESS_DENIED, .. }) => {}
            // It works, or it is no matter of passwords.
            _ => return false,
        }
    }
    true
}

async fn try_login(world: &World, ip: IpAddr, user: &str, password: &str) -> Result<(), SqlError> {
    // A frontend behind a silent cut never answers; that is no matter of passwords.
    let login = world.connect(crate::lab::CONTROLLER_ADDRESS, ip, QUERY_PORT, user, password);
    let answer = tokio::time::timeout(std::time::Duration::from_millis(200), login).await;
    answer.unwrap_or(Err(SqlError::Lost)).map(drop)
}
