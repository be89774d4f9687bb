//! Renews the comments of `deploy/examples/full.yaml`: reads the example from standard input and
//! prints it with the descriptions that the types have now.

use std::io::Read as _;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("reading the example")?;
    let example: serde_json::Value = serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("the example is no YAML: {error}"))?;
    print!("{}", doris_api::example::full(&example["spec"])?);
    Ok(())
}
