//! Replays recorded conversations with a real API server against a server and compares the answers.

use std::path::PathBuf;

use clap::Parser;
use kube_sim::conformance::{self, Server};

/// Tells whether a server answers as a real Kubernetes API server does. Ends with 1 when something differs that must not.
#[derive(Parser)]
struct Arguments {
    /// Address, for example <http://127.0.0.1:8001>.
    #[arg(long)]
    server: String,
    /// An administrator's bearer token.
    #[arg(long, default_value = "")]
    token: String,
    /// Prefixes of `group/case`, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Folder of the cases.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Prints every difference, texts too.
    #[arg(short)]
    verbose: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    let server = Server::new(&arguments.server, &arguments.token)?;
    let cases = conformance::load(&arguments.dir.unwrap_or_else(conformance::directory), &arguments.only)?;
    let mark = format!("{:06x}", fastrand::u32(..0x0100_0000));
    let (mut passed, mut failed, mut equal, mut compared) = (0, 0, 0, 0);
    for case in &cases {
        let outcome = conformance::run(&server, case, &mark).await;
        equal += outcome.equal;
        compared += outcome.compared;
        if arguments.verbose {
            for text in &outcome.texts {
                println!("  should {} {text}", case.name);
            }
        }
        if outcome.problems.is_empty() {
            passed += 1;
            println!("ok   {}", case.name);
        } else {
            failed += 1;
            println!("FAIL {}", case.name);
            for problem in outcome.problems.iter().take(if arguments.verbose { 40 } else { 6 }) {
                println!("   {problem}");
            }
        }
    }
    println!("{equal} of {compared} message texts equal");
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}
