//! Ports, and the configuration keys that move them.

use crate::component::Process;

/// One port of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name in containers and Services.
    pub name: &'static str,
    /// Key in the process' configuration.
    pub key: &'static str,
    /// Number unless configured.
    pub default: u16,
    /// Whether it is open without being configured.
    pub always: bool,
}

/// Frontend: HTTP.
pub const FE_HTTP: Port = Port { name: "http", key: "http_port", default: 8030, always: true };
/// Frontend: HTTPS, open with `enable_https`.
pub const FE_HTTPS: Port = Port { name: "https", key: "https_port", default: 8050, always: false };
/// Frontend: Thrift.
pub const FE_RPC: Port = Port { name: "rpc", key: "rpc_port", default: 9020, always: true };
/// Frontend: MySQL protocol.
pub const FE_QUERY: Port = Port { name: "query", key: "query_port", default: 9030, always: true };
/// Frontend: journal; members are registered with it.
pub const FE_EDIT_LOG: Port = Port { name: "edit-log", key: "edit_log_port", default: 9010, always: true };
/// Frontend: Arrow Flight SQL, open where configured.
pub const FE_ARROW: Port = Port { name: "arrow-flight", key: "arrow_flight_sql_port", default: 8070, always: false };
/// Backend: Thrift.
pub const BE_RPC: Port = Port { name: "rpc", key: "be_port", default: 9060, always: true };
/// Backend: HTTP.
pub const BE_HTTP: Port = Port { name: "http", key: "webserver_port", default: 8040, always: true };
/// Backend: heartbeat; members are registered with it.
pub const BE_HEARTBEAT: Port = Port { name: "heartbeat", key: "heartbeat_service_port", default: 9050, always: true };
/// Backend: data exchange.
pub const BE_BRPC: Port = Port { name: "brpc", key: "brpc_port", default: 8060, always: true };
/// Backend: Arrow Flight SQL, open where configured.
pub const BE_ARROW: Port = Port { name: "arrow-flight", key: "arrow_flight_sql_port", default: 8050, always: false };
/// Broker: Thrift; members are registered with it.
pub const BROKER_IPC: Port = Port { name: "ipc", key: "broker_ipc_port", default: 8000, always: true };

/// Ports of a frontend.
pub const FE: [Port; 6] = [FE_HTTP, FE_RPC, FE_QUERY, FE_EDIT_LOG, FE_HTTPS, FE_ARROW];
/// Ports of a backend or compute node.
pub const BE: [Port; 5] = [BE_HTTP, BE_RPC, BE_HEARTBEAT, BE_BRPC, BE_ARROW];
/// Ports of a broker.
pub const BROKER: [Port; 1] = [BROKER_IPC];

/// Ports of a process.
pub const fn of(process: Process) -> &'static [Port] {
    match process {
        Process::Fe => &FE,
        Process::Be => &BE,
        Process::Broker => &BROKER,
    }
}

impl Port {
    /// The number under a configuration; `value` looks a key up. What is no port number counts as
    /// unset: validation refuses it.
    pub fn number<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> u16 {
        value(self.key).and_then(|text| text.trim().parse().ok()).filter(|number| *number != 0).unwrap_or(self.default)
    }

    /// Whether the process listens on it under a configuration.
    pub fn is_open<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        if self.always {
            return true;
        }
        match self.key {
            "https_port" => value("enable_https").is_some_and(|text| text.trim() == "true"),
            key => value(key).and_then(|text| text.trim().parse::<u16>().ok()).is_some_and(|number| number != 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BE_ARROW, FE_HTTP, FE_HTTPS};

    #[test]
    fn a_configured_port_replaces_the_default() {
        let config = |key: &str| match key {
            "http_port" => Some("18030"),
            "enable_https" => Some("true"),
            _ => None,
        };
        assert_eq!(FE_HTTP.number(config), 18030);
        assert!(FE_HTTPS.is_open(config));
        assert!(!FE_HTTPS.is_open(|_| None));
        assert_eq!(FE_HTTP.number(|_| Some("nonsense")), 8030);
    }

    #[test]
    fn arrow_flight_is_closed_unless_it_has_a_port() {
        assert!(!BE_ARROW.is_open(|_| None));
        assert!(!BE_ARROW.is_open(|_| Some("-1")));
        assert!(BE_ARROW.is_open(|_| Some("8070")));
    }
}
