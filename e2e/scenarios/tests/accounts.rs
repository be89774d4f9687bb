//! Accounts: the user's passwords, the operator's own, and what is done when one is lost.

#![allow(clippy::panic, reason = "tests tell of a failure by panicking")]

#[path = "accounts/clients.rs"]
mod clients;
#[path = "accounts/logins.rs"]
mod logins;
#[path = "accounts/operator.rs"]
mod operator;
#[path = "accounts/people.rs"]
mod people;
#[path = "accounts/policies.rs"]
mod policies;
#[path = "accounts/secrets.rs"]
mod secrets;
