//! Many teams on one Kubernetes cluster, and several installations of the operator beside each other.

#[path = "tenancy/fairness.rs"]
mod fairness;
#[path = "tenancy/help.rs"]
mod help;
#[path = "tenancy/installations.rs"]
mod installations;
#[path = "tenancy/namespaces.rs"]
mod namespaces;
#[path = "tenancy/quota.rs"]
mod quota;
#[path = "tenancy/shards.rs"]
mod shards;
