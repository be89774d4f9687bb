//! A model of an Apache Doris cluster behind the real MySQL and HTTP protocols.
//!
//! A [`World`] is a network of virtual hosts with frontends, backends and brokers as its processes
//! and [`Volume`]s as their disks. Processes live and die by themselves or by [`Signal`]; volumes
//! outlive them. Each frontend keeps its own replica of the journal and shows its own view.
//!
//! Everything waits on tokio's clock, so paused time works; randomness comes from the seed.
//! With [`WorldOptions::wire`] the processes also listen on real loopback sockets.

mod alter;
mod answer;
mod bdb;
mod be;
mod catalog;
mod clock;
mod clone;
mod facts;
mod fe;
mod load;
mod net;
mod process;
mod query;
mod session;
mod snapshot;
mod spec;
mod sql;
mod state;
mod timing;
mod truth;
mod version;
mod volume;
mod wire;
mod world;

pub use answer::{Answer, Column, ColumnType, HttpError, Rows, SqlError};
pub use facts::{
    BackendFacts, FeStart, Founding, FrontendFacts, MemberFacts, MemberKind, MetadataFound, RegisteredMember, RunningStatement,
};
pub use load::{LoadError, LoadResult, LoadStatus, StreamLoad};
pub use net::Cut;
pub use process::{LogFile, LogLine, ProcessHandle, ProcessId, ProcessState, Signal};
pub use session::Session;
pub use spec::{BeSpec, BrokerSpec, FeSpec, Medium, NodeRole, StorageRoot};
pub use timing::Timing;
pub use truth::{
    AccountFacts, BackendDrop, BackendStop, Crossing, Failure, FrontendStop, LiveSetting, ProcessVersion, Registration, ReplicaFacts,
    Second, SettingChange, SnapshotFacts, TabletFacts, Traffic, Work, password_hash,
};
pub use version::DorisVersion;
pub use volume::{Volume, VolumeDir, VolumeError};
pub use world::{World, WorldOptions};
