//! Groups of tables whose buckets lie on the same backends.

use serde::{Deserialize, Serialize};

/// A colocate group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub id: u64,
    pub database: u64,
    pub copies: usize,
    pub location: String,
    /// Backends of each bucket.
    pub buckets: Vec<Vec<u64>>,
    /// Whether all tablets lie where they should.
    pub stable: bool,
}

impl Group {
    pub fn sequence(&self, bucket: usize) -> &[u64] {
        self.buckets.get(bucket).map_or(&[], Vec::as_slice)
    }
}
