//! What happens to a cluster while things go wrong: the workloads of fault plans.

mod change_passwords;
mod configure;
mod create;
mod lose_volume;
mod roll;
mod scale_in;
mod suspend;
mod upgrade;
mod volumes;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use doris_api::DorisCluster;

use super::Lab;

pub use change_passwords::CHANGE_PASSWORDS;
pub use configure::CONFIGURE;
pub use create::CREATE;
pub use lose_volume::LOSE_FRONTEND_VOLUME;
pub use roll::ROLL;
pub use scale_in::{SCALE_IN_BACKENDS, SCALE_IN_FRONTENDS};
pub use suspend::SUSPEND;
pub use upgrade::UPGRADE;
pub use volumes::{ADD_DISK, VOLUME_GROWTH};

/// Name of the cluster in all workloads.
pub const NAME: &str = "demo";

/// A future on a laboratory, boxed so that a workload is a value.
pub type Happening<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// What happens to a cluster while things go wrong.
#[derive(Clone, Copy)]
pub struct Workload {
    /// What it is called in what tests print.
    pub name: &'static str,
    /// The cluster that it begins with.
    pub cluster: fn() -> DorisCluster,
    /// What is done once that cluster is ready. Without it, the workload is the creation itself.
    pub change: Option<for<'a> fn(&'a Lab) -> Happening<'a>>,
    /// How many of its steps become plans.
    pub sampling: Sampling,
}

/// How many steps of a run without faults become plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// One in so many questions is a step of plans.
    pub questions: usize,
    /// One in so many changes is: a crash before it and one after it. 1 where the whole is to be proven.
    pub changes: usize,
    /// One in so many of those steps also gets a refusal and stale caches.
    pub refusals: usize,
}

impl Sampling {
    /// Every change with every trouble, and every third question.
    pub const THOROUGH: Self = Self { questions: 3, changes: 1, refusals: 1 };
}

impl fmt::Debug for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}
