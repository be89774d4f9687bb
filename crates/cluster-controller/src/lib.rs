//! Creates, configures and deletes Apache Doris clusters on Kubernetes.
//!
//! A reconcile runs `observe → validate → plan → act → report`: what is so is gathered under
//! deadlines, plans are pure functions of it, acting writes and registers, reporting applies the
//! status. Nothing is remembered as the only truth.

pub mod act;
pub mod build;
pub mod cache;
pub mod context;
pub mod controller;
pub mod error;
pub mod identity;
pub mod initializer;
pub mod observe;
pub mod plan;
pub mod program;
pub mod release;
pub mod report;
pub mod round;
pub mod safety;
pub mod script;
pub mod view;
