//! Placeholders for whatever differs from run to run.

use std::net::IpAddr;

use regex::{Captures, Regex};
use serde_json::Value;

/// Replaces names, addresses, identities and times.
pub struct Words {
    rules: Vec<(Regex, String)>,
}

const RULES: &[(&str, &str)] = &[
    ("fe_[0-9a-f]{8}_[0-9a-f]{4}_[0-9a-f]{4}_[0-9a-f]{4}_[0-9a-f]{12}", "<fe name>"),
    ("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
    (r"'(\w+)@\d+\.\d+\.\d+\.\d+'", "'$1@<client>'"),
    (r"('\w+'@)'\d+\.\d+\.\d+\.\d+'", "$1'<client>'"),
    (r"(input '[^']*' expecting )\{.*?\}\(line", "$1<tokens>(line"),
    (r"similar variables are \{.*?\}", "similar variables are <names>"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", "<time>"),
    ("(statement id|invalid cluster id): [0-9]+", "$1: <n>"),
];

impl Words {
    /// For members given as title, host name and address.
    pub fn new(members: &[(String, String, IpAddr)]) -> Self {
        // One address can be the beginning of another, hence the word boundaries.
        let word = |text: &str, with: String| (format!(r"\b{}\b", regex::escape(text)), with);
        let names =
            members.iter().flat_map(|(title, host, ip)| [word(host, format!("<{title}>")), word(&ip.to_string(), format!("<{title} ip>"))]);
        let rules = names.chain(RULES.iter().map(|(pattern, with)| ((*pattern).to_owned(), (*with).to_owned())));
        let compile =
            |(pattern, with): (String, String)| (Regex::new(&pattern).expect("the patterns are constants and escaped names"), with);
        Self { rules: rules.map(compile).collect() }
    }

    pub fn replace(&self, step: Value) -> Value {
        match step {
            Value::String(text) => Value::String(self.replace_text(&text)),
            Value::Array(list) => list.into_iter().map(|item| self.replace(item)).collect(),
            Value::Object(map) => map.into_iter().map(|(key, value)| (key, self.replace(value))).collect(),
            other => other,
        }
    }

    fn replace_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (rule, with) in &self.rules {
            let put = |found: &Captures<'_>| {
                let mut out = String::new();
                found.expand(with, &mut out);
                out
            };
            text = rule.replace_all(&text, put).into_owned();
        }
        text
    }
}

/// MySQL's name of a column type.
pub fn type_name(code: u8) -> String {
    let name = match code {
        1 => "TINY",
        2 => "SHORT",
        3 => "LONG",
        4 => "FLOAT",
        5 => "DOUBLE",
        8 => "LONGLONG",
        10 => "DATE",
        12 => "DATETIME",
        246 => "NEWDECIMAL",
        252 => "BLOB",
        253 => "VAR_STRING",
        254 => "STRING",
        other => return other.to_string(),
    };
    name.to_owned()
}
