//! The cluster-controller as a process of its own.
//!
//! It is this very program, started again with another first argument: so it is there without a second build, and never an older
//! one than the rest. It ends with us however we end: it reads a pipe that closes when we are gone.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::Parser as _;
use cluster_controller::program::{Arguments, run};
use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::Error;

/// First argument that makes one of our programs a cluster-controller.
pub const SUBCOMMAND: &str = "cluster-controller";
/// How long a controller may take to say that it has started.
const START: Duration = Duration::from_secs(20);
/// How long it may take to end by itself: it gives up its Lease.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many of a log's last lines are shown.
const TAIL: usize = 15;

/// Runs the cluster-controller and tells how it went, if the first argument asks for it.
pub async fn run_if_asked() -> Option<anyhow::Result<()>> {
    let mut words = std::env::args_os();
    let program = words.next()?;
    if words.next()? != SUBCOMMAND {
        return None;
    }
    end_with_parent();
    Some(run(Arguments::parse_from(std::iter::once(program).chain(words))).await)
}

/// Asks this process to end once its standard input closes.
fn end_with_parent() {
    std::thread::spawn(|| {
        // Nothing is ever sent; whatever ends the reading ends us.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        if let Err(error) = kill_process(getpid(), Signal::TERM) {
            tracing::error!(%error, "the parent is gone, and this process can't be told to end");
        }
    });
}

/// How a controller is started.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// The program, with [`SUBCOMMAND`] as its first argument if it is one of ours.
    pub program: PathBuf,
    /// Whether the program needs the subcommand.
    pub is_ours: bool,
    /// Where the API server is.
    pub kubeconfig: &'a Path,
    /// Where to log to.
    pub log: PathBuf,
    /// More arguments.
    pub arguments: Vec<OsString>,
}

/// A running controller. It does not outlive the value.
#[derive(Debug)]
pub struct ControllerProcess {
    child: Child,
    log: PathBuf,
    metrics: SocketAddr,
}

impl ControllerProcess {
    /// Starts a controller and waits until it says where it serves its metrics.
    pub async fn start(start: Start<'_>) -> Result<Self, Error> {
        let output = File::create(&start.log).map_err(Error::io("create", &start.log))?;
        let mut command = Command::new(&start.program);
        if start.is_ours {
            command.arg(SUBCOMMAND);
        }
        let child = command
            .args(["--listen", "127.0.0.1:0", "--log-format", "text"])
            .args(&start.arguments)
            .env("KUBECONFIG", start.kubeconfig)
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(output)
            // A Ctrl-C in the terminal reaches us alone, and we stop it in the right order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io("start", &start.program))?;
        let mut process = Self { child, log: start.log, metrics: SocketAddr::from(([0, 0, 0, 0], 0)) };
        process.metrics = process.wait_for_address().await?;
        Ok(process)
    }

    async fn wait_for_address(&mut self) -> Result<SocketAddr, Error> {
        let end = Instant::now() + START;
        loop {
            if let Some(address) = address(&self.log_text()) {
                return Ok(address);
            }
            self.check_alive()?;
            if Instant::now() > end {
                return Err(Error::ControllerSilent { seconds: START.as_secs(), tail: self.tail() });
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where health endpoints and metrics are.
    pub fn metrics(&self) -> SocketAddr {
        self.metrics
    }

    /// The log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// An error if it has ended.
    pub fn check_alive(&mut self) -> Result<(), Error> {
        match self.child.try_wait().map_err(Error::io("look after", &self.log))? {
            None => Ok(()),
            Some(status) => Err(Error::ControllerEnded { status: status.to_string(), tail: self.tail() }),
        }
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// Lines of its log so far; nothing if it can't be read.
    fn log_text(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Ends it at once, as a crash does.
    pub async fn kill(mut self) -> Result<(), Error> {
        self.child.kill().await.map_err(Error::io("end", &self.log))
    }

    /// Asks it to end, and ends it if it has not after a while.
    pub async fn stop(mut self) -> Result<(), Error> {
        let Some(pid) = self.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else { return Ok(()) };
        // Who ended in the meantime can't be signalled, which is what we want of it anyway.
        if kill_process(pid, Signal::TERM).is_err() || tokio::time::timeout(PATIENCE, self.child.wait()).await.is_err() {
            self.child.kill().await.map_err(Error::io("end", &self.log))?;
        }
        Ok(())
    }
}

/// The address in the line that says that the controller started.
fn address(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains(": started address="))?;
    line.split_once("address=")?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn the_address_is_read_from_the_line_of_the_start() {
        let log =
            "2026 WARN x: address=1.2.3.4:5\n2026  INFO cluster_controller::program: started address=127.0.0.1:4711 kubernetes=\"1.36\"\n";
        assert_eq!(address(log), Some(([127, 0, 0, 1], 4711).into()));
        assert_eq!(address("2026 INFO cluster_controller::program: leading\n"), None);
    }
}
