//! A member's file system in a temporary directory, and the scripts run in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The shells that every case runs under; busybox only where it is installed.
pub fn shells() -> Vec<Vec<&'static str>> {
    let known = [vec!["dash"], vec!["bash", "--posix"], vec!["bash"], vec!["busybox", "sh"]];
    let there =
        |shell: &Vec<&str>| Command::new(shell[0]).args(&shell[1..]).args(["-c", "true"]).status().is_ok_and(|status| status.success());
    let found: Vec<_> = known.into_iter().filter(there).collect();
    assert!(found.len() >= 2, "dash and bash are needed to test the start script");
    found
}

/// What Doris does in place of the real start script; its arguments are kept in `fake/arguments`.
const FAKE_DORIS: &str = r#"#!/bin/sh
root=${0%/opt/apache-doris/*}
export root
echo "$@" >"$root/fake/arguments"
cat "$root/opt/doris-operator/run/waiting" >"$root/fake/waiting" 2>/dev/null
component=${0%/bin/*}
cp -r "$component/conf" "$root/fake/conf" 2>/dev/null
cp "$component/doris-meta/.operator/member" "$root/fake/marker" 2>/dev/null
trap 'echo term >"$root/fake/signal"; exit 143' TERM
echo ready >"$root/fake/ready"
. "$root/fake/behaviour"
"#;

/// A fake name service: `getent hosts <name or address>`.
const FAKE_GETENT: &str = "#!/bin/sh\nroot=${0%/fake/*}\ngrep -F \"$2\" \"$root/fake/hosts\"\n";

pub const IDENTITY: &str = "id1";
pub const NAME: &str = "fe-0.svc";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A member's pod in a directory.
pub struct Pod {
    pub root: PathBuf,
    shell: Vec<&'static str>,
    pub env: Vec<(String, String)>,
}

impl Pod {
    pub fn new(shell: &[&'static str]) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // In memory where that is possible: every start waits until its marker is on the disk.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let root = base.join(format!("start-script-{}-{number}", std::process::id()));
        let pod = Self { root, shell: shell.to_vec(), env: Vec::new() };
        for directory in [
            "fake",
            "dev",
            "opt/doris-operator/conf",
            "opt/doris-operator/run",
            "opt/apache-doris/fe/doris-meta",
            "opt/apache-doris/be/storage/data",
        ] {
            fs::create_dir_all(pod.path(directory)).expect("a temporary directory");
        }
        for (component, program) in [("fe", "start_fe.sh"), ("be", "start_be.sh"), ("apache_hdfs_broker", "start_broker.sh")] {
            pod.write(&format!("opt/apache-doris/{component}/bin/{program}"), FAKE_DORIS);
            pod.executable(&format!("opt/apache-doris/{component}/bin/{program}"));
            pod.write(&format!("opt/apache-doris/{component}/conf/image.conf"), "");
        }
        pod.write("fake/getent", FAKE_GETENT);
        pod.executable("fake/getent");
        pod.write("fake/hosts", &format!("10.0.0.1 {NAME}\n"));
        pod.write("opt/doris-operator/conf/fe.conf", "http_port = 8030\n");
        pod.write("opt/doris-operator/conf/be.conf", "webserver_port = 8040\n");
        pod.write("opt/doris-operator/root/initial-root-password", "*0123456789012345678901234567890123456789\n");
        pod.behave("while :; do sleep 0.1; done");
        pod.mount(&["opt/apache-doris/fe/doris-meta", "opt/apache-doris/be/storage/data"]);
        pod
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a file below the root")).expect("a directory");
        fs::write(path, text).expect("a file in the temporary directory");
    }

    /// Replaces a file at once, as a kubelet does.
    pub fn replace(&self, relative: &str, text: &str) {
        self.write("fake/new", text);
        let target = self.path(relative);
        fs::create_dir_all(target.parent().expect("a file below the root")).expect("a directory");
        fs::rename(self.path("fake/new"), target).expect("a rename in the temporary directory");
    }

    pub fn read(&self, relative: &str) -> Option<String> {
        fs::read_to_string(self.path(relative)).ok()
    }

    pub fn remove(&self, relative: &str) {
        let path = self.path(relative);
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.expect("something to remove");
    }

    pub fn executable(&self, relative: &str) {
        fs::set_permissions(self.path(relative), fs::Permissions::from_mode(0o755)).expect("an own file");
    }

    /// Shell lines that the fake Doris runs.
    pub fn behave(&self, lines: &str) {
        self.write("fake/behaviour", lines);
    }

    /// Paths that are mount points.
    pub fn mount(&self, paths: &[&str]) {
        let line = |path: &&str| format!("36 35 8:1 / {} rw - ext4 /dev/sda1 rw\n", self.path(path).display());
        self.write("fake/mountinfo", &paths.iter().map(line).collect::<String>());
    }

    pub fn ticket(&self, text: &str) {
        self.replace("opt/doris-operator/pod/ticket", text);
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// A script of ours, ready to be started.
    pub fn command(&self, script: &str, arguments: &[&str]) -> Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/script").join(script);
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).arg(scripts).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let root = self.root.to_string_lossy().into_owned();
        command.env("START_ROOT", &root).env("MOUNTINFO", format!("{root}/fake/mountinfo")).env("RESOLVER", format!("{root}/fake/getent"));
        command.envs([("POLL_SECONDS", "0.02"), ("WATCH_SECONDS", "0.05"), ("HANG_SECONDS", "0.2"), ("DNS_TRIES", "3")]);
        command.envs([("POD_NAME", "fe-0"), ("POD_UID", "u1"), ("POD_IP", "10.0.0.1"), ("MEMBER_FQDN", NAME)]);
        command.envs([("DORIS_IDENTITY", IDENTITY), ("MEMBER_ROLE", "FOLLOWER"), ("STORAGE_ROOTS", "/opt/apache-doris/be/storage/data")]);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts `start.sh`.
    pub fn start(&self, component: &str) -> Running {
        Running(self.command("start.sh", &component.split(' ').collect::<Vec<_>>()).process_group(0).spawn().expect("a shell"))
    }

    /// Waits until a condition holds.
    pub fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !condition(self) {
            assert!(Instant::now() < deadline, "{what} did not come; {:?} says {:?}", self.shell, self.message());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn until_waiting(&self) {
        self.until("the waiting file", |pod| pod.read("opt/doris-operator/run/waiting").is_some_and(|text| !text.is_empty()));
    }

    pub fn until_started(&self) {
        self.until("Doris", |pod| pod.read("fake/ready").is_some_and(|text| !text.is_empty()));
    }

    /// The termination message.
    pub fn message(&self) -> String {
        self.read("dev/termination-log").unwrap_or_default()
    }

    pub fn arguments(&self) -> String {
        self.read("fake/arguments").unwrap_or_default().trim().to_owned()
    }

    pub fn marker(&self, directory: &str) -> doris_api::member::Marker {
        doris_api::member::Marker::parse(&self.read(&format!("{directory}/.operator/member")).unwrap_or_default())
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // A directory that stays behind is no reason to fail.
        drop(fs::remove_dir_all(&self.root));
    }
}

/// A started script; ended with its children when dropped.
pub struct Running(Child);

impl Running {
    pub fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.0.try_wait().expect("an own child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the script does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The status if the script ends; `None` once it waits or Doris runs.
    pub fn ended_or(&mut self, pod: &Pod) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.0.try_wait().expect("an own child") {
                return status.code();
            }
            let waits = pod.read("opt/doris-operator/run/waiting").is_some_and(|text| !text.is_empty() && !text.contains("resolve"));
            let runs = !pod.arguments().is_empty() && pod.read("fake/ready").is_some();
            if waits || runs {
                return None;
            }
            assert!(Instant::now() < deadline, "the script does nothing");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.0.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// Ends the script alone, as the kernel would its process 1, and then what it left behind.
    pub fn kill_all(&mut self) {
        // A group of its own: whatever it is about to start belongs to it, too. One that ended meanwhile is what is wanted.
        drop(Command::new("kill").args(["-s", "KILL", "--", &format!("-{}", self.0.id())]).stderr(Stdio::null()).status());
        drop(self.0.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_all();
    }
}
