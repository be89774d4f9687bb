//! Processes as their starter sees them.

use std::fmt;

use tokio::sync::watch;

use crate::world::World;

/// Names a process of a world; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u64);

/// Whether a process still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs (or is frozen).
    Running,
    /// It ended with this status; 137 and 143 for signals, 255 for -1.
    Exited(i32),
}

/// What can be sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: ends within about a second (a backend waits for its queries).
    Term,
    /// SIGKILL: ends at once.
    Kill,
    /// SIGSTOP: freezes it; peers see silence.
    Stop,
    /// SIGCONT: goes on.
    Cont,
}

/// Which log a line went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFile {
    /// fe.log, be.INFO or the broker's log.
    Log,
    /// fe.out or be.out.
    Out,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Where it stands.
    pub file: LogFile,
    /// The line, time and level included.
    pub text: String,
}

/// A started process. Dropping the handle does not end the process.
#[derive(Clone)]
pub struct ProcessHandle {
    pub(crate) world: World,
    pub(crate) id: ProcessId,
    pub(crate) state: watch::Receiver<ProcessState>,
}

impl ProcessHandle {
    /// Its name in the world.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Whether it runs.
    pub fn state(&self) -> ProcessState {
        *self.state.borrow()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.world.signal(self.id, signal);
    }

    /// Waits until it ended; its status.
    pub async fn wait(&self) -> i32 {
        let mut state = self.state.clone();
        loop {
            if let ProcessState::Exited(code) = *state.borrow_and_update() {
                return code;
            }
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// All log lines so far.
    pub fn logs(&self) -> Vec<LogLine> {
        self.world.logs(self.id, 0)
    }

    /// Log lines from the given number on, for a reader that remembers how far it came.
    pub fn logs_from(&self, line: usize) -> Vec<LogLine> {
        self.world.logs(self.id, line)
    }

    /// When it was started.
    pub fn started_at(&self) -> tokio::time::Instant {
        self.world.started_at(self.id)
    }

    /// Waits until anything in the world changed that a probe or a log reader may see.
    pub async fn changed(&self) {
        self.world.changed().await;
    }
}

impl fmt::Debug for ProcessHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessHandle").field("id", &self.id).field("state", &self.state()).finish_non_exhaustive()
    }
}
