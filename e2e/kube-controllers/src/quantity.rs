//! Resource quantities as exact numbers of billionths.

use serde_json::Value;

const NANO: i128 = 1_000_000_000;

/// A quantity in billionths of its unit; 0 for what is not a quantity.
pub(crate) fn nanos(value: &Value) -> i128 {
    match value {
        Value::Number(number) => parse(&number.to_string()).unwrap_or(0),
        Value::String(text) => parse(text).unwrap_or(0),
        _ => 0,
    }
}

fn parse(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let (numerator, denominator) = scale(suffix)?;
    let negative = digits.starts_with('-');
    let digits = digits.trim_start_matches(['-', '+']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value = format!("0{whole}").parse::<i128>().ok()?.checked_mul(NANO)?;
    let fraction: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    value = value.checked_add(fraction.parse().ok()?)?;
    let scaled = value.checked_mul(numerator)? / denominator;
    Some(if negative { -scaled } else { scaled })
}

/// What a suffix multiplies by, as a fraction.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (NANO, 1),
        "T" => (1_000 * NANO, 1),
        "P" => (1_000_000 * NANO, 1),
        "E" => (NANO * NANO, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    })
}

/// A sum in the canonical form of the first quantity's family: binary suffixes stay binary.
pub(crate) fn format(nanos: i128, like: &str) -> String {
    let milli = NANO / 1_000;
    if nanos % NANO != 0 {
        return format!("{}m", (nanos + milli - 1) / milli);
    }
    let whole = nanos / NANO;
    let suffixes: [(&str, i128); 5] = if like.ends_with('i') {
        [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("", 1)]
    } else {
        [("T", 1_000_000_000_000), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000), ("", 1)]
    };
    let (suffix, unit) = suffixes.into_iter().find(|(_, unit)| whole != 0 && whole % unit == 0).unwrap_or(("", 1));
    format!("{}{suffix}", whole / unit)
}

/// An integer or a percentage of `total`, rounded as told.
pub(crate) fn int_or_percent(value: &Value, total: i64, round_up: bool) -> i64 {
    if let Some(number) = value.as_i64() {
        return number;
    }
    let percent: i64 = value.as_str().and_then(|text| text.trim_end_matches('%').parse().ok()).unwrap_or(0);
    let product = percent.saturating_mul(total);
    if round_up { (product + 99) / 100 } else { product / 100 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{format, int_or_percent, nanos};

    #[test]
    fn quantities_are_read_exactly() {
        let one = 1_000_000_000;
        for (text, value) in
            [("1", one), ("100m", one / 10), ("1.5", one * 3 / 2), ("1Ki", 1024 * one), ("2e3", 2000 * one), ("-1", -one), ("x", 0)]
        {
            assert_eq!(nanos(&json!(text)), value, "{text}");
        }
        assert_eq!(nanos(&json!(3)), 3 * one);
    }

    #[test]
    fn sums_keep_the_family_of_suffixes() {
        for (value, like, text) in
            [("2048Mi", "1Gi", "2Gi"), ("1500m", "1", "1500m"), ("2000", "1k", "2k"), ("3", "1", "3"), ("0", "1Gi", "0")]
        {
            assert_eq!(format(nanos(&json!(value)), like), text);
        }
    }

    #[test]
    fn percentages_round_as_told() {
        assert_eq!(int_or_percent(&json!("50%"), 3, true), 2);
        assert_eq!(int_or_percent(&json!("50%"), 3, false), 1);
        assert_eq!(int_or_percent(&json!(2), 3, false), 2);
    }
}
