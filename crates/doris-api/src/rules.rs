//! Names of the safety rules that every disruptive step passes.

use std::fmt;
use std::str::FromStr;

/// A safety rule; `status.operation.blockedBy`, Events, metrics and overrides name it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SafetyRule {
    /// A majority of the registered followers stays alive and caught up.
    FeQuorum,
    /// The master restarts after all other frontends.
    MasterLast,
    /// No tablet's only healthy replica is on the victim.
    KeepReplica,
    /// No table becomes unreadable.
    ServeReplica,
    /// No table refuses loads.
    LoadQuorum,
    /// Between two backends no tablet is unhealthy that was healthy before.
    TabletHealth,
    /// The operation Lease is held with an unchanged token.
    OneAtATime,
    /// Every replica allocation and all data fit the backends that stay.
    DecommissionFeasible,
    /// No backup or restore job runs that the step would break.
    BackupIdle,
    /// The version step is a documented one.
    VersionPath,
    /// Nothing crosses a metadata version by accident.
    NoReturn,
    /// The cache shows our own last write.
    Fresh,
    /// A cluster is founded once.
    FoundOnce,
}

impl SafetyRule {
    /// Every rule.
    pub const ALL: [Self; 13] = [
        Self::FeQuorum,
        Self::MasterLast,
        Self::KeepReplica,
        Self::ServeReplica,
        Self::LoadQuorum,
        Self::TabletHealth,
        Self::OneAtATime,
        Self::DecommissionFeasible,
        Self::BackupIdle,
        Self::VersionPath,
        Self::NoReturn,
        Self::Fresh,
        Self::FoundOnce,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FeQuorum => "FeQuorum",
            Self::MasterLast => "MasterLast",
            Self::KeepReplica => "KeepReplica",
            Self::ServeReplica => "ServeReplica",
            Self::LoadQuorum => "LoadQuorum",
            Self::TabletHealth => "TabletHealth",
            Self::OneAtATime => "OneAtATime",
            Self::DecommissionFeasible => "DecommissionFeasible",
            Self::BackupIdle => "BackupIdle",
            Self::VersionPath => "VersionPath",
            Self::NoReturn => "NoReturn",
            Self::Fresh => "Fresh",
            Self::FoundOnce => "FoundOnce",
        }
    }
}

impl fmt::Display for SafetyRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A text that names no safety rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a safety rule")]
pub struct UnknownRule(String);

impl FromStr for SafetyRule {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|rule| rule.name() == text).ok_or_else(|| UnknownRule(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::SafetyRule;

    #[test]
    fn rules_are_found_by_name() {
        for rule in SafetyRule::ALL {
            assert_eq!(rule.name().parse(), Ok(rule));
        }
        assert!("Nonsense".parse::<SafetyRule>().is_err());
    }
}
