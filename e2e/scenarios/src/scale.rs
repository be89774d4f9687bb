//! What many clusters cost: requests, time, memory, CPU.

pub mod process;
pub mod scrape;
pub mod server;
pub mod tally;
pub mod unrelated;
