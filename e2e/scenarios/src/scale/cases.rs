//! The runs that the documentation shows.

use std::process::Stdio;

use anyhow::Context as _;
use tokio::process::Command;

use super::figures::Figures;

/// One run.
#[derive(Clone, Copy, Debug)]
struct Case {
    clusters: usize,
    members: (i32, i32),
    unrelated: usize,
}

/// A thousand clusters are of the smallest size, so that their simulated members fit one machine.
const CASES: [Case; 4] = [
    Case { clusters: 100, members: (3, 3), unrelated: 0 },
    Case { clusters: 100, members: (3, 3), unrelated: 20_000 },
    Case { clusters: 1000, members: (1, 1), unrelated: 0 },
    Case { clusters: 1000, members: (1, 1), unrelated: 20_000 },
];

/// Measures them one after the other, each in a process of its own, so that none inherits another's memory.
pub async fn measure(idle: u64, deadline: u64) -> anyhow::Result<Vec<Figures>> {
    let program = std::env::current_exe().context("this program can't find itself")?;
    // The program that is delivered: this one carries the simulators along, and its allocator is another.
    let controller = program.with_file_name("cluster-controller");
    anyhow::ensure!(controller.is_file(), "{} is not built: cargo build --release --bin cluster-controller", controller.display());
    let mut all = Vec::new();
    for case in CASES {
        eprintln!("{} clusters of {} + {}, {} objects of others", case.clusters, case.members.0, case.members.1, case.unrelated);
        let numbers = [
            ("--clusters", case.clusters.to_string()),
            ("--frontends", case.members.0.to_string()),
            ("--backends", case.members.1.to_string()),
            ("--unrelated", case.unrelated.to_string()),
            ("--idle", idle.to_string()),
            ("--deadline", deadline.to_string()),
        ];
        let arguments = numbers.iter().flat_map(|(name, value)| [*name, value.as_str()]);
        let run = Command::new(&program)
            .arg("--json")
            .arg("--controller")
            .arg(&controller)
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let output = run.context("a run can't be started")?.wait_with_output().await.context("a run broke off")?;
        anyhow::ensure!(output.status.success(), "a run failed: {}", output.status);
        all.push(serde_json::from_slice(&output.stdout).context("a run printed something else than its figures")?);
    }
    Ok(all)
}
