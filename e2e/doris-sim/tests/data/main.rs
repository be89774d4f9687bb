//! Tables, loads and queries while backends come and go.

mod clones;
mod jobs;
mod laws;
mod leaving;
mod loads;
mod queries;
mod settings;
mod stand;
mod stops;
mod truth;
