//! What `kubectl get` shows.

mod builtin;
mod cells;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::registry::Resource;
use crate::store::text;

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client \
                    to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and \
                    configuration definition. Cannot be updated. More info: \
                    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// Column definitions of a resource's table.
pub fn columns(resource: &Resource) -> Value {
    let name = json!({"name": "Name", "type": "string", "format": "name", "description": NAME, "priority": 0});
    let mut columns = vec![name];
    if let Some(version) = &resource.custom {
        if version.columns.is_empty() {
            columns.push(age_column());
        }
        for column in &version.columns {
            let path = format!("Custom resource definition column (in JSONPath format): {}", column.json_path);
            let description = if column.description.is_empty() { path } else { column.description.clone() };
            columns.push(json!({
                "name": column.name, "type": column.kind, "format": column.format, "description": description, "priority": column.priority,
            }));
        }
    } else {
        for (name, kind, priority) in builtin::columns(resource) {
            columns.push(json!({"name": name, "type": kind, "format": "", "description": name, "priority": priority}));
        }
    }
    columns.into()
}

fn age_column() -> Value {
    let description = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to \
                       be set in happens-before order across separate operations.";
    json!({"name": "Age", "type": "date", "format": "", "description": description, "priority": 0})
}

/// The cells of one object.
pub fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![text(object, "name").into()];
    match &resource.custom {
        Some(version) if version.columns.is_empty() => cells.push(text(object, "creationTimestamp").into()),
        Some(version) => cells.extend(version.columns.iter().map(|column| custom_cell(column, object, now))),
        None => cells.extend(builtin::cells(resource, object, now)),
    }
    cells
}

fn custom_cell(column: &kube_schema::crd::Column, object: &Value, now: Timestamp) -> Value {
    let Some(path) = kube_schema::jsonpath::JsonPath::parse(&column.json_path) else { return Value::Null };
    let found = path.select(object);
    let Some(first) = found.first() else { return Value::Null };
    match (column.kind.as_str(), *first) {
        (_, Value::Null) => Value::Null,
        ("date", Value::String(time)) => age(time, now).into(),
        ("integer", Value::Number(number)) => number.as_i64().map_or(Value::Null, Value::from),
        ("number", Value::Number(number)) => Value::Number(number.clone()),
        ("boolean", Value::Bool(flag)) => Value::Bool(*flag),
        ("string", Value::String(text)) => text.clone().into(),
        ("string", _) if found.len() > 1 => found.iter().map(|value| plain(value)).collect::<Vec<_>>().join(",").into(),
        ("string", other) => plain(other).into(),
        _ => Value::Null,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// How long ago a time was, as people read it: `5m`, `3d4h`.
pub fn age(time: &str, now: Timestamp) -> String {
    let Ok(then) = time.parse::<Timestamp>() else { return "<unknown>".to_owned() };
    duration(now.duration_since(then).as_secs())
}

/// Seconds as people read them.
pub fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |big: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..120 => format!("{}s", seconds.max(0)),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_people_are_used_to() {
        for (seconds, wanted) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3600, "60m"),
            (10_860, "3h1m"),
            (100_000, "27h"),
            (180_000, "2d2h"),
            (864_000, "10d"),
            (70_000_000, "2y80d"),
        ] {
            assert_eq!(duration(seconds), wanted, "{seconds}");
        }
    }
}
