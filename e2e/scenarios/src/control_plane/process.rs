//! One running program: its log, its end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::Error;

/// How many of a log's last lines an error shows.
const TAIL_LINES: usize = 12;

/// A started program. It does not outlive the value.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program in a process group of its own: a Ctrl-C in the terminal reaches us, and we stop it in the right order.
    pub(super) fn start(name: &'static str, program: &Path, arguments: &[String], logs: &Path) -> Result<Self, Error> {
        let log = logs.join(format!("{name}.log"));
        let output = File::create(&log).map_err(Error::io("create", &log))?;
        let errors = output.try_clone().map_err(Error::io("share", &log))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io("start", program))?;
        Ok(Self { name, child, log })
    }

    /// The process id, while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// An error if the program has ended.
    pub(super) fn check_alive(&mut self) -> Result<(), Error> {
        match self.child.try_wait().map_err(Error::io("look after", &self.log))? {
            None => Ok(()),
            Some(status) => Err(self.exited(status)),
        }
    }

    /// Asks the program to end, and ends it if it has not after `patience`.
    pub(super) async fn stop(&mut self, patience: Duration) -> Result<(), Error> {
        let Some(pid) = self.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else { return Ok(()) };
        // Whoever has ended in the meantime can't be signalled, which is what we want of it anyway.
        if kill_process(pid, Signal::TERM).is_err() || tokio::time::timeout(patience, self.child.wait()).await.is_err() {
            tracing::debug!(program = self.name, "did not end by itself");
            self.child.kill().await.map_err(Error::io("end", &self.log))?;
        }
        Ok(())
    }

    fn exited(&self, status: ExitStatus) -> Error {
        let text = std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        Error::Exited { program: self.name, status: status.to_string(), log: self.log.clone(), tail: last_lines(&text, TAIL_LINES) }
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Duration, Error, Path, Process, last_lines};

    fn shell(script: &str, logs: &Path) -> Process {
        Process::start("sh", Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()], logs).expect("a shell")
    }

    #[tokio::test]
    async fn a_program_that_ended_is_reported_with_the_end_of_its_log() {
        let logs = tempfile::tempdir().expect("a temporary directory");
        let mut process = shell("echo the port is taken >&2; exit 7", logs.path());
        process.child.wait().await.expect("an end");
        let error = process.check_alive().expect_err("it ended");
        assert!(matches!(&error, Error::Exited { program: "sh", tail, .. } if tail == "the port is taken"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_ignores_the_request_to_end_is_ended() {
        let logs = tempfile::tempdir().expect("a temporary directory");
        let mut process = shell("trap '' TERM; echo deaf; while :; do sleep 1; done", logs.path());
        while !std::fs::read_to_string(&process.log).expect("a log").contains("deaf") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        process.stop(Duration::from_millis(100)).await.expect("an end");
        assert_eq!(process.id(), None);
    }

    #[test]
    fn only_the_end_of_a_log_is_shown() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
