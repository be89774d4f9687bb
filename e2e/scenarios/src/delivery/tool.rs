//! Command line tools: each call in a home of its own, with a limit of time, and its words kept.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// More than any call here takes on a busy machine.
const LIMIT: Duration = Duration::from_mins(8);

/// A tool, and where it looks for its files and its server.
#[derive(Clone, Debug)]
pub struct Command {
    program: PathBuf,
    home: PathBuf,
    kubeconfig: PathBuf,
}

/// A call that did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{call}: {said}")]
pub struct Refused {
    /// The call.
    pub call: String,
    /// What it wrote, both ways.
    pub said: String,
}

impl Command {
    /// A tool that keeps its files below a folder and finds its server by a kubeconfig, which may be missing where none is asked.
    pub fn new(program: &Path, home: &Path, kubeconfig: &Path) -> Self {
        Self { program: program.to_owned(), home: home.to_owned(), kubeconfig: kubeconfig.to_owned() }
    }

    /// Runs it and returns what it printed.
    pub async fn run(&self, arguments: &[&str]) -> Result<String, Refused> {
        self.call(arguments).await.map(|(printed, _)| printed)
    }

    /// The same, where a warning of the server's counts as a refusal.
    pub async fn run_without_warning(&self, arguments: &[&str]) -> Result<String, Refused> {
        let (printed, complained) = self.call(arguments).await?;
        if complained.contains("Warning:") {
            return Err(Refused { call: arguments.join(" "), said: complained });
        }
        Ok(printed)
    }

    /// What it printed, and what it wrote to its standard error.
    async fn call(&self, arguments: &[&str]) -> Result<(String, String), Refused> {
        let call = || format!("{} {}", self.program.file_name().unwrap_or_default().display(), arguments.join(" "));
        let refused = |said: String| Refused { call: call(), said };
        let child = tokio::process::Command::new(&self.program)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .env_remove("XDG_CACHE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .current_dir(super::root())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, child).await.map_err(|_| refused(format!("no end within {LIMIT:?}")))?;
        let output = output.map_err(|error| refused(error.to_string()))?;
        let (printed, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            Ok((printed.into_owned(), complained.into_owned()))
        } else {
            Err(refused(format!("{complained}{printed}")))
        }
    }
}
