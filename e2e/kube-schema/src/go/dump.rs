//! A value as the API machinery writes it down before it hashes it: every field of the Go type, with its type.
use serde_json::Value;

use super::{TYPES, Type, map_types};

/// The form of a value of a Go type, such as `core/v1.PodTemplateSpec`, that is hashed for names of `ReplicaSets`. `None` if the type is unknown.
pub fn dump(of: &str, value: &Value) -> Option<String> {
    let (of, _) = TYPES.get_key_value(of)?;
    let mut out = String::new();
    write(of, Some(value), true, &mut out);
    Some(out)
}

fn write(of: &'static str, value: Option<&Value>, with_type: bool, out: &mut String) {
    let value = value.filter(|value| !value.is_null());
    if with_type {
        out.push('(');
        go_name(of, out);
        out.push(')');
    }
    if let Some(target) = of.strip_prefix('*') {
        match value {
            None => out.push_str("<nil>"),
            Some(_) if with_type => write(target, value, false, out),
            Some(_) => {
                out.push_str("<*>");
                write(target, value, false, out);
            }
        }
    } else if let Some(element) = of.strip_prefix("[]") {
        let items = value.and_then(Value::as_array).into_iter().flatten();
        write_all(items, ['[', ']'], out, |item, out| write(element, Some(item), false, out));
    } else if let Some((_, element)) = map_types(of) {
        let mut entries: Vec<_> = value.and_then(Value::as_object).into_iter().flatten().collect();
        entries.sort_by_key(|(key, _)| *key);
        if !entries.is_empty() {
            out.push_str("map");
        }
        write_all(entries.into_iter(), ['[', ']'], out, |(key, item), out| {
            out.push_str(key);
            out.push(':');
            write(element, Some(item), false, out);
        });
    } else {
        write_named(of, value, out);
    }
}

/// What a type name stands for, or a basic type.
fn write_named(of: &'static str, value: Option<&Value>, out: &mut String) {
    match (of, TYPES.get(of)) {
        (_, Some(Type::Alias(target))) => write(target, value, false, out),
        (_, Some(Type::Struct(fields))) => {
            out.push('{');
            for (number, field) in fields.iter().enumerate() {
                if number > 0 {
                    out.push(' ');
                }
                out.push_str(field.name);
                out.push(':');
                let inner = if field.is_inline() { value } else { value.and_then(|value| value.get(field.json)) };
                write(field.of, inner, true, out);
            }
            out.push('}');
        }
        ("meta/v1.Time" | "meta/v1.MicroTime", _) => {
            // A template's times are never set.
            out.push_str("{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}");
        }
        ("api/resource.Quantity", _) => out.push_str(&quantity(value.and_then(Value::as_str).unwrap_or("0"))),
        ("util/intstr.IntOrString", _) => {
            let text = value.and_then(Value::as_str);
            let number = value.and_then(Value::as_i64).unwrap_or(0);
            out.push_str(&["{Type:(intstr.Type)", if text.is_some() { "1" } else { "0" }, " IntVal:(int32)"].concat());
            out.push_str(&[&number.to_string(), " StrVal:(string)", text.unwrap_or_default(), "}"].concat());
        }
        _ => match value {
            Some(Value::String(text)) => out.push_str(text),
            Some(other) => out.push_str(&other.to_string()),
            None if of == "string" => {}
            None if of == "bool" => out.push_str("false"),
            None => out.push('0'),
        },
    }
}

/// Elements with spaces between them; an empty list and an absent one are the same.
fn write_all<T>(items: impl Iterator<Item = T>, [open, close]: [char; 2], out: &mut String, one: impl Fn(T, &mut String)) {
    let mut is_empty = true;
    for item in items {
        out.push(if is_empty { open } else { ' ' });
        is_empty = false;
        one(item, out);
    }
    if is_empty {
        out.push_str("<nil>");
    } else {
        out.push(close);
    }
}

/// A type as Go prints it: packages by their last part.
fn go_name(of: &str, out: &mut String) {
    if let Some(target) = of.strip_prefix('*') {
        out.push('*');
        go_name(target, out);
    } else if let Some(element) = of.strip_prefix("[]") {
        out.push_str("[]");
        go_name(element, out);
    } else if let Some((key, element)) = of.strip_prefix("map[").and_then(|rest| rest.split_once(']')) {
        out.push_str("map[");
        go_name(key, out);
        out.push(']');
        go_name(element, out);
    } else if of == "bytes" {
        out.push_str("[]uint8");
    } else {
        out.push_str(of.rsplit('/').next().unwrap_or(of));
    }
}

/// A canonical quantity as it lies in memory: a number, the power of ten that it is multiplied by, and the text itself where the parser could
/// keep it.
fn quantity(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let number: i64 = digits.parse().unwrap_or(0);
    let shown = |value: i64, scale: i32, text: &str, format: &str| {
        format!(
            "{{i:(resource.int64Amount){{value:(int64){value} scale:(resource.Scale){scale}}} d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} \
             s:(string){text} Format:(resource.Format){format}}}"
        )
    };
    if text == "0" {
        return shown(0, 0, text, "DecimalSI");
    }
    if let Some(power) = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|known| *known == suffix) {
        let bits = 10 * (1 + u32::try_from(power).unwrap_or(0));
        let kept = if number.trailing_zeros() >= 3 { "" } else { text };
        return shown(number.saturating_mul(1_i64.checked_shl(bits).unwrap_or(i64::MAX)), 0, kept, "BinarySI");
    }
    let exponent = suffix.strip_prefix(['e', 'E']).and_then(|exponent| exponent.parse().ok());
    let scale = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => exponent.unwrap_or(0),
    };
    let kept = if scale % 3 == 0 && !digits.ends_with("000") { text } else { "" };
    shown(number, scale, kept, if exponent.is_some() { "DecimalExponent" } else { "DecimalSI" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_written_as_they_lie_in_memory() {
        let parts = |text: &str| {
            let form = quantity(text);
            let after = |mark: &str| form.split(mark).nth(1).and_then(|rest| rest.split([' ', '}']).next()).unwrap_or_default().to_owned();
            (after("(int64)"), after("(resource.Scale)"), after("s:(string)"), after("(resource.Format)"))
        };
        let wanted = |value: &str, scale: &str, kept: &str, format: &str| (value.into(), scale.into(), kept.into(), format.into());
        assert_eq!(parts("1500m"), wanted("1500", "-3", "1500m", "DecimalSI"));
        assert_eq!(parts("1"), wanted("1", "0", "1", "DecimalSI"));
        assert_eq!(parts("0"), wanted("0", "0", "0", "DecimalSI"));
        assert_eq!(parts("1Gi"), wanted("1073741824", "0", "1Gi", "BinarySI"));
        assert_eq!(parts("512Mi"), wanted("536870912", "0", "", "BinarySI"));
        assert_eq!(parts("1G"), wanted("1", "9", "1G", "DecimalSI"));
    }

    #[test]
    fn a_struct_is_written_with_all_its_fields() {
        let mount = json!({"name": "v", "mountPath": "/v", "readOnly": true});
        assert_eq!(
            dump("core/v1.VolumeMount", &mount).as_deref(),
            Some(
                "(v1.VolumeMount){Name:(string)v ReadOnly:(bool)true RecursiveReadOnly:(*v1.RecursiveReadOnlyMode)<nil> MountPath:(string)/v \
                 SubPath:(string) MountPropagation:(*v1.MountPropagationMode)<nil> SubPathExpr:(string)}"
            )
        );
        let probe = dump("core/v1.Probe", &json!({"httpGet": {"port": "http"}, "periodSeconds": 3})).unwrap_or_default();
        assert!(probe.starts_with(
            "(v1.Probe){ProbeHandler:(v1.ProbeHandler){Exec:(*v1.ExecAction)<nil> HTTPGet:(*v1.HTTPGetAction){Path:(string) "
        ));
        assert!(probe.contains("Port:(intstr.IntOrString){Type:(intstr.Type)1 IntVal:(int32)0 StrVal:(string)http}"));
        assert!(probe.contains("PeriodSeconds:(int32)3 "));
    }

    #[test]
    fn maps_and_lists_are_written_in_brackets() {
        let template = json!({"metadata": {"labels": {"b": "2", "a": "1"}, "finalizers": ["x", "y"]}});
        let form = dump("core/v1.PodTemplateSpec", &template).unwrap_or_default();
        assert!(form.contains("Labels:(map[string]string)map[a:1 b:2] Annotations:(map[string]string)<nil>"));
        assert!(form.contains("Finalizers:([]string)[x y] "));
        assert_eq!(dump("core/v1.NoSuchType", &template), None);
    }
}
