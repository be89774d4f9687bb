//! YAML in the documentation: whole objects and parts of specs are taken by the server, strictly read; values are rendered by both Helms.

use scenarios::docs::{Block, Kind, cluster_with};

use crate::shell::World;

/// Reads strictly, and changes nothing.
const APPLY: &str = "\"$REAL_KUBECTL\" apply --server-side --force-conflicts --dry-run=server --validate=strict -f";

/// Tries a block; what is wrong with it, if anything.
pub async fn try_block(world: &World, number: usize, block: &Block) -> Result<String, String> {
    let file = format!("block-{number}.yaml");
    let lines = match block.kind {
        Kind::Objects => {
            world.write(&file, &block.text);
            format!("{APPLY} {file}")
        }
        Kind::Spec => {
            world.write(&file, &cluster_with(&block.text)?.to_string());
            format!("{APPLY} {file}")
        }
        Kind::ClusterValues | Kind::OperatorValues => {
            if !world.has_helm() {
                return Ok("no Helm here".to_owned());
            }
            world.write(&file, &block.text);
            let (chart, more) =
                if block.kind == Kind::ClusterValues { ("doris-cluster", "") } else { ("doris-operator", " --set crds.enabled=false") };
            // A ServiceMonitor is another operator's kind.
            let tried = if block.kind == Kind::ClusterValues { format!("{APPLY} rendered-{file}") } else { "true".to_owned() };
            format!(
                "for helm in \"$HELM3\" \"$HELM4\"; do \"$helm\" template demo helm/{chart} --values {file}{more} >rendered-{file}; {tried}; done"
            )
        }
        _ => return Ok(String::new()),
    };
    world.run(&lines).await
}
