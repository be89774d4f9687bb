//! The conversations, by what they are about.

mod accounts;
mod backends;
mod elections;
mod founding;
mod members;
mod settings;
mod shows;
mod wire;

use crate::Case;

/// Names a module's conversations.
macro_rules! conversations {
    ($($name:ident),* $(,)?) => {
        pub const CASES: &[(&str, crate::Case)] = &[$((stringify!($name), |stage| Box::pin($name(stage)))),*];
    };
}
use conversations;

/// All of them, as group, name and conversation.
pub fn all() -> Vec<(&'static str, &'static str, Case)> {
    let groups = [
        ("accounts", accounts::CASES),
        ("backends", backends::CASES),
        ("elections", elections::CASES),
        ("founding", founding::CASES),
        ("members", members::CASES),
        ("settings", settings::CASES),
        ("shows", shows::CASES),
        ("wire", wire::CASES),
    ];
    groups.into_iter().flat_map(|(group, list)| list.iter().map(move |(name, case)| (group, *name, *case))).collect()
}
