//! Prints the custom resource definitions as YAML, for the Kubernetes minor version given as the
//! only argument or for the current one. `--into DIRECTORY` writes the current ones there instead, a file each.

use std::path::Path;

use anyhow::Context as _;
use doris_api::crd::{CURRENT_MINOR, crds, to_yaml};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => print(CURRENT_MINOR),
        ["--into", directory] => write(Path::new(directory)),
        [version] => {
            let minor = version.strip_prefix("1.").unwrap_or(version);
            print(minor.parse().with_context(|| format!("{version:?} is no version such as 1.36"))?)
        }
        _ => anyhow::bail!("usage: crds [1.36 | --into DIRECTORY]"),
    }
}

fn print(minor: u32) -> anyhow::Result<()> {
    for crd in crds(minor)? {
        print!("---\n{}", to_yaml(&crd)?);
    }
    Ok(())
}

fn write(directory: &Path) -> anyhow::Result<()> {
    for crd in crds(CURRENT_MINOR)? {
        let file = directory.join(format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural));
        std::fs::write(&file, format!("---\n{}", to_yaml(&crd)?)).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}
