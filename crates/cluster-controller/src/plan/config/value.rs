//! Values of Doris' settings: which a type can hold, and which are the same.

/// Whether a setting of this type can hold the value, as far as its type tells.
pub fn fits(kind: &str, value: &str) -> bool {
    let value = value.trim();
    match kind {
        "boolean" | "bool" => as_bool(value).is_some(),
        "int" | "int32_t" => value.parse::<i32>().is_ok(),
        "short" | "int16_t" => value.parse::<i16>().is_ok(),
        "long" | "int64_t" => value.parse::<i64>().is_ok(),
        "double" | "float" => value.parse::<f64>().is_ok(),
        _ => true,
    }
}

/// Whether a process that shows `shown` has what `wanted` asks for.
pub fn same(kind: &str, wanted: &str, shown: &str) -> bool {
    let (wanted, shown) = (wanted.trim(), shown.trim());
    // Doris does not show secrets.
    let is_masked = shown.len() > 2 && shown.bytes().all(|byte| byte == b'*');
    if wanted == shown || is_masked {
        return true;
    }
    match kind {
        "boolean" | "bool" => matches!((as_bool(wanted), as_bool(shown)), (Some(wanted), Some(shown)) if wanted == shown),
        "int" | "int32_t" | "short" | "int16_t" | "long" | "int64_t" => {
            matches!((wanted.parse::<i64>(), shown.parse::<i64>()), (Ok(wanted), Ok(shown)) if wanted == shown)
        }
        // The same text for the same number, whatever either was written as.
        "double" | "float" => {
            matches!((wanted.parse::<f64>(), shown.parse::<f64>()), (Ok(wanted), Ok(shown)) if wanted.to_bits() == shown.to_bits())
        }
        kind if kind.ends_with("[]") || kind.contains("vector") => list(wanted) == list(shown),
        _ => false,
    }
}

fn as_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn list(text: &str) -> Vec<&str> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    inner.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::{fits, same};

    #[test]
    fn the_same_value_is_written_in_many_ways() {
        let cases = [
            ("boolean", "TRUE", "true", true),
            ("bool", "1", "true", true),
            ("bool", "0", "true", false),
            ("int", "007", "7", true),
            ("int64_t", "7", "8", false),
            ("double", "0.50", "0.5", true),
            ("String[]", "slow_query,query", "[slow_query, query]", true),
            ("std::vector<std::string>", "a,b", "a, b", true),
            ("String", "a", "A", false),
            ("String", "secret", "******", true),
            ("std::string", " 90% ", "90%", true),
        ];
        for (kind, wanted, shown, expected) in cases {
            assert_eq!(same(kind, wanted, shown), expected, "{kind} {wanted} {shown}");
        }
    }

    #[test]
    fn a_type_holds_what_it_can() {
        for (kind, value, expected) in [
            ("int", "3000000000", false),
            ("long", "3000000000", true),
            ("boolean", "maybe", false),
            ("String", "x", true),
            ("double", "1e3", true),
        ] {
            assert_eq!(fits(kind, value), expected, "{kind} {value}");
        }
    }
}
