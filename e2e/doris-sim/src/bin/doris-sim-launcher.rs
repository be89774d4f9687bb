//! Puts simulated frontends behind real sockets for a conversation with any client.
//!
//! `reset` starts a daemon on demand; the other calls talk to it. It ends by itself when it was idle for long.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use doris_sim::{FeSpec, ProcessHandle, ProcessState, Signal, Timing, Volume, VolumeDir, World, WorldOptions};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

/// The daemon ends when nobody called it for so long.
const IDLE: Duration = Duration::from_mins(15);

#[derive(Parser)]
#[command(about = "Starts and stops simulated Doris frontends")]
struct Arguments {
    /// Doris version of the members.
    #[arg(long, default_value = "3.0.2")]
    version: String,
    /// `reset`, `address fe|be N`, `start fe N ..`, `stop fe N`, `kill fe N`, `state fe N`, `wipe fe N`, `file fe N PATH`, `serve`, `end`.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    call: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.call.first().map(String::as_str) {
        Some("serve") => serve().await.map(|()| String::new()),
        _ => call(&arguments).await,
    };
    match done {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn socket() -> PathBuf {
    std::env::temp_dir().join("doris-sim-launcher.sock")
}

/// Hands a call to the daemon.
async fn call(arguments: &Arguments) -> Result<String> {
    let mut stream = match UnixStream::connect(socket()).await {
        Ok(stream) => stream,
        Err(_) if arguments.call[0] == "reset" => start_daemon().await?,
        Err(error) => return Err(error).context("no daemon: call reset first"),
    };
    let mut line = serde_json::to_string(&(&arguments.version, &arguments.call))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    timeout(Duration::from_mins(2), stream.read_to_string(&mut answer)).await??;
    match answer.split_once(' ') {
        Some(("ok", text)) => Ok(text.to_owned()),
        Some(("error", text)) => bail!("{text}"),
        _ => bail!("the daemon ended"),
    }
}

async fn start_daemon() -> Result<UnixStream> {
    let program = std::env::current_exe()?;
    Command::new(program).arg("serve").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    for _ in 0..100 {
        if let Ok(stream) = UnixStream::connect(socket()).await {
            return Ok(stream);
        }
        sleep(Duration::from_millis(50)).await;
    }
    bail!("the daemon did not start")
}

async fn serve() -> Result<()> {
    let path = socket();
    // A socket that nobody answers on is left over from a daemon that was killed.
    if UnixStream::connect(&path).await.is_err() {
        drop(std::fs::remove_file(&path));
    }
    let listener = UnixListener::bind(&path)?;
    let mut stage = Stage::new(1);
    while let Ok(accepted) = timeout(IDLE, listener.accept()).await {
        let (stream, _) = accepted?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let (version, call): (String, Vec<String>) = serde_json::from_str(&line)?;
        let ended = call[0] == "end";
        let answer = match stage.perform(&version, &call).await {
            Ok(text) => format!("ok {text}"),
            Err(error) => format!("error {error:#}"),
        };
        // A caller that went away has no use for the answer.
        drop(stream.write_all(answer.as_bytes()).await);
        if ended {
            break;
        }
    }
    drop(std::fs::remove_file(&path));
    Ok(())
}

/// The world of one conversation.
struct Stage {
    seed: u64,
    world: World,
    volumes: BTreeMap<u8, Volume>,
    members: BTreeMap<u8, ProcessHandle>,
}

impl Stage {
    fn new(seed: u64) -> Self {
        let epoch_ms =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(0));
        let world = World::new(WorldOptions { seed, timing: Timing::fast(), epoch_ms, wire: true });
        for n in 0..5 {
            world.set_name(&host("fe", n), address("fe", n));
            world.set_name(&host("be", n), address("be", n));
        }
        Self { seed, world, volumes: BTreeMap::new(), members: BTreeMap::new() }
    }

    async fn perform(&mut self, version: &str, call: &[String]) -> Result<String> {
        let number = call.get(2).map(|n| n.parse::<u8>().context("number of a member")).transpose()?;
        let number = || number.ok_or_else(|| anyhow!("which member?"));
        match call[0].as_str() {
            "reset" | "end" => {
                for member in self.members.values() {
                    member.signal(Signal::Kill);
                }
                *self = Self::new(self.seed + 1);
            }
            "address" => {
                let kind = call.get(1).map_or("fe", String::as_str);
                return Ok(format!("{} {}", host(kind, number()?), address(kind, number()?)));
            }
            "start" => self.start(version, number()?, &call[3..]).await?,
            "stop" => self.end(number()?, Signal::Term).await,
            "kill" => self.end(number()?, Signal::Kill).await,
            "state" => {
                return Ok(match self.members.get(&number()?).map(ProcessHandle::state) {
                    Some(ProcessState::Running) => "running".to_owned(),
                    Some(ProcessState::Exited(code)) => format!("exited {code}"),
                    None => bail!("never started"),
                });
            }
            "wipe" => self.volume(number()?).clear(),
            "file" => {
                let path = call.get(3).context("path of a file")?;
                return Ok(self.volume(number()?).read_text(path).unwrap_or_else(|| "<absent>".to_owned()));
            }
            other => bail!("unknown call {other}"),
        }
        Ok(String::new())
    }

    fn volume(&mut self, n: u8) -> Volume {
        self.volumes.entry(n).or_default().clone()
    }

    async fn start(&mut self, version: &str, n: u8, options: &[String]) -> Result<()> {
        let volume = self.volume(n);
        let mut spec = FeSpec::new(host("fe", n), address("fe", n), version, VolumeDir::root(&volume));
        for option in options.chunks(2) {
            match option {
                [name, value] if name == "--helper" => spec.helpers.push(value.clone()),
                [name, value] if name == "--conf" => {
                    let (key, value) = value.split_once('=').context("KEY = VALUE")?;
                    spec.conf.insert(key.trim().to_owned(), value.trim().to_owned());
                }
                _ => bail!("unknown option {option:?}"),
            }
        }
        self.end(n, Signal::Kill).await;
        self.members.insert(n, self.world.start_fe(spec));
        Ok(())
    }

    async fn end(&self, n: u8, signal: Signal) {
        if let Some(member) = self.members.get(&n) {
            member.signal(signal);
            member.wait().await;
            // The sockets follow the process a moment later.
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn host(kind: &str, n: u8) -> String {
    format!("{kind}-{n}.doris-sim.local")
}

fn address(kind: &str, n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 11, 0, n + if kind == "fe" { 1 } else { 11 }))
}
