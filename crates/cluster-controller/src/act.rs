//! Acting: what plans decided, one write or statement after the other.

pub mod accounts;
