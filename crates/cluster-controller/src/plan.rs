//! Plans: pure functions from what was observed to what is to be done next.

pub mod accounts;
pub mod birth;
pub mod config;
pub mod founding;
pub mod joining;
pub mod pruning;
pub mod replacing;
pub mod rolling;
pub mod scaling;
pub mod storage;
pub mod suspension;
pub mod tags;
pub mod upgrade;
pub mod volumes;
pub mod workers;
