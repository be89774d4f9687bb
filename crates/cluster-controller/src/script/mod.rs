//! The scripts that run inside members, as they are put into a `ConfigMap`.

/// File names and contents for [`doris_api::member::SCRIPT_DIR`]; `start.sh` reads its other parts
/// from its own directory, so all of them belong together. Mode 0755.
pub const FILES: [(&str, &str); 8] = [
    ("start.sh", include_str!("start.sh")),
    ("gate.sh", include_str!("gate.sh")),
    ("act.sh", include_str!("act.sh")),
    ("copy.sh", include_str!("copy.sh")),
    ("config.sh", include_str!("config.sh")),
    ("run.sh", include_str!("run.sh")),
    ("probe.sh", include_str!("probe.sh")),
    ("stop.sh", include_str!("stop.sh")),
];
