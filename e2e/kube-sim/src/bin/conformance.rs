//! Replays recorded conversations with a real API server against a server and compares the answers.

use std::path::PathBuf;

use clap::Parser;
use futures::stream::{self, StreamExt as _};
use kube_sim::conformance::{self, Case, Outcome, Server};

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
    /// Cases that run at once: most of their time is waiting.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    together: u16,
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
    let (server, mark) = (&server, mark.as_str());
    let running = cases.iter().map(|case| async move { (case, conformance::run(server, case, mark).await) });
    let mut outcomes = stream::iter(running).buffered(arguments.together.into());
    while let Some((case, outcome)) = outcomes.next().await {
        equal += outcome.equal;
        compared += outcome.compared;
        print(case, &outcome, arguments.verbose);
        if outcome.problems.is_empty() { passed += 1 } else { failed += 1 }
    }
    println!("{equal} of {compared} message texts equal");
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

fn print(case: &Case, outcome: &Outcome, verbose: bool) {
    if verbose {
        for text in &outcome.texts {
            println!("  should {} {text}", case.name);
        }
    }
    println!("{} {}", if outcome.problems.is_empty() { "ok  " } else { "FAIL" }, case.name);
    for problem in outcome.problems.iter().take(if verbose { 40 } else { 6 }) {
        println!("   {problem}");
    }
}
