//! What the controllers do together, told as sentences.

mod collecting;
mod nodes;
mod statefulsets;
mod workloads;
