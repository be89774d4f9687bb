//! Links between pages.

use std::collections::{BTreeMap, BTreeSet};

use scenarios::delivery::root;
use scenarios::docs::pages;

/// Headings of a page as anchors, the way mdBook makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        let Some(heading) = line.strip_prefix('#').filter(|_| !is_code) else { continue };
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        found.insert(kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect());
    }
    found
}

/// Targets of a page's links, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let of_line = |(index, line): (usize, &str)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.map(|(target, _)| (index + 1, target.to_owned())).collect::<Vec<_>>()
    };
    text.lines().enumerate().flat_map(of_line).collect()
}

#[test]
fn no_link_leads_nowhere_and_every_page_is_in_the_summary() {
    let pages = pages();
    let headings: BTreeMap<&str, BTreeSet<String>> = pages.iter().map(|(path, text)| (path.as_str(), anchors(text))).collect();
    let mut dead = Vec::new();
    for (path, text) in &pages {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, target) in links(text).into_iter().filter(|(_, target)| !target.starts_with("http")) {
            let (file, anchor) = target.split_once('#').map_or((target.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let file = if file.is_empty() { path.clone() } else { format!("{folder}/{file}").trim_start_matches('/').to_owned() };
            let is_there = root().join(&file).exists();
            let is_heading = anchor.is_none_or(|anchor| headings.get(file.as_str()).is_some_and(|known| known.contains(anchor)));
            if !is_there || !is_heading {
                dead.push(format!("{path}:{line}: {target}"));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new());
    let summary = &pages.iter().find(|(path, _)| path.ends_with("SUMMARY.md")).expect("a summary").1;
    let names = pages.iter().filter_map(|(path, _)| path.strip_prefix("docs/src/")).filter(|name| *name != "SUMMARY.md");
    let missing: Vec<&str> = names.filter(|name| !summary.contains(&format!("]({name})"))).collect();
    assert_eq!(missing, Vec::<&str>::new(), "not in the summary");
}
