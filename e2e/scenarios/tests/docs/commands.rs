//! Every block of the documentation, tried on a server with the cluster that it speaks of.

use std::collections::BTreeSet;

use doris_api::crd::{CURRENT_MINOR, doris_cluster};
use futures::StreamExt as _;
use scenarios::docs::{Block, Kind, all, commands_in_sentences};
use serde_json::Value;

use crate::cargo::Known;
use crate::names::assert_metrics_are_told;
use crate::shell::{World, can_run, missing};
use crate::yaml;

/// Blocks that are tried at once.
const AT_ONCE: usize = 3;

#[test]
fn every_block_of_the_documentation_is_tried_or_says_what_it_needs() {
    if let Some(name) = missing() {
        eprintln!("skipped, for want of {name}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let blocks: Vec<Block> = all().into_iter().chain(commands_in_sentences()).collect();
        let world = World::start().await;
        refuses_what_is_wrong(&world).await;
        provide_values(&world, &blocks);
        // The same commands do the same wherever they stand.
        let mut seen = BTreeSet::new();
        let once = blocks.iter().enumerate().filter(|(_, block)| seen.insert(block.text.as_str()));
        let once: Vec<(usize, &Block)> = once.collect();
        let tried = futures::stream::iter(once).map(|(number, block)| try_block(&world, number, block));
        let complaints: Vec<Option<String>> = tried.buffer_unordered(AT_ONCE).collect().await;
        let mut complaints: Vec<String> = complaints.into_iter().flatten().collect();
        complaints.sort();
        let known = Known::read();
        complaints.extend(world.noted().iter().filter_map(|call| Some(format!("{}: {}", call.join(" "), known.complaint(call)?))));
        let metrics = world.metrics().await;
        world.stop().await;
        let count = |kind: Kind| blocks.iter().filter(|block| block.kind == kind).count();
        println!(
            "{} blocks of commands and {} of YAML were tried",
            count(Kind::Shell) + count(Kind::Console),
            blocks.iter().filter(|block| is_yaml(block.kind)).count()
        );
        for block in blocks.iter().filter(|block| block.kind == Kind::RealCluster) {
            println!("not run, for it needs more than this: {}: {}", block.place, block.text.lines().next().unwrap_or_default());
        }
        assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
        assert_metrics_are_told(&metrics);
    });
}

/// The shell would be worth nothing if it took everything.
async fn refuses_what_is_wrong(world: &World) {
    let wrong = [
        "kubectl get dcr nobody",
        "kubectl frobnicate",
        "kubectl wait --for=condition=Ready dcr/nobody --timeout=15m",
        "kubectl exec demo-fe-0 -c nothing -- ls",
        "kubectl logs deployment/nothing",
        "kubectl patch dcr demo --type merge -p '{\"spec\":{\"fe\":{\"replicas\":2}}}'",
        "kubectl apply -f deploy/nothing.yaml",
        "docker ps",
        "false | cat",
        "false; true",
    ];
    for lines in wrong {
        assert!(try_lines(world, lines).await.is_err(), "{lines} is taken");
    }
    if world.has_helm() {
        assert!(
            try_lines(world, "helm install x helm/doris-operator --set global.lag.format=text").await.is_err(),
            "a misspelt value is taken"
        );
    }
    world.must("kubectl delete dcr demo && kubectl get dcr demo").await;
}

const fn is_yaml(kind: Kind) -> bool {
    matches!(kind, Kind::Objects | Kind::Spec | Kind::ClusterValues | Kind::OperatorValues)
}

/// Files that commands of Helm name: the values of a cluster.
fn provide_values(world: &World, blocks: &[Block]) {
    let values = blocks.iter().find(|block| block.kind == Kind::ClusterValues).expect("values of a cluster");
    world.write("demo.yaml", &values.text);
}

/// What is wrong with a block.
async fn try_block(world: &World, number: usize, block: &Block) -> Option<String> {
    let outcome = match block.kind {
        Kind::Shell => try_lines(world, &block.text).await,
        Kind::Console => {
            let commands: Vec<&str> = block.text.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
            try_lines(world, &commands.join("\n")).await
        }
        Kind::RealCluster if can_run(&block.text) => Err("it needs nothing that is missing here: let it be run".to_owned()),
        kind if is_yaml(kind) => yaml::try_block(world, number, block).await.map(drop),
        Kind::Sql if block.text.matches('\'').count() % 2 == 1 || !block.text.trim_end().ends_with(';') => {
            Err("it does not end".to_owned())
        }
        _ => Ok(()),
    };
    outcome.err().map(|said| format!("{}: {said}\n{}", block.place, block.text))
}

async fn try_lines(world: &World, lines: &str) -> Result<(), String> {
    if lines.contains("helm ") && !world.has_helm() {
        return Ok(());
    }
    if let Some(field) = unknown_field(lines) {
        return Err(format!("a DorisCluster has no {field}"));
    }
    world.run(lines).await.map(drop)
}

/// A field of the status that a command asks a cluster for and no cluster has: kubectl prints nothing then and is content.
fn unknown_field(lines: &str) -> Option<String> {
    let definition = serde_json::to_value(doris_cluster(CURRENT_MINOR).expect("a definition")).expect("JSON");
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    let of_clusters = lines.lines().filter(|line| line.contains("get dcr"));
    let paths = of_clusters.flat_map(|line| {
        line.split(".status")
            .skip(1)
            .map(|rest| rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '.').collect::<String>())
    });
    paths.into_iter().find(|path| !is_field(schema, path)).map(|path| format!(".status{path}"))
}

fn is_field(schema: &Value, path: &str) -> bool {
    let mut at = schema;
    path.split('.').filter(|name| !name.is_empty()).all(|name| {
        at = &at["properties"][name];
        at.is_object()
    })
}

#[test]
fn a_field_that_no_cluster_has_is_found() {
    assert_eq!(unknown_field("kubectl get dcr demo -o jsonpath='{.status.operation}{range .status.config[*]}{.key}'"), None);
    assert_eq!(unknown_field("kubectl get dcr demo -o jsonpath='{.status.operatoin}'"), Some(".status.operatoin".to_owned()));
}
