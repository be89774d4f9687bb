//! What the main function of every controller shares: telemetry, health, leases, apply and status helpers, error reporting.
