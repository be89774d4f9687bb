//! The built-in Kubernetes controllers that an operator leans on, over an in-process API.

pub mod api;
