//! The parts that a Doris cluster is made of.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One group of equal members; each has a StatefulSet of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Component {
    /// Frontends that vote: FOLLOWERs, one of which is the master.
    #[serde(rename = "fe")]
    Fe,
    /// Frontends that do not vote: OBSERVERs.
    #[serde(rename = "fe-ob")]
    FeObserver,
    /// Backends with tablets.
    #[serde(rename = "be")]
    Be,
    /// Backends without tablets: compute nodes.
    #[serde(rename = "cn")]
    Cn,
    /// Brokers that read and write remote storage.
    #[serde(rename = "broker")]
    Broker,
}

/// The program that a member runs; decides ports, configuration file and image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// `doris_fe`.
    Fe,
    /// `doris_be`, for backends and compute nodes.
    Be,
    /// The HDFS broker.
    Broker,
}

impl Component {
    /// Every component, in the order in which they are created.
    pub const ALL: [Self; 5] = [Self::Fe, Self::FeObserver, Self::Be, Self::Cn, Self::Broker];

    /// Name in labels and in the names of objects.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fe => "fe",
            Self::FeObserver => "fe-ob",
            Self::Be => "be",
            Self::Cn => "cn",
            Self::Broker => "broker",
        }
    }

    /// The program that its members run.
    pub const fn process(self) -> Process {
        match self {
            Self::Fe | Self::FeObserver => Process::Fe,
            Self::Be | Self::Cn => Process::Be,
            Self::Broker => Process::Broker,
        }
    }

    /// The role that members are registered with and told to have.
    pub const fn role(self) -> &'static str {
        match self {
            Self::Fe => "FOLLOWER",
            Self::FeObserver => "OBSERVER",
            Self::Be => "mix",
            Self::Cn => "computation",
            Self::Broker => "broker",
        }
    }

    /// The component with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.name() == name)
    }
}

impl Process {
    /// Argument of the start and probe scripts, name of the container and of the image's part.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fe => "fe",
            Self::Be => "be",
            Self::Broker => "broker",
        }
    }

    /// Directory below `/opt/apache-doris` in the official image.
    pub const fn home(self) -> &'static str {
        match self {
            Self::Fe => "/opt/apache-doris/fe",
            Self::Be => "/opt/apache-doris/be",
            Self::Broker => "/opt/apache-doris/apache_hdfs_broker",
        }
    }

    /// Its configuration file.
    pub const fn config_file(self) -> &'static str {
        match self {
            Self::Fe => "fe.conf",
            Self::Be => "be.conf",
            Self::Broker => "apache_hdfs_broker.conf",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl fmt::Display for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Component;

    #[test]
    fn a_component_is_found_by_its_name() {
        for component in Component::ALL {
            assert_eq!(Component::from_name(component.name()), Some(component));
        }
        assert_eq!(Component::from_name("fdb"), None);
    }
}
