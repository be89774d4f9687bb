//! Gathering what is so, in Kubernetes and in Doris.

pub mod pods;
