//! What a process is started with.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::volume::{Volume, VolumeDir};

/// A frontend to start.
#[derive(Clone, Debug)]
pub struct FeSpec {
    /// Host name as the process finds it.
    pub fqdn: String,
    /// Its address.
    pub ip: IpAddr,
    /// Doris version such as `3.0.3`.
    pub version: String,
    /// Metadata directory (`meta_dir`).
    pub meta: VolumeDir,
    /// Keys of fe.conf.
    pub conf: BTreeMap<String, String>,
    /// `--helper`: `host:port` each; empty without the option.
    pub helpers: Vec<String>,
    /// `--metadata_failure_recovery`.
    pub recovery: bool,
}

impl FeSpec {
    /// A frontend in FQDN mode with an otherwise empty fe.conf and no helper.
    pub fn new(fqdn: impl Into<String>, ip: IpAddr, version: impl Into<String>, meta: VolumeDir) -> Self {
        let conf = BTreeMap::from([("enable_fqdn_mode".to_owned(), "true".to_owned())]);
        Self { fqdn: fqdn.into(), ip, version: version.into(), meta, conf, helpers: Vec::new(), recovery: false }
    }
}

/// Kind of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Medium {
    /// Rotating disk.
    Hdd,
    /// Flash.
    Ssd,
}

/// What a backend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum NodeRole {
    /// Stores tablets and computes.
    Mix,
    /// Computes only.
    Computation,
}

/// One `storage_root_path` of a backend.
#[derive(Clone, Debug)]
pub struct StorageRoot {
    /// Path as the backend names it.
    pub path: String,
    /// Directory on a volume.
    pub dir: VolumeDir,
    /// Medium.
    pub medium: Medium,
    /// Bytes that the backend may use.
    pub capacity: u64,
}

impl StorageRoot {
    /// A root on its own volume.
    pub fn new(path: impl Into<String>, volume: &Volume, medium: Medium, capacity: u64) -> Self {
        Self { path: path.into(), dir: VolumeDir::root(volume), medium, capacity }
    }
}

/// A backend or compute node to start.
#[derive(Clone, Debug)]
pub struct BeSpec {
    /// Host name.
    pub fqdn: String,
    /// Its address.
    pub ip: IpAddr,
    /// Doris version.
    pub version: String,
    /// Storage roots.
    pub storage: Vec<StorageRoot>,
    /// Keys of be.conf; `be_node_role` in it wins over [`BeSpec::role`].
    pub conf: BTreeMap<String, String>,
    /// Role.
    pub role: NodeRole,
}

/// A broker to start.
#[derive(Clone, Debug)]
pub struct BrokerSpec {
    /// Host name.
    pub fqdn: String,
    /// Its address.
    pub ip: IpAddr,
    /// `broker_ipc_port`; 8000 by default.
    pub port: u16,
}
