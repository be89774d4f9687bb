//! Types and reasons of conditions.

/// Everything that the spec asks for is so.
pub const READY: &str = "Ready";
/// Work towards the spec is under way.
pub const RECONCILING: &str = "Reconciling";
/// Work cannot go on without a person.
pub const STALLED: &str = "Stalled";
/// The spec passes every check that needs no server.
pub const SPEC_VALID: &str = "SpecValid";
/// A frontend master answers and a majority follows it (failover-watcher).
pub const FRONTEND_QUORUM: &str = "FrontendQuorum";
/// The failover-watcher is at work (failover-watcher).
pub const FAILOVER_ACTIVE: &str = "FailoverActive";
/// Every tablet has its healthy replicas.
pub const DATA_HEALTHY: &str = "DataHealthy";
/// A backup is as recent as was asked for (backup-scheduler).
pub const BACKUP_FRESH: &str = "BackupFresh";

/// Every member is stopped, and all data is kept.
pub const SUSPENDED: &str = "Suspended";

/// Reasons, by what they tell a person.
pub mod reason {
    /// Members are not all there yet.
    pub const MEMBERS_MISSING: &str = "MembersMissing";
    /// Objects are being created.
    pub const CREATING: &str = "Creating";
    /// The first frontend founds the cluster.
    pub const FOUNDING: &str = "Founding";
    /// Waiting for a frontend master.
    pub const WAITING_FOR_MASTER: &str = "WaitingForMaster";
    /// Waiting for pods to be placed or started.
    pub const WAITING_FOR_PODS: &str = "WaitingForPods";
    /// Members are being registered.
    pub const REGISTERING: &str = "Registering";
    /// A member that lost its data is let in anew.
    pub const REPLACING: &str = "Replacing";
    /// A configuration change is on its way.
    pub const CONFIGURING: &str = "Configuring";
    /// Doris does not take a key or a value of the configuration.
    pub const CONFIG_REFUSED: &str = "ConfigRefused";
    /// Somebody changed a setting of a running process by hand.
    pub const CONFIG_DRIFT: &str = "ConfigDrift";
    /// Members wait for a restart, and somebody else decides when.
    pub const RESTART_PENDING: &str = "RestartPending";
    /// Members are being restarted, one at a time.
    pub const RESTARTING: &str = "Restarting";
    /// A member did not come back from its restart: no further one is restarted.
    pub const ROLL_STOPPED: &str = "RollStopped";
    /// Volumes grow.
    pub const GROWING: &str = "Growing";
    /// A volume does not grow as the spec asks.
    pub const VOLUME_REFUSED: &str = "VolumeRefused";
    /// Members get a further disk.
    pub const ADDING_DISK: &str = "AddingDisk";
    /// More or fewer members are wanted.
    pub const SCALING: &str = "Scaling";
    /// Members that are to leave do not come away: somebody has to look.
    pub const SCALE_IN_STOPPED: &str = "ScaleInStopped";
    /// Another version is being installed.
    pub const UPGRADING: &str = "Upgrading";
    /// The spec contradicts itself.
    pub const SPEC_INVALID: &str = "SpecInvalid";
    /// A Secret that the spec names is missing or lacks a key.
    pub const SECRET_MISSING: &str = "SecretMissing";
    /// A ConfigMap that the spec names is missing.
    pub const CONFIG_MAP_MISSING: &str = "ConfigMapMissing";
    /// The API server refused an object of ours.
    pub const REFUSED_BY_SERVER: &str = "RefusedByServer";
    /// A quota stands in the way.
    pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";
    /// Pod security stands in the way.
    pub const POD_SECURITY: &str = "PodSecurity";
    /// Something changed a value of ours at admission.
    pub const ADMISSION_OVERRIDE: &str = "AdmissionOverride";
    /// The node does not fulfil what a backend needs.
    pub const NODE_UNTUNED: &str = "NodeUntuned";
    /// No frontend has its metadata any more.
    pub const FRONTEND_METADATA_LOST: &str = "FrontendMetadataLost";
    /// A frontend has its role and version and no journal.
    pub const JOURNAL_LOST: &str = "JournalLost";
    /// A volume belongs to another cluster.
    pub const WRONG_VOLUME: &str = "WrongVolume";
    /// A backend's volume came back empty.
    pub const BLANK_VOLUME: &str = "BlankVolume";
    /// Two frontends say that they are master.
    pub const TWO_MASTERS: &str = "TwoMasters";
    /// A frontend says that it is master and no majority follows it.
    pub const NO_QUORUM: &str = "NoQuorum";
    /// No stored password is accepted.
    pub const LOCKED_OUT: &str = "LockedOut";
    /// Root's password was changed by hand.
    pub const ROOT_PASSWORD_UNKNOWN: &str = "RootPasswordUnknown";
    /// Doris refuses a password that it is to take.
    pub const PASSWORD_REFUSED: &str = "PasswordRefused";
    /// An account's password is being changed.
    pub const CHANGING_PASSWORD: &str = "ChangingPassword";
    /// An account has another password now.
    pub const PASSWORD_CHANGED: &str = "PasswordChanged";
    /// The cluster that something is to be done in is not ready.
    pub const CLUSTER_NOT_READY: &str = "ClusterNotReady";
    /// Statements are being run.
    pub const RUNNING_SQL: &str = "RunningSql";
    /// A statement failed.
    pub const SQL_FAILED: &str = "SqlFailed";
    /// All statements succeeded.
    pub const SQL_DONE: &str = "SqlDone";
    /// Members are registered that nobody asked for.
    pub const UNKNOWN_MEMBERS: &str = "UnknownMembers";
    /// An address does not fit the identity: names or domain changed.
    pub const ADDRESS_CHANGED: &str = "AddressChanged";
    /// A safety rule refuses the next step.
    pub const BLOCKED: &str = "Blocked";
    /// A person's annotation overrode a safety rule.
    pub const OVERRIDDEN: &str = "SafetyRuleOverridden";
    /// All members are stopped and volumes stay.
    pub const SUSPENDED: &str = "Suspended";
    /// Members stop, in order.
    pub const SUSPENDING: &str = "Suspending";
    /// Members start again, in order.
    pub const RESUMING: &str = "Resuming";
    /// Nothing is known yet.
    pub const UNKNOWN: &str = "Unknown";
}
