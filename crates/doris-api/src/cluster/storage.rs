//! Volumes.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Volume of a frontend's metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetadataStorage {
    /// Size of the volume; may grow, never shrink.
    pub size: Quantity,
    /// Storage class; the cluster's default if absent. Can't change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
}

/// A disk of each backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// Name of the disk: of its volume claim and of its directory. Can't change.
    #[schemars(length(max = 40))]
    pub name: String,
    /// What Doris takes the disk for. Can't change.
    #[serde(default)]
    pub medium: Medium,
    /// Size of the volume; may grow, never shrink.
    pub size: Quantity,
    /// Storage class; the cluster's default if absent. Can't change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
}

/// Storage medium, as Doris distinguishes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Medium {
    /// Solid state.
    SSD,
    /// Anything else; Doris' own default.
    #[default]
    HDD,
}

impl Medium {
    /// As it is written in `storage_root_path`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SSD => "SSD",
            Self::HDD => "HDD",
        }
    }
}
