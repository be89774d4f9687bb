//! The HTTP surface.

mod body;
pub mod discovery;
mod handle;
pub mod negotiate;
mod openapi;
pub mod options;
mod path;
mod read;
pub mod server;
pub mod service;
mod watch;
