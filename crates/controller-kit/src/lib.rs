//! What the main function of every controller shares: telemetry, health, leases, apply and status helpers, error reporting.

pub mod apply;
pub mod args;
pub mod clock;
pub mod conditions;
pub mod discovery;
pub mod events;
pub mod expectations;
pub mod leadership;
pub mod lease;
pub mod metrics;
pub mod report;
pub mod scope;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod text;
pub mod turns;
pub mod watch;
pub mod writes;

#[cfg(test)]
mod fake;
