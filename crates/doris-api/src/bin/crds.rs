//! Prints the custom resource definitions as YAML, for the Kubernetes minor version given as the
//! only argument or for the current one.

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let minor = match std::env::args().nth(1) {
        Some(text) => text.strip_prefix("1.").unwrap_or(&text).parse().with_context(|| format!("{text:?} is no version such as 1.36"))?,
        None => doris_api::crd::CURRENT_MINOR,
    };
    for crd in doris_api::crd::crds(minor)? {
        print!("---\n{}", doris_api::crd::to_yaml(&crd)?);
    }
    Ok(())
}
