//! Sees to it that nothing is left behind, however this process ends.
//!
//! A small shell in a process group of its own holds the reading end of a pipe. When we end without saying so (a panic, `kill -9`, a
//! dropped handle), the pipe closes, and the shell ends the programs and removes their directory.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::Error;

/// `$1` is the directory to remove. Each program leads a process group; nothing in it is worth a gentle end, for its data goes too.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
groups='' keep=''
while read -r word id; do
  case $word in
    watch) groups="$groups $id" ;;
    keep) keep=yes ;;
    release) exit 0 ;;
  esac
done
for id in $groups; do kill -s KILL -- "-$id" 2>/dev/null; done
if [ -z "$keep" ]; then rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }; fi
"#;

/// The shell that cleans up after us.
#[derive(Debug)]
pub(super) struct Guard {
    shell: Child,
    /// `None` once it is closed.
    orders: Option<ChildStdin>,
}

impl Guard {
    /// Starts the shell that removes `directory`.
    pub(super) fn start(directory: &Path) -> Result<Self, Error> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io("start", Path::new("/bin/sh")))?;
        let orders = shell.stdin.take();
        Ok(Self { shell, orders })
    }

    /// A process group to end with us.
    pub(super) fn watch(&mut self, group: u32) -> Result<(), Error> {
        self.tell(&format!("watch {group}"))
    }

    /// The directory is to stay: it holds logs that somebody will want to read.
    pub(super) fn keep_directory(&mut self) -> Result<(), Error> {
        self.tell("keep")
    }

    /// All is stopped and removed; nothing is left to do.
    pub(super) fn release(&mut self) -> Result<(), Error> {
        self.tell("release")
    }

    fn tell(&mut self, order: &str) -> Result<(), Error> {
        match &mut self.orders {
            Some(pipe) => writeln!(pipe, "{order}").map_err(Error::io("write to", Path::new("/bin/sh"))),
            None => Ok(()),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.orders = None;
        if let Err(error) = self.shell.wait() {
            tracing::warn!(%error, "the guard of a control plane can't be waited for");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;

    use super::{Command, Guard};

    struct Setting {
        directory: tempfile::TempDir,
        sleeper: std::process::Child,
        guard: Guard,
    }

    fn setting() -> Setting {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let sleeper = Command::new("sleep").arg("600").process_group(0).spawn().expect("a sleeper");
        let mut guard = Guard::start(directory.path()).expect("a guard");
        guard.watch(sleeper.id()).expect("an order");
        Setting { directory, sleeper, guard }
    }

    #[test]
    fn a_closed_pipe_ends_the_programs_and_removes_their_directory() {
        let Setting { directory, mut sleeper, guard } = setting();
        drop(guard);
        assert!(!sleeper.wait().expect("an end").success());
        assert!(!directory.path().exists());
    }

    #[test]
    fn a_directory_with_logs_to_read_stays() {
        let Setting { directory, mut sleeper, mut guard } = setting();
        guard.keep_directory().expect("an order");
        drop(guard);
        assert!(!sleeper.wait().expect("an end").success());
        assert!(directory.path().exists());
    }

    #[test]
    fn a_released_guard_touches_nothing() {
        let Setting { directory, mut sleeper, mut guard } = setting();
        guard.release().expect("an order");
        drop(guard);
        assert!(sleeper.try_wait().expect("a state").is_none());
        assert!(directory.path().exists());
        sleeper.kill().expect("an end");
        sleeper.wait().expect("an end");
    }
}
