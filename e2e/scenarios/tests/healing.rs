//! What comes back by itself: members, objects, whole clusters.

#[path = "healing/data.rs"]
mod data;
#[path = "healing/founding.rs"]
mod founding;
#[path = "healing/neighbours.rs"]
mod neighbours;
#[path = "healing/objects.rs"]
mod objects;
#[path = "healing/told.rs"]
mod told;
