//! What the main function of every controller shares: telemetry, health, leases, apply and status helpers, error reporting.

pub mod apply;
pub mod clock;
pub mod conditions;
pub mod expectations;
pub mod leadership;
pub mod lease;
pub mod report;
pub mod text;
