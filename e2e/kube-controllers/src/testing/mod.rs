//! A small server in memory and a kubelet worked by hand, for the tests of this crate.

mod server;
mod world;

pub(crate) use world::World;
