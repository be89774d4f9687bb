//! Gathering what is so, in Kubernetes and in Doris.

pub mod doris;
pub mod passwords;
pub mod pods;
