//! Acting: what plans decided, one write or statement after the other.

pub mod accounts;
pub mod children;
pub mod claims;
pub mod growth;
pub mod identity;
pub mod pods;
pub mod sets;
pub mod sweep;
