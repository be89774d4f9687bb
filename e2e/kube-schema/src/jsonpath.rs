//! The subset of JSON path that printer columns, selectable fields and `scale` use.
use serde_json::Value;

/// A parsed path such as `.status.conditions[?(@.type=='Ready')].status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Elements whose field (a dotted path) equals a value.
    Filter(String, Value),
}

impl JsonPath {
    /// Reads a path, with or without braces around it. `None` when it is none of the subset.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (step, after) = if let Some(inner) = rest.strip_prefix('[') { bracket(inner)? } else { field(rest.strip_prefix('.')?)? };
            steps.extend(step);
            rest = after;
        }
        Some(Self(steps))
    }

    /// Every value that the path selects.
    pub fn select<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        self.0.iter().fold(vec![value], |found, step| found.into_iter().flat_map(|v| step.select(v)).collect())
    }

    /// The first value that the path selects.
    pub fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.select(value).into_iter().next()
    }

    /// Names of the fields, if the path has nothing but fields.
    pub fn plain(&self) -> Option<Vec<&str>> {
        let name = |step: &'_ Step| if let Step::Field(name) = step { Some(name.as_str().to_owned()) } else { None };
        let all: Option<Vec<String>> = self.0.iter().map(name).collect();
        all.map(|_| self.0.iter().filter_map(|s| if let Step::Field(n) = s { Some(n.as_str()) } else { None }).collect())
    }

    /// Sets the value of a path that has nothing but fields; objects on the way are made.
    pub fn set(&self, object: &mut Value, new: Value) -> bool {
        let Some(names) = self.plain() else { return false };
        let Some((last, parents)) = names.split_last() else { return false };
        let target = parents.iter().try_fold(object, |v, name| crate::value::child(v, name));
        match target.and_then(Value::as_object_mut) {
            Some(map) => {
                map.insert((*last).to_owned(), new);
                true
            }
            None => false,
        }
    }
}

impl Step {
    fn select<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let list = || value.as_array().map_or(&[][..], Vec::as_slice);
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::Index(index) => {
                let len = i64::try_from(list().len()).unwrap_or(i64::MAX);
                let at = if *index < 0 { len + index } else { *index };
                usize::try_from(at).ok().and_then(|i| list().get(i)).into_iter().collect()
            }
            Self::All => match value {
                Value::Object(map) => map.values().collect(),
                _ => list().iter().collect(),
            },
            Self::Filter(path, wanted) => list().iter().filter(|item| crate::value::at(item, path) == Some(wanted)).collect(),
        }
    }
}

fn field(text: &str) -> Option<(Option<Step>, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => {
                end = at;
                break;
            }
            _ => name.push(c),
        }
    }
    let rest = text.get(end..)?;
    match name.as_str() {
        "" if rest.is_empty() || rest.starts_with('[') => Some((None, rest)),
        "" => None,
        "*" => Some((Some(Step::All), rest)),
        _ => Some((Some(Step::Field(name)), rest)),
    }
}

fn bracket(text: &str) -> Option<(Option<Step>, &str)> {
    if let Some(filter) = text.strip_prefix("?(") {
        let (body, rest) = filter.split_once(")]")?;
        let (path, wanted) = body.split_once("==")?;
        let path = path.trim().strip_prefix("@.")?.to_owned();
        return Some((Some(Step::Filter(path, literal(wanted.trim()))), rest));
    }
    let (body, rest) = text.split_once(']')?;
    let step = match body {
        "*" => Step::All,
        _ => match unquoted(body) {
            Some(name) => Step::Field(name.to_owned()),
            None => Step::Index(body.parse().ok()?),
        },
    };
    Some((Some(step), rest))
}

fn literal(text: &str) -> Value {
    unquoted(text).map_or_else(|| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)), Value::from)
}

fn unquoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text.strip_prefix(quote)?.strip_suffix(quote)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_select_what_printer_columns_ask_for() {
        let object = json!({
            "spec": {"size": 3, "a.b": "dotted", "list": [1, 2, 3]},
            "status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}
        });
        let table = [
            (".spec.size", vec![json!(3)]),
            ("{.spec.size}", vec![json!(3)]),
            (".status.conditions[?(@.type=='Ready')].status", vec![json!("True")]),
            (".status.conditions[?(@.type==\"Ready\")].status", vec![json!("True")]),
            (".status.conditions[*].type", vec![json!("Other"), json!("Ready")]),
            (".spec.list[-1]", vec![json!(3)]),
            (".spec.a\\.b", vec![json!("dotted")]),
            (".spec['a.b']", vec![json!("dotted")]),
            (".spec.missing", vec![]),
        ];
        for (path, wanted) in table {
            let found: Vec<Value> = JsonPath::parse(path).unwrap().select(&object).into_iter().cloned().collect();
            assert_eq!(found, wanted, "{path}");
        }
        assert_eq!(JsonPath::parse("spec"), None);
    }
}
