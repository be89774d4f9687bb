//! Files of a metadata directory.

use crate::catalog::{Catalog, FeRole};
use crate::clock::properties_time;
use crate::volume::VolumeError;

use super::Fe;

/// What the identity files of a directory say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// Neither file is there.
    None,
    /// One without the other, or one without content.
    Partial { role_alone: bool },
    /// Both.
    Complete { role: FeRole, name: String, cluster_id: u32, token: String },
}

impl Fe {
    pub(super) fn read_identity(&self) -> Identity {
        let role = self.meta.read_text("image/ROLE");
        let version = self.meta.read_text("image/VERSION");
        let (Some(role), Some(version)) = (&role, &version) else {
            return if role.is_none() && version.is_none() {
                Identity::None
            } else {
                Identity::Partial { role_alone: role.is_some_and(|text| !text.is_empty()) }
            };
        };
        let parts = (
            property(role, "role").and_then(FeRole::parse),
            property(role, "name"),
            property(version, "clusterId"),
            property(version, "token"),
        );
        match parts {
            (Some(role), Some(name), Some(id), Some(token)) => {
                Identity::Complete { role, name: name.to_owned(), cluster_id: id.parse().unwrap_or(0), token: token.to_owned() }
            }
            _ => Identity::Partial { role_alone: false },
        }
    }

    pub(super) fn write_role(&self, now_ms: i64) -> Result<(), VolumeError> {
        let text = format!("#{}\nrole={}\nname={}\n", properties_time(now_ms), self.role.name(), self.name);
        self.meta.volume.write(&self.meta.join("image/ROLE"), text)
    }

    pub(super) fn write_version(&self, now_ms: i64) -> Result<(), VolumeError> {
        let text = format!("#{}\nclusterId={}\ntoken={}\n", properties_time(now_ms), self.cluster_id, self.token);
        self.meta.volume.write(&self.meta.join("image/VERSION"), text)
    }

    /// Journal id of the newest image, whoever made it.
    pub(crate) fn newest_image_id(&self) -> Option<u64> {
        let files = self.meta.volume.files(&self.meta.join("image"));
        files.iter().filter_map(|path| path.rsplit_once("/image.")?.1.parse::<u64>().ok()).max()
    }

    /// Number and content of the newest image.
    pub(crate) fn newest_image(&self) -> Option<(u64, Vec<u8>)> {
        let newest = self.newest_image_id()?;
        Some((newest, self.meta.volume.read(&self.meta.join(&format!("image/image.{newest}"))).ok()?))
    }

    pub(crate) fn write_image(&self, id: u64, content: &[u8]) -> Result<(), VolumeError> {
        let checkpoint = self.meta.join("image/image.ckpt");
        self.meta.volume.write(&checkpoint, content)?;
        self.meta.volume.rename(&checkpoint, &self.meta.join(&format!("image/image.{id}")));
        Ok(())
    }

    /// Catalog of the newest image and its journal id.
    pub(crate) fn load_image(&self) -> Option<(u64, Catalog)> {
        let (id, content) = self.newest_image()?;
        Some((id, serde_json::from_slice(&content).ok()?))
    }
}

fn property<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).filter(|value| !value.is_empty())
}
