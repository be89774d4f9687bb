//! Label selectors and node selector terms.

use serde_json::Value;

use crate::value::{entries, items, text};

/// What a label's value has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
    GreaterThan(i64),
    LessThan(i64),
    /// An operator that the server would refuse; it matches nothing.
    Never,
}

/// Requirements on labels, all of which have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    /// Exact pairs, by which objects are found through an index.
    pub(crate) pairs: Vec<(String, String)>,
    expressions: Vec<(String, Operator)>,
    /// A selector that was not given matches nothing; an empty one matches everything.
    absent: bool,
}

impl Selector {
    /// From a `metav1.LabelSelector`; none at all selects nothing.
    pub(crate) fn of(selector: Option<&Value>) -> Self {
        let Some(selector) = selector.filter(|value| value.is_object()) else {
            return Self { absent: true, ..Self::default() };
        };
        let pairs = entries(selector, "/matchLabels").map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { pairs, expressions: expressions(items(selector, "/matchExpressions")), absent: false }
    }

    /// From a plain map, as in a Service; an empty map selects nothing.
    pub(crate) fn of_map(map: Option<&Value>) -> Self {
        let pairs: Vec<_> =
            map.map(|map| entries(map, "").map(|(key, value)| (key.to_owned(), value.to_owned())).collect()).unwrap_or_default();
        Self { absent: pairs.is_empty(), pairs, expressions: Vec::new() }
    }

    /// From `matchExpressions` of a node selector term.
    pub(crate) fn of_expressions(list: &[Value]) -> Self {
        Self { pairs: Vec::new(), expressions: expressions(list), absent: false }
    }

    /// Nothing can match.
    pub(crate) fn is_absent(&self) -> bool {
        self.absent
    }

    /// Whether an object with these labels is selected.
    pub(crate) fn matches(&self, label: impl Fn(&str) -> Option<String>) -> bool {
        !self.absent
            && self.pairs.iter().all(|(key, value)| label(key).as_ref() == Some(value))
            && self.expressions.iter().all(|(key, operator)| operator.holds(label(key).as_deref()))
    }

    /// Whether this object's labels are selected.
    pub(crate) fn selects(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        !self.absent
            && self.pairs.iter().all(|(key, value)| label(key) == Some(value))
            && self.expressions.iter().all(|(key, operator)| operator.holds(label(key)))
    }
}

impl Operator {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::In(values) => value.is_some_and(|value| values.iter().any(|entry| entry == value)),
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|entry| entry != value)),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
            Self::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Self::LessThan(bound) => number().is_some_and(|number| number < *bound),
            Self::Never => false,
        }
    }
}

fn expressions(list: &[Value]) -> Vec<(String, Operator)> {
    list.iter().map(expression).collect()
}

fn expression(entry: &Value) -> (String, Operator) {
    let values = || items(entry, "/values").iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let bound = || values().first().and_then(|value| value.parse().ok());
    let operator = match text(entry, "/operator") {
        "In" => Operator::In(values()),
        "NotIn" => Operator::NotIn(values()),
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => bound().map_or(Operator::Never, Operator::GreaterThan),
        "Lt" => bound().map_or(Operator::Never, Operator::LessThan),
        _ => Operator::Never,
    };
    (text(entry, "/key").to_owned(), operator)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Selector;

    #[test]
    fn a_selector_holds_when_every_requirement_does() {
        let object = json!({"metadata": {"labels": {"app": "fe", "tier": "1"}}});
        for (selector, selected) in [
            (json!({}), true),
            (json!({"matchLabels": {"app": "fe"}}), true),
            (json!({"matchLabels": {"app": "be"}}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["be", "fe"]}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["fe"]}]}), false),
            (json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}), false),
            (json!({"matchLabels": {"app": "fe"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["2"]}]}), false),
        ] {
            assert_eq!(Selector::of(Some(&selector)).selects(&object), selected, "{selector}");
        }
    }

    #[test]
    fn a_selector_that_is_not_given_selects_nothing() {
        let object = json!({"metadata": {"labels": {"app": "fe"}}});
        assert!(!Selector::of(None).selects(&object));
        assert!(!Selector::of_map(Some(&json!({}))).selects(&object));
    }
}
