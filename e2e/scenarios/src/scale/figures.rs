//! What was measured, for people and for the documentation.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Memory of the controller's process, in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Resident.
    pub resident: f64,
    /// Of these what the process has allocated itself.
    pub allocated: f64,
    /// The most that was resident so far.
    pub peak: f64,
}

/// Rounds of the controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rounds {
    /// How many.
    pub count: f64,
    /// Half of them took at most so many milliseconds.
    pub p50: Option<f64>,
    /// All but one of a hundred took at most so many.
    pub p99: Option<f64>,
}

/// Requests to the API server for each cluster, those about Leases left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    /// Writes.
    pub writes: f64,
    /// Reads.
    pub reads: f64,
    /// Verb, resource, and how many for each cluster.
    pub each: Vec<(String, String, f64)>,
}

/// How long nobody works between one process and the next, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Between {
    /// From the order to end to the next process' first write.
    pub restart: Option<f64>,
    /// From a crash to it.
    pub crash: Option<f64>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Clusters.
    pub clusters: usize,
    /// Followers and backends of each.
    pub members: (i32, i32),
    /// `ConfigMap`s and Secrets of others.
    pub unrelated: usize,
    /// Seconds until the last pod was Ready.
    pub pods_after: f64,
    /// Seconds until the last cluster was Ready.
    pub ready_after: f64,
    /// Rounds until then.
    pub rounds_until_ready: Rounds,
    /// Rounds while nothing changed.
    pub rounds_idle: Rounds,
    /// Requests until all were Ready; nothing if nobody counts them.
    pub until_ready: Option<Requests>,
    /// Requests from then until nothing was written any more.
    pub settling: Option<Requests>,
    /// Seconds that idleness was measured for.
    pub idle_seconds: u64,
    /// Writes while nothing changed.
    pub idle_writes: Option<u64>,
    /// Memory before there was a cluster.
    pub memory_empty: Memory,
    /// Memory when all were Ready.
    pub memory_ready: Memory,
    /// Memory after the idle time.
    pub memory_idle: Memory,
    /// CPU seconds until all were Ready.
    pub cpu_until_ready: f64,
    /// CPU seconds while nothing changed.
    pub cpu_idle: f64,
    /// Seconds from a process' start until its caches are filled, when there is no cluster.
    pub start_empty: f64,
    /// The same when all clusters are there.
    pub start_full: Option<f64>,
    /// From one process to the next that is started then.
    pub alone: Between,
    /// From one process to a second one that waits for its turn.
    pub paired: Between,
    /// Memory of a process that found all clusters there.
    pub memory_restarted: Memory,
}

impl Figures {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for row in rows() {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{:<48} {}", row.what, (row.of)(self));
        }
        for (when, requests) in [("until all are Ready", &self.until_ready), ("from then until it is quiet", &self.settling)] {
            let Some(requests) = requests else { continue };
            let _ = writeln!(text, "\nrequests {when}, a cluster:");
            for (verb, resource, each) in &requests.each {
                let _ = writeln!(text, "  {verb:<8} {resource:<32} {each:>8.2}");
            }
        }
        text
    }
}

/// A Markdown table with a column for each run.
pub fn table(runs: &[Figures]) -> String {
    let mut text = String::new();
    for (number, row) in rows().iter().enumerate() {
        let cells: Vec<String> = runs.iter().map(|run| (row.of)(run)).collect();
        let _ = writeln!(text, "| {} | {} |", row.what, cells.join(" | "));
        if number == 0 {
            let _ = writeln!(text, "|---|{}", "---:|".repeat(runs.len()));
        }
    }
    text
}

struct Row {
    what: &'static str,
    of: fn(&Figures) -> String,
}

fn rows() -> Vec<Row> {
    let row = |what, of| Row { what, of };
    vec![
        row("clusters", |run| run.clusters.to_string()),
        row("frontends + backends in each", |run| format!("{} + {}", run.members.0, run.members.1)),
        row("ConfigMaps and Secrets of others", |run| run.unrelated.to_string()),
        row("last pod Ready after", |run| seconds(Some(run.pods_after))),
        row("last cluster Ready after", |run| seconds(Some(run.ready_after))),
        row("writes a cluster until Ready", |run| number(run.until_ready.as_ref().map(|requests| requests.writes))),
        row("reads a cluster until Ready", |run| number(run.until_ready.as_ref().map(|requests| requests.reads))),
        row("writes a cluster from then until quiet", |run| number(run.settling.as_ref().map(|requests| requests.writes))),
        row("writes while idle", |run| match run.idle_writes {
            Some(writes) => format!("{writes} in {} s", run.idle_seconds),
            None => "-".to_owned(),
        }),
        row("rounds until Ready: P50, P99", |run| quantiles(run.rounds_until_ready)),
        row("rounds while idle: P50, P99", |run| quantiles(run.rounds_idle)),
        row("CPU seconds until Ready", |run| number(Some(run.cpu_until_ready))),
        row("CPU, idle", |run| share(run.cpu_idle, run.idle_seconds)),
        row("resident (of these allocated) without clusters", |run| resident(run.memory_empty)),
        row("resident when all are Ready", |run| resident(run.memory_ready)),
        row("resident after the idle time", |run| resident(run.memory_idle)),
        row("most ever resident", |run| format!("{:.1} MiB", run.memory_idle.peak)),
        row("resident right after a restart", |run| resident(run.memory_restarted)),
        row("ready after its start, without clusters", |run| milliseconds(Some(run.start_empty))),
        row("ready after its start, with all clusters", |run| milliseconds(run.start_full)),
        row("first write after a planned restart, two replicas", |run| seconds(run.paired.restart)),
        row("first write after a crash, two replicas", |run| seconds(run.paired.crash)),
        row("first write after a planned restart, one replica", |run| seconds(run.alone.restart)),
        row("first write after a crash, one replica", |run| seconds(run.alone.crash)),
    ]
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} s"))
}

fn milliseconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{:.0} ms", seconds * 1000.0))
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

fn resident(memory: Memory) -> String {
    format!("{:.1} MiB ({:.1})", memory.resident, memory.allocated)
}

fn quantiles(rounds: Rounds) -> String {
    let of = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0} ms"));
    format!("{}, {}", of(rounds.p50), of(rounds.p99))
}

fn share(cpu: f64, seconds: u64) -> String {
    let wall = std::time::Duration::from_secs(seconds.max(1)).as_secs_f64();
    format!("{:.1} % of a core", cpu * 100.0 / wall)
}

#[cfg(test)]
mod tests {
    use super::{Between, Figures, Requests, table};

    #[test]
    fn a_table_has_a_column_for_each_run() {
        let requests = Requests { writes: 23.96, reads: 10.0, each: vec![("patch".into(), "pods".into(), 4.0)] };
        let counted = Figures { clusters: 100, members: (3, 3), until_ready: Some(requests), idle_writes: Some(0), ..Figures::default() };
        let alone = Between { restart: Some(1.24), crash: None };
        let uncounted = Figures { clusters: 7, alone, ..Figures::default() };
        let table = table(&[counted.clone(), uncounted]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "| clusters | 100 | 7 |");
        assert_eq!(lines[1], "|---|---:|---:|");
        assert!(lines.contains(&"| writes a cluster until Ready | 24.0 | - |"), "{table}");
        assert!(lines.contains(&"| first write after a planned restart, one replica | - | 1.2 s |"), "{table}");
        assert!(counted.text().contains("patch    pods                                 4.00"), "{}", counted.text());
    }
}
