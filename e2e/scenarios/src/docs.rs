//! The README and the book, and their blocks of code with what each is for.

#![allow(clippy::missing_panics_doc, clippy::panic, reason = "a test tells of a failure by panicking")]

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::delivery::root;

/// What a block is for. It stands behind the fence; an indented block is a shell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commands that are run.
    Shell,
    /// Commands behind `$`, with what they print.
    Console,
    /// Commands that need what no test has: kind, Docker, a bucket, a MySQL client. They are listed.
    RealCluster,
    /// Whole objects.
    Objects,
    /// A part of a cluster's spec.
    Spec,
    /// Values of the chart of a cluster.
    ClusterValues,
    /// Values of the operator's chart.
    OperatorValues,
    /// SQL for Doris.
    Sql,
    /// No command and no object: a drawing, a piece of a program.
    Prose,
}

/// A cluster that parts of a spec are put into.
const LEAST: &str =
    "{version: \"2.1.7\", fe: {replicas: 3, storage: {size: 20Gi}}, be: {replicas: 3, storage: [{name: data, size: 100Gi}]}}";
/// Info strings, and what they mean. Another one fails the test.
const KINDS: [(&str, Kind); 10] = [
    ("sh", Kind::Shell),
    ("console", Kind::Console),
    ("sh real-cluster", Kind::RealCluster),
    ("yaml", Kind::Objects),
    ("yaml spec", Kind::Spec),
    ("yaml values", Kind::ClusterValues),
    ("yaml values-operator", Kind::OperatorValues),
    ("sql", Kind::Sql),
    ("text", Kind::Prose),
    ("rust,ignore", Kind::Prose),
];

/// A block.
#[derive(Clone, Debug)]
pub struct Block {
    /// File and line, for a person.
    pub place: String,
    /// What it is for.
    pub kind: Kind,
    /// Its lines without indentation.
    pub text: String,
}

/// The README and the pages of the book, by path from the root, with their text.
pub fn pages() -> Vec<(String, String)> {
    let folder = root().join("docs/src");
    let entries = std::fs::read_dir(&folder).expect("the book").map(|entry| entry.expect("an entry").path());
    let texts = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let names = texts.filter_map(|path| Some(format!("docs/src/{}", path.file_name()?.display())));
    let mut paths: Vec<String> = names.chain(["README.md".to_owned()]).collect();
    paths.sort();
    let read = |path: String| {
        let text = std::fs::read_to_string(root().join(PathBuf::from(&path))).expect("a page");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// All blocks of all pages.
pub fn all() -> Vec<Block> {
    pages().iter().flat_map(|(path, text)| read(path, text)).collect()
}

/// Spans of code in the sentences of all pages, with their places.
pub fn spans() -> Vec<(String, String)> {
    pages().iter().flat_map(|(path, text)| spans_of(path, text)).collect()
}

fn spans_of(path: &str, text: &str) -> Vec<(String, String)> {
    let mut is_code = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code && !line.starts_with("    ") {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.map(|span| (format!("{path}:{}", index + 1), span.to_owned())));
        }
    }
    found
}

/// Whole commands in sentences, as blocks of a shell. A name of a command alone is none, nor is one that leaves something out (`…`).
pub fn commands_in_sentences() -> Vec<Block> {
    let is_whole = |span: &str| {
        let words: Vec<&str> = span.split(' ').collect();
        match words[0] {
            "cargo" | "just" => words.len() > 1,
            "kubectl" => words.len() > 3 || words.len() == 3 && matches!(words[1], "get" | "describe" | "explain"),
            "helm" => words.len() > 2,
            _ => false,
        }
    };
    let whole = spans().into_iter().filter(|(_, span)| is_whole(span) && !span.contains('…'));
    whole.map(|(place, text)| Block { place, kind: Kind::Shell, text }).collect()
}

/// The blocks of a page.
pub fn read(path: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    let mut before = "";
    while let Some((index, line)) = lines.next() {
        let place = format!("{path}:{}", index + 1);
        if let Some(info) = line.trim_start().strip_prefix("```") {
            let kind = KINDS.iter().find(|(known, _)| *known == info.trim()).map(|(_, kind)| *kind);
            let Some(kind) = kind else { panic!("{place}: {info:?} says not what to do with the block; known are {KINDS:?}") };
            let mut body = Vec::new();
            loop {
                let Some((_, line)) = lines.next() else { panic!("{place}: the block does not end") };
                if line.trim() == "```" {
                    break;
                }
                body.push(line);
            }
            blocks.push(Block { place, kind, text: body.join("\n") });
        } else if line.starts_with("    ") && before.is_empty() {
            let mut body = vec![&line[4..]];
            while let Some((_, next)) = lines.next_if(|(_, next)| next.starts_with("    ")) {
                body.push(&next[4..]);
            }
            let kind = if body[0].starts_with("$ ") { Kind::Console } else { Kind::Shell };
            blocks.push(Block { place, kind, text: body.join("\n") });
        }
        before = line;
    }
    blocks
}

/// A cluster with a part of a spec in the place of what the least one has.
///
/// # Errors
/// The part is not one, in a sentence.
pub fn cluster_with(part: &str) -> Result<Value, String> {
    let read = |text: &str| serde_saphyr::from_str::<Map<String, Value>>(text).map_err(|error| error.to_string());
    let mut spec = read(LEAST)?;
    spec.extend(read(part)?);
    Ok(json!({"apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisCluster", "metadata": {"name": "of-a-page"}, "spec": spec}))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Kind, cluster_with, read, spans_of};

    #[test]
    fn spans_are_found_in_sentences_alone() {
        let text = "say `kubectl get dcr` or `x`\n\n    `not this`\n\n```sh\necho `nor this`\n```\nand `y`";
        let found: Vec<(String, String)> = spans_of("p.md", text);
        let wanted = [("p.md:1", "kubectl get dcr"), ("p.md:1", "x"), ("p.md:8", "y")];
        assert_eq!(found, wanted.map(|(place, span)| (place.to_owned(), span.to_owned())));
    }

    #[test]
    fn blocks_are_found_with_what_they_are_for() {
        let text = "# T\n\n    kubectl get dcr\n    echo x\n\nword\n\n```yaml spec\nfe:\n  replicas: 1\n```\n- a\n    not code\n\n    $ kubectl get dri\n    NAME\n";
        let found: Vec<(String, Kind, String)> =
            read("p.md", text).into_iter().map(|block| (block.place, block.kind, block.text)).collect();
        let wanted = [
            ("p.md:3", Kind::Shell, "kubectl get dcr\necho x"),
            ("p.md:8", Kind::Spec, "fe:\n  replicas: 1"),
            ("p.md:15", Kind::Console, "$ kubectl get dri\nNAME"),
        ];
        assert_eq!(found, wanted.map(|(place, kind, text)| (place.to_owned(), kind, text.to_owned())));
    }

    #[test]
    #[should_panic(expected = "says not what to do")]
    fn a_block_that_says_not_what_it_is_for_is_a_failure() {
        read("p.md", "```bash\nrm\n```\n");
    }

    #[test]
    fn a_part_of_a_spec_takes_the_place_of_what_is_there() {
        let whole = cluster_with("be: {replicas: 5, storage: []}\nsuspend: true").expect("a cluster");
        assert_eq!(whole["spec"]["be"]["replicas"], 5);
        assert_eq!((&whole["spec"]["suspend"], &whole["spec"]["version"]), (&Value::Bool(true), &Value::from("2.1.7")));
        assert!(cluster_with("- a list").is_err());
    }
}
