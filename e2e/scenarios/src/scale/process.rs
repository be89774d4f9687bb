//! What a process takes from its machine, from /proc.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Memory and CPU time of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub resident: u64,
    /// The most that was ever resident, in bytes.
    pub peak: u64,
    /// Resident memory that is no file's: what the process itself has allocated.
    pub anonymous: u64,
    /// CPU time, in seconds.
    pub cpu: f64,
}

/// Clock ticks in a second: what every Linux tells programs, whatever it counts itself.
const TICKS: f64 = 100.0;

/// What a process takes now.
pub fn usage(pid: u32) -> std::io::Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(parse(&status, &stat))
}

/// Lets this process open as many files as it may: each port of a simulated member is one.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn parse(status: &str, stat: &str) -> Usage {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() * 1024
    };
    // The name of the program stands in brackets and may hold anything; user and system time are the 14th and 15th field.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u32 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    Usage { resident: bytes("VmRSS"), peak: bytes("VmHWM"), anonymous: bytes("RssAnon"), cpu: f64::from(ticks) / TICKS }
}

#[cfg(test)]
mod tests {
    use super::{Usage, parse, usage};

    #[test]
    fn memory_and_time_are_read_from_what_the_kernel_writes() {
        let status = "Name:\tx\nVmHWM:\t   30 kB\nVmRSS:\t   20 kB\nRssAnon:\t   10 kB\n";
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 4 0 1 1 1";
        assert_eq!(parse(status, stat), Usage { resident: 20 * 1024, peak: 30 * 1024, anonymous: 10 * 1024, cpu: 2.0 });
    }

    #[test]
    fn this_very_process_takes_memory() {
        assert!(usage(std::process::id()).expect("our own files").resident > 0);
    }
}
