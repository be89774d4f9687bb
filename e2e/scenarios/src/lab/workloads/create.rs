//! A cluster is created.

use super::{NAME, Sampling, Workload};
use crate::lab::{basic, cluster};

/// It is created.
pub const CREATE: Workload =
    Workload { name: "Create", cluster: || cluster(NAME, basic("2.1.7")), change: None, sampling: Sampling::THOROUGH };
