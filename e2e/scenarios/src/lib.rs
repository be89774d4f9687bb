//! End-to-end scenarios, fault plans, the demo and the launcher of a real control plane.

pub mod control_plane;
pub mod delivery;
pub mod demo;
pub mod docs;
pub mod lab;
pub mod real;
pub mod scale;
