//! Rules about `fe.conf`, `be.conf` and the broker's configuration.

use std::borrow::Cow;

use super::member::members;
use super::rule::{CEL, Check, Nodes, Rule, Table};
use super::text;
use crate::DorisCluster;
use crate::cluster::{ConfigValue, MemberSettings};
use crate::component::Process;
use crate::ports::{self, Port};

/// `spec.fe`.
pub(super) static FRONTEND: Table<MemberSettings> = Table {
    places: &["spec.fe"],
    rules: || {
        let mut rules = vec![
            Rule::state(
                ".config",
                "fe.config: cluster_id can't be set: a frontend that founds anew with it would be obeyed by the old backends, which then delete their data",
                "!has(self.config) || !('cluster_id' in self.config)",
                |member: &MemberSettings| !member.config.contains_key("cluster_id"),
            ),
            Rule::state(
                ".config",
                "fe.config: auth_token can't be set: it would let a second cluster command this one's backends",
                "!has(self.config) || !('auth_token' in self.config)",
                |member: &MemberSettings| !member.config.contains_key("auth_token"),
            ),
            Rule::state(
                ".config",
                "fe.config: meta_dir can't be set: metadata belongs on the volume of fe.storage",
                "!has(self.config) || !('meta_dir' in self.config)",
                |member: &MemberSettings| !member.config.contains_key("meta_dir"),
            ),
            Rule::state(
                ".config",
                "fe.config: enable_fqdn_mode can't be set: members are known by name, since addresses of pods change",
                "!has(self.config) || !('enable_fqdn_mode' in self.config)",
                |member: &MemberSettings| !member.config.contains_key("enable_fqdn_mode"),
            ),
            Rule::state(
                ".config",
                "fe.config: the operator sets initial_root_password, priority_networks, enable_deploy_manager, deploy_mode, metadata_failure_recovery and drop_backend_after_decommission",
                "!has(self.config) || !['initial_root_password', 'priority_networks', 'enable_deploy_manager', 'deploy_mode', 'metadata_failure_recovery', 'drop_backend_after_decommission'].exists(k, k in self.config)",
                |member: &MemberSettings| {
                    ![
                        "initial_root_password",
                        "priority_networks",
                        "enable_deploy_manager",
                        "deploy_mode",
                        "metadata_failure_recovery",
                        "drop_backend_after_decommission",
                    ]
                    .iter()
                    .any(|key| member.config.contains_key(*key))
                },
            ),
            kept_port(
                &ports::FE_EDIT_LOG,
                "fe.config: edit_log_port can't change: frontends are registered with it",
                |new: &MemberSettings, old| port_text(new, &ports::FE_EDIT_LOG) == port_text(old, &ports::FE_EDIT_LOG),
            ),
        ];
        rules.extend(port_rules(Process::Fe));
        rules
    },
    nodes: |cluster| of(cluster, &["spec.fe"]),
};

/// `spec.be` and `spec.cn`.
pub(super) static BACKEND: Table<MemberSettings> = Table {
    places: &["spec.be", "spec.cn"],
    rules: || {
        let mut rules = vec![
            Rule::state(
                ".config",
                "{at}.config: storage_root_path can't be set: it is made from {at}.storage",
                "!has(self.config) || !('storage_root_path' in self.config)",
                |member: &MemberSettings| !member.config.contains_key("storage_root_path"),
            ),
            Rule::state(
                ".config",
                "{at}.config: be_node_role can't be set: be are mix nodes and cn are compute nodes",
                "!has(self.config) || !('be_node_role' in self.config)",
                |member: &MemberSettings| !member.config.contains_key("be_node_role"),
            ),
            Rule::state(
                ".config",
                "{at}.config: the operator sets priority_networks, cluster_id and deploy_mode",
                "!has(self.config) || !['priority_networks', 'cluster_id', 'deploy_mode'].exists(k, k in self.config)",
                |member: &MemberSettings| {
                    !["priority_networks", "cluster_id", "deploy_mode"].iter().any(|key| member.config.contains_key(*key))
                },
            ),
            kept_port(
                &ports::BE_HEARTBEAT,
                "{at}.config: heartbeat_service_port can't change: backends are registered with it",
                |new: &MemberSettings, old| port_text(new, &ports::BE_HEARTBEAT) == port_text(old, &ports::BE_HEARTBEAT),
            ),
        ];
        rules.extend(port_rules(Process::Be));
        rules
    },
    nodes: |cluster| of(cluster, &["spec.be", "spec.cn"]),
};

/// `spec.broker`.
pub(super) static BROKER: Table<MemberSettings> = Table {
    places: &["spec.broker"],
    rules: || {
        let mut rules = vec![kept_port(
            &ports::BROKER_IPC,
            "broker.config: broker_ipc_port can't change: brokers are registered with it",
            |new: &MemberSettings, old| port_text(new, &ports::BROKER_IPC) == port_text(old, &ports::BROKER_IPC),
        )];
        rules.extend(port_rules(Process::Broker));
        rules
    },
    nodes: |cluster| of(cluster, &["spec.broker"]),
};

fn of<'a>(cluster: &'a DorisCluster, paths: &[&str]) -> Nodes<'a, MemberSettings> {
    let mut nodes = members(cluster);
    nodes.retain(|(path, _)| paths.contains(&path.as_str()));
    nodes
}

const PORT: &str = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
/// A port that is closed unless it has a number is closed so.
const CLOSED: &str = "-1";

/// Port numbers are numbers, and no two of them the same.
fn port_rules(process: Process) -> Vec<Rule<MemberSettings>> {
    let ports = ports::of(process);
    let keys = ports.iter().map(|port| format!("'{}'", port.key)).collect::<Vec<_>>().join(", ");
    let numbers = ports
        .iter()
        .map(|port| format!("('{0}' in self.config ? string(self.config['{0}']) : '{1}')", port.key, unset(port)))
        .collect::<Vec<_>>()
        .join(", ");
    let in_range = Rule {
        cel: Cow::Owned(format!(
            "!has(self.config) || [{keys}].all(k, !(k in self.config) || string(self.config[k]).matches('^{PORT}$') || (k == 'arrow_flight_sql_port' && string(self.config[k]) == '{CLOSED}'))"
        )),
        message: "{at}.config: a port must be a number from 1 to 65535",
        field: ".config",
        since: CEL,
        check: Check::State(match process {
            Process::Fe => |member| in_range(member, &ports::FE),
            Process::Be => |member| in_range(member, &ports::BE),
            Process::Broker => |member| in_range(member, &ports::BROKER),
        }),
    };
    let distinct = Rule {
        cel: Cow::Owned(format!("!has(self.config) || [{numbers}].all(p, [{numbers}].exists_one(q, q == p))")),
        message: "{at}.config: two ports can't have the same number, defaults included",
        field: ".config",
        since: CEL,
        check: Check::State(match process {
            Process::Fe => |member| distinct(member, &ports::FE),
            Process::Be => |member| distinct(member, &ports::BE),
            Process::Broker => |member| distinct(member, &ports::BROKER),
        }),
    };
    // One port collides with no other.
    if ports.len() > 1 { vec![in_range, distinct] } else { vec![in_range] }
}

fn kept_port(port: &Port, message: &'static str, holds: fn(&MemberSettings, &MemberSettings) -> bool) -> Rule<MemberSettings> {
    let value =
        |of: &str| format!("(has({of}.config) && '{0}' in {of}.config ? string({of}.config['{0}']) : '{1}')", port.key, port.default);
    Rule {
        cel: Cow::Owned(format!("{} == {}", value("self"), value("oldSelf"))),
        message,
        field: ".config",
        since: CEL,
        check: Check::Change(holds),
    }
}

fn unset(port: &Port) -> String {
    if port.key == ports::FE_ARROW.key { CLOSED.to_owned() } else { port.default.to_string() }
}

fn port_text(member: &MemberSettings, port: &Port) -> String {
    member.config.get(port.key).map_or_else(|| port.default.to_string(), |value| value.as_str().to_owned())
}

fn in_range(member: &MemberSettings, ports: &[Port]) -> bool {
    let closed = |port: &Port, text: &str| port.key == ports::FE_ARROW.key && text == CLOSED;
    ports
        .iter()
        .all(|port| member.config.get(port.key).map(ConfigValue::as_str).is_none_or(|text| text::is_port(text) || closed(port, text)))
}

fn distinct(member: &MemberSettings, ports: &[Port]) -> bool {
    let numbers: Vec<String> =
        ports.iter().map(|port| member.config.get(port.key).map_or_else(|| unset(port), |value| value.as_str().to_owned())).collect();
    // As in the CEL half: without any configuration nothing collides.
    member.config.is_empty() || numbers.iter().all(|number| numbers.iter().filter(|other| *other == number).count() == 1)
}
