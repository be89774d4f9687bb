//! What a controller logs, kept to be searched for passwords.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::{fmt, io};

use tokio::time::Instant;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use super::lock;

/// All that was logged on a thread.
#[derive(Clone, Debug, Default)]
pub struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    /// Keeps what this thread logs until the guard is dropped.
    pub fn capture() -> (Self, DefaultGuard) {
        let logs = Self::default();
        let filter = EnvFilter::new("info,cluster_controller=trace,controller_kit=trace,doris_client=trace");
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
        let subscriber = subscriber.with_timer(Since(Instant::now())).with_writer(logs.clone()).finish();
        (logs, tracing::subscriber::set_default(subscriber))
    }

    /// The text so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.0)).into_owned()
    }

    /// `no-password`, in logs.
    pub fn judge(&self, passwords: &BTreeSet<String>) -> Vec<String> {
        let text = self.text();
        let shown = text.lines().filter(|line| passwords.iter().any(|password| line.contains(password.as_str())));
        shown.take(1).map(|_| "no-password: the controller logged a password".to_owned()).collect()
    }
}

/// Seconds of the laboratory's own time.
struct Since(Instant);

impl FormatTime for Since {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:8.3}", self.0.elapsed().as_secs_f64())
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logs {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
