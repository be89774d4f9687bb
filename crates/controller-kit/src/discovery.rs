//! What the API server is able to do. Asked once at the start: what an old server lacks is done without.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::Client;

const LIMIT: Duration = Duration::from_secs(20);

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// It did not answer.
    #[error("the API server did not tell its groups within {} s", LIMIT.as_secs())]
    Timeout,
    /// It refused.
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// The abilities of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAbilities {
    /// Major and minor version; 0 where the server does not tell.
    pub version: (u32, u32),
    groups: BTreeSet<String>,
}

impl ServerAbilities {
    /// Asks the server for its version and groups.
    pub async fn discover(client: &Client) -> Result<Self, DiscoveryError> {
        let asked = async { tokio::try_join!(client.apiserver_version(), client.list_api_groups()) };
        let (version, groups) = tokio::time::timeout(LIMIT, asked).await.map_err(|_| DiscoveryError::Timeout)??;
        let groups = groups.groups.into_iter().flat_map(|group| group.versions).map(|version| version.group_version);
        Ok(Self::new((number(&version.major), number(&version.minor)), groups))
    }

    /// A server of a version with these groups (`group/version`).
    pub fn new(version: (u32, u32), groups: impl IntoIterator<Item = String>) -> Self {
        Self { version, groups: groups.into_iter().collect() }
    }

    /// Whether a group is served in a version, for example `policy/v1`.
    pub fn serves(&self, group_version: &str) -> bool {
        self.groups.contains(group_version)
    }

    /// Whether Events go to `events.k8s.io/v1` (from 1.19), else to the core group.
    pub fn has_events_v1(&self) -> bool {
        self.serves("events.k8s.io/v1")
    }

    /// Whether budgets for pod disruptions are `policy/v1` (from 1.21), else `policy/v1beta1`.
    pub fn has_policy_v1(&self) -> bool {
        self.serves("policy/v1")
    }

    /// Whether rules in CRDs are evaluated by the server (on by default from 1.25).
    pub fn evaluates_rules(&self) -> bool {
        self.is_at_least(1, 25)
    }

    /// Whether pods can have startup probes (from 1.18 on by default).
    pub fn has_startup_probes(&self) -> bool {
        self.is_at_least(1, 18)
    }

    /// Whether claims can be kept or deleted with a StatefulSet (from 1.27 on by default).
    pub fn honours_claim_retention(&self) -> bool {
        self.is_at_least(1, 27)
    }

    /// Whether the server is of this version or a later one.
    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        self.version >= (major, minor)
    }
}

/// The leading number: some servers write `25+`.
fn number(text: &str) -> u32 {
    text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{ServerAbilities, number};

    #[test]
    fn abilities_follow_version_and_groups() {
        let old = ServerAbilities::new((1, 16), ["policy/v1beta1".to_owned()]);
        assert!(!old.has_events_v1() && !old.has_policy_v1() && !old.evaluates_rules() && !old.has_startup_probes());
        let new = ServerAbilities::new((1, 36), ["policy/v1".to_owned(), "events.k8s.io/v1".to_owned()]);
        assert!(new.has_events_v1() && new.has_policy_v1() && new.evaluates_rules() && new.honours_claim_retention());
        assert_eq!((number("25+"), number(""), number("x")), (25, 0, 0));
    }
}
