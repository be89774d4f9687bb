//! What many clusters cost: requests, time, memory, CPU.

pub mod cases;
pub mod clusters;
pub mod figures;
pub mod process;
pub mod scrape;
pub mod server;
pub mod takeover;
pub mod tally;
pub mod unrelated;
