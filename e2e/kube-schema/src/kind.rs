//! The handle of a served type.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::crd::CustomKind;
use crate::schema::{self, Schema};

/// Group, version and kind of a type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gvk {
    /// API group, empty for the core group.
    pub group: String,
    /// Version, such as `v1`.
    pub version: String,
    /// Kind, such as `ConfigMap`.
    pub kind: String,
}

impl Gvk {
    /// A group, version and kind.
    pub fn new(group: &str, version: &str, kind: &str) -> Self {
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    /// Reads `apiVersion` (`apps/v1` or `v1`) and a kind.
    pub fn parse(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::new(group, version, kind)
    }

    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// As the server prints it: `apps/v1, Kind=StatefulSet`, `/v1, Kind=ConfigMap`.
impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// A type that a server serves: its schema, and for a custom resource what its definition says.
#[derive(Debug)]
pub struct Kind {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// The schema of the whole object, `metadata` included.
    pub schema: Arc<Schema>,
    /// Set for a custom resource.
    pub custom: Option<CustomKind>,
    /// The minor version of the Kubernetes that is played (36 for 1.36): fields that it does not know are unknown.
    pub minor: u32,
}

/// Newest Kubernetes minor version whose types this crate carries.
pub const LATEST_MINOR: u32 = 36;

type Known = Mutex<BTreeMap<(Gvk, u32), Option<Arc<Kind>>>>;

static KNOWN: LazyLock<Known> = LazyLock::new(Known::default);

impl Kind {
    /// The built-in type of that name as Kubernetes 1.`minor` knows it.
    pub fn builtin(gvk: &Gvk, minor: u32) -> Option<Arc<Self>> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .entry((gvk.clone(), minor))
            .or_insert_with(|| {
                let schema = schema::builtin(gvk, minor)?;
                Some(Arc::new(Self { gvk: gvk.clone(), schema, custom: None, minor }))
            })
            .clone()
    }

    /// Whether this is a custom resource.
    pub fn is_custom(&self) -> bool {
        self.custom.is_some()
    }

    /// Whether the type is the built-in one of that group and kind.
    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        self.custom.is_none() && self.gvk.group == group && self.gvk.kind == kind
    }

    /// Whether `status` is written through its own subresource only.
    pub fn has_status(&self) -> bool {
        match &self.custom {
            Some(custom) => custom.status,
            None => self.schema.property("status").is_some() && self.gvk.kind != "Event",
        }
    }
}
